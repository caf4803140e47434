"""Escaping and JSON: what is written is read back, and what is no JSON is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.blocks.encoding import MAX_JSON_BYTES, escape, from_json, to_json, unescape
from graphs.exceptions import BlockError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(TEXTS)
def test_an_escaped_text_is_ascii_on_one_line_and_comes_back(text: str) -> None:
    escaped = escape(text)

    assert escaped.isascii()
    assert escaped.isprintable()
    assert unescape(escaped) == text


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"a\nb\tc\"d\'e\\n", "a\nb\tc\"d'e\\n"),
        (r"\xe9\u20ac\U0001F600\101\N{BULLET}", "é€😀A•"),
        (r"\ud83d\ude00", "😀"),
        ("café \\u00e9 😀", "café é 😀"),
        (r"C:\path \d+ \x1 \u12 \N{NO SUCH THING}", r"C:\path \d+ \x1 \u12 \N{NO SUCH THING}"),
        (r"\ud83d alone, \U0000d83d too", r"\ud83d alone, \U0000d83d too"),
        ("ends with \\", "ends with \\"),
    ],
)
def test_escape_sequences_are_replaced_and_the_rest_is_kept(escaped: str, text: str) -> None:
    assert unescape(escaped) == text


@given(JSON)
def test_a_value_comes_back_from_its_json(value: Any) -> None:
    assert from_json(to_json(value)) == value


def test_json_is_compact_and_readable() -> None:
    assert to_json({"é": [1, None, True]}) == '{"é":[1,null,true]}'


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": -float("inf")}])
def test_a_number_that_json_does_not_have_is_not_written(value: Any) -> None:
    with pytest.raises(BlockError, match="can't be written as JSON"):
        to_json(value)


def test_a_value_that_is_nested_without_end_is_not_written() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]

    with pytest.raises(BlockError, match="can't be written as JSON"):
        to_json(nested)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", "[-1e400]"])
def test_a_number_that_json_does_not_have_is_not_read(text: str) -> None:
    with pytest.raises(BlockError, match="is not a number that JSON has"):
        from_json(text)


@pytest.mark.parametrize("text", ["", "{", "{a: 1}", "'a'", "[1,]", "1 2", "nul"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(BlockError, match="This is not JSON"):
        from_json(text)


def test_a_number_of_ten_thousand_digits_is_refused() -> None:
    with pytest.raises(BlockError, match="digits"):
        from_json("9" * 10_000)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_hundred_levels_are_read_and_no_more(opening: str, closing: str) -> None:
    def nested(levels: int) -> str:
        return opening * levels + "1" + closing * levels

    assert from_json(nested(100))
    for levels in (101, 100_000):
        with pytest.raises(BlockError, match="more than 100 levels"):
            from_json(nested(levels))


def test_ten_mebibytes_are_read_and_no_more() -> None:
    assert from_json(" " * (MAX_JSON_BYTES - 1) + "1") == 1
    for text in (" " * MAX_JSON_BYTES + "1", f'"{"é" * (MAX_JSON_BYTES // 2)}"'):
        with pytest.raises(BlockError, match="at most 10,485,760"):
            from_json(text)
