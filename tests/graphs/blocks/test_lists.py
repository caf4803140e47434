"""Blocks that make and change lists, beyond their examples."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.blocks.contract import Block
from graphs.blocks.lists import (
    AddToListBlock,
    CreateListBlock,
    FindInListBlock,
    FindInListInputs,
    ReverseListOrderBlock,
)
from graphs.blocks.tokens import estimate_tokens
from graphs.exceptions import BlockError
from tests.graphs.blocks.context import make_context
from tests.graphs.blocks.running import run_block


def nest(depth: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    return nested


@pytest.mark.parametrize(
    ("block", "pin", "inputs"),
    [
        (ReverseListOrderBlock(), "input_list", {}),
        (CreateListBlock(), "values", {"max_size": 1}),
        (AddToListBlock(), "list", {"entry": 1, "entries": [2]}),
    ],
)
def test_a_block_leaves_the_list_it_got_as_it_was(block: Block[Any], pin: str, inputs: dict[str, Any]) -> None:
    items = [1, [2], {"c": 3}]
    before = deepcopy(items)

    ran = run_block(block, {pin: items, **inputs})

    assert items == before
    assert all(value is not items for _, value in ran.outputs)


@given(
    values=st.lists(st.one_of(st.text(max_size=30), st.integers(), st.booleans())),
    max_size=st.one_of(st.none(), st.integers(0, 5)),
    max_tokens=st.one_of(st.none(), st.integers(0, 9)),
)
def test_the_pieces_make_up_the_list_and_keep_to_the_limits(
    values: list[Any], max_size: int | None, max_tokens: int | None
) -> None:
    ran = run_block(CreateListBlock(), {"values": values, "max_size": max_size, "max_tokens": max_tokens})

    pieces = [piece for _, piece in ran.outputs]
    assert [item for piece in pieces for item in piece] == values
    assert all(pieces) or pieces == [[]]
    assert all(not max_size or len(piece) <= max_size for piece in pieces)
    assert all(not max_tokens or len(piece) == 1 or count(piece) <= max_tokens for piece in pieces)


def count(piece: list[Any]) -> int:
    return sum(estimate_tokens(item if isinstance(item, str) else str(item).lower()) for item in piece)


def test_an_item_larger_than_the_token_limit_makes_a_piece_of_its_own() -> None:
    ran = run_block(CreateListBlock(), {"values": ["a b c d", "e", "f"], "max_tokens": 2})

    assert ran.outputs == [("list", ["a b c d"]), ("list", ["e", "f"])]


@pytest.mark.parametrize("limit", ["max_size", "max_tokens"])
def test_a_negative_limit_is_an_error(limit: str) -> None:
    ran = run_block(CreateListBlock(), {"values": [1], limit: -1})

    assert ran.outputs == [("error", f"{limit} must not be negative, but it is -1.")]


@pytest.mark.parametrize(
    ("position", "expected"),
    [(0, ["x", 1, 2]), (-1, [1, "x", 2]), (99, [1, 2, "x"]), (-99, ["x", 1, 2])],
)
def test_items_are_added_at_a_position(position: int, expected: list[Any]) -> None:
    ran = run_block(AddToListBlock(), {"list": [1, 2], "entry": "x", "position": position})

    assert ran.outputs == [("updated_list", expected)]


def test_a_falsy_entry_is_added() -> None:
    assert run_block(AddToListBlock(), {"list": [1], "entry": 0}).outputs == [("updated_list", [1, 0])]


def test_each_list_that_was_not_given_is_a_new_one() -> None:
    first = run_block(AddToListBlock(), {}).outputs[0][1]
    first.append("x")

    assert run_block(AddToListBlock(), {}).outputs == [("updated_list", [])]


def test_items_too_deep_to_compare_are_an_error() -> None:
    inputs = FindInListInputs.model_construct(list=[nest(100_000)], value=nest(100_000))

    with pytest.raises(BlockError, match="nested too deeply"):
        list(FindInListBlock().run(inputs, make_context()))
