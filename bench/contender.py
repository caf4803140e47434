"""What is compared: something that runs a shape and says how long its caller waited for the end."""

from typing import Protocol

from bench.shapes import Shape


class Contender(Protocol):
    """One system under measurement. Used as a context manager: what it needs runs inside of the `with` block."""

    name: str

    def can_run(self, shape: Shape) -> bool:
        """Whether this system has a way to run the shape."""
        ...

    def run(self, shape: Shape, *, runs: int = 1) -> float:
        """Start so many runs of no-ops at once; return the seconds until the caller has seen the end of all."""
        ...


class RunFailedError(Exception):
    """A measured run didn't end, or not as it should; the text says which and how."""
