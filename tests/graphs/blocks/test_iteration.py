"""Collections become streams: each item, then its key; what is too large is refused before the first item."""

import json
from typing import Any

import pytest

from graphs.blocks.iteration import MAX_ITEMS, MAX_TEXT_BYTES, ListIteratorBlock, StepThroughItemsBlock
from tests.graphs.blocks.running import run_block


def step(**inputs: Any) -> list[tuple[str, Any]]:
    return run_block(StepThroughItemsBlock(), inputs).outputs


def test_all_three_sources_are_stepped_through_in_order() -> None:
    stream = step(items=["a"], items_object={"k": "b"}, items_str='{"l": "c"}')

    assert stream == [("item", "a"), ("key", 0), ("item", "b"), ("key", "k"), ("item", "c"), ("key", "l")]


def test_nothing_is_no_items() -> None:
    assert step(items=[], items_object={}, items_str="") == []


def test_exactly_as_many_as_allowed_pass() -> None:
    assert len(step(items=[0] * MAX_ITEMS)) == 2 * MAX_ITEMS


@pytest.mark.parametrize(
    "inputs",
    [
        {"items": [0] * (MAX_ITEMS + 1)},
        {"items_object": {str(n): n for n in range(MAX_ITEMS + 1)}},
        {"items": [1], "items_str": json.dumps([0] * (MAX_ITEMS + 1))},
    ],
)
def test_too_many_items_are_refused_before_the_first(inputs: dict[str, Any]) -> None:
    assert step(**inputs) == [("error", "There are too many items: 10,001, at most 10,000.")]


def test_text_is_measured_in_bytes() -> None:
    quotes_and_brackets = 4
    fits = '["' + "x" * (MAX_TEXT_BYTES - quotes_and_brackets) + '"]'

    assert [pin for pin, _ in step(items_str=fits)] == ["item", "key"]
    assert step(items_str=fits + " ") == [("error", "items_str is too large: 1,048,577 bytes, at most 1,048,576.")]
    assert step(items_str=fits.replace("xx", "é"))[0][0] == "item"
    assert step(items_str=fits.replace("x", "é"))[0][0] == "error"


@pytest.mark.parametrize("text", ["[1", "nonsense", "[" * 200_000])
def test_text_that_is_not_json_is_an_error(text: str) -> None:
    ((pin, message),) = step(items_str=text)

    assert pin == "error"
    assert message.startswith("items_str is not valid JSON: ")


@pytest.mark.parametrize("text", ["5", '"abc"', "null"])
def test_json_without_items_is_an_error(text: str) -> None:
    assert step(items_str=text) == [("error", "items_str is neither a list nor a dictionary.")]


def test_the_old_iterator_steps_through_a_list() -> None:
    iterator = ListIteratorBlock()

    assert run_block(iterator, {"items": ["a", "b"], "return_index": False}).outputs == [
        ("item", "a"),
        ("key", 0),
        ("item", "b"),
        ("key", 1),
    ]
    assert run_block(iterator, {"items": [0] * (MAX_ITEMS + 1)}).outputs[0][0] == "error"
