"""Work that keeps a core busy, the same for all who are measured."""


def fibonacci(n: int) -> int:
    """Return the n-th Fibonacci number, the slow way."""
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
