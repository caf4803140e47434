"""The number of tokens is near what a tokenizer of language models counts."""

import pytest

from graphs.blocks.tokens import estimate_tokens

# Counted with the `o200k_base` tables.
COUNTED = {
    "": 0,
    "hello": 1,
    "The quick brown fox jumps over the lazy dog.": 10,
    '{"name": "Alice", "age": 25}': 12,
    "我们需要处理很多数据，然后把结果发送给用户。": 12,
    "Съешь же ещё этих мягких французских булок, да выпей чаю.": 19,
}


@pytest.mark.parametrize(("text", "counted"), COUNTED.items())
def test_an_estimate_is_not_below_the_count_and_at_most_twice_as_high(text: str, counted: int) -> None:
    assert counted <= estimate_tokens(text) <= 2 * counted


def test_a_longer_text_is_never_fewer_tokens() -> None:
    text = "Grüße, 世界! 3.14159 \n\n\t def f(x_1): return '😀'"

    estimates = [estimate_tokens(text[:length]) for length in range(len(text) + 1)]

    assert estimates == sorted(estimates)


def test_a_megabyte_without_a_space_is_counted() -> None:
    assert estimate_tokens("a" * 1_000_000) == 125_000
