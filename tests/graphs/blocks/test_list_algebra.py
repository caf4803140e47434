"""Blocks that put lists together, beyond their examples: laws, sizes and depths."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.blocks import list_algebra
from graphs.blocks.contract import Block
from graphs.blocks.list_algebra import (
    ConcatenateListsBlock,
    FlattenListBlock,
    FlattenListInputs,
    InterleaveListsBlock,
    ZipListsBlock,
)
from graphs.exceptions import BlockError
from tests.graphs.blocks.context import make_context
from tests.graphs.blocks.running import run_block

LISTS = st.lists(st.lists(st.integers(), max_size=4), max_size=4)
NESTED = st.recursive(st.integers(), lambda inner: st.lists(inner, max_size=3), max_leaves=12)


def nest(depth: int) -> list[Any]:
    nested: list[Any] = [1]
    for _ in range(depth - 1):
        nested = [nested]
    return nested


def outputs(block: Block[Any], inputs: dict[str, Any]) -> dict[str, Any]:
    return dict(run_block(block, inputs).outputs)


@given(lists=LISTS)
def test_nothing_is_lost_when_lists_are_joined_or_mixed(lists: list[list[int]]) -> None:
    joined = outputs(ConcatenateListsBlock(), {"lists": lists})
    mixed = outputs(InterleaveListsBlock(), {"lists": lists})

    assert joined["concatenated_list"] == [item for items in lists for item in items]
    assert sorted(mixed["interleaved_list"]) == sorted(joined["concatenated_list"])
    assert mixed["length"] == joined["length"] == sum(map(len, lists))


@given(lists=LISTS)
def test_padded_groups_all_have_an_item_of_each_list(lists: list[list[int]]) -> None:
    zipped = outputs(ZipListsBlock(), {"lists": lists, "pad_to_longest": True, "fill_value": "-"})

    assert zipped["length"] == max(map(len, lists), default=0)
    assert all(len(group) == len(lists) for group in zipped["zipped_list"])
    assert [[item for item in column if item != "-"] for column in zip(*zipped["zipped_list"], strict=True)] == (
        lists if zipped["length"] else []
    )


@given(nested=st.lists(NESTED, max_size=4))
def test_a_list_flattened_to_its_depth_has_no_list_left(nested: list[Any]) -> None:
    whole = outputs(FlattenListBlock(), {"nested_list": nested})
    in_steps = nested
    for _ in range(whole["original_depth"] - 1):
        in_steps = outputs(FlattenListBlock(), {"nested_list": in_steps, "max_depth": 1})["flattened_list"]

    assert not any(isinstance(item, list) for item in whole["flattened_list"])
    assert in_steps == whole["flattened_list"]


def test_a_list_flattened_by_no_level_is_the_same_but_another() -> None:
    nested = [1, [2]]

    flattened = outputs(FlattenListBlock(), {"nested_list": nested, "max_depth": 0})["flattened_list"]

    assert flattened == nested
    assert flattened is not nested


def test_the_deepest_list_allowed_is_flattened() -> None:
    assert outputs(FlattenListBlock(), {"nested_list": nest(1000)}) == {
        "flattened_list": [1],
        "length": 1,
        "original_depth": 1000,
    }


@pytest.mark.parametrize("depth", [1001, 200_000])
def test_a_deeper_list_is_an_error(depth: int) -> None:
    inputs = FlattenListInputs.model_construct(nested_list=nest(depth))

    with pytest.raises(BlockError, match="more than 1,000 levels"):
        list(FlattenListBlock().run(inputs, make_context()))


def test_joining_without_duplicates_tells_true_from_one_and_a_list_from_a_dictionary() -> None:
    lists = [[1, True, "1", {}, []], [1.0, True, {}, [], {"a": [1]}, {"a": [True]}, {"a": [1]}]]

    joined = outputs(ConcatenateListsBlock(), {"lists": lists, "deduplicate": True})["concatenated_list"]

    assert repr(joined) == repr([1, True, "1", {}, [], {"a": [1]}, {"a": [True]}])


@pytest.mark.parametrize("block", [ConcatenateListsBlock(), InterleaveListsBlock(), ZipListsBlock()])
def test_too_many_items_are_an_error(block: Block[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_algebra, "MAX_ITEMS", 3)

    assert "error" not in outputs(block, {"lists": [[1, 2], [3]]})
    assert outputs(block, {"lists": [[1, 2], [3, 4]]}) == {"error": "The result would have 4 items; 3 are allowed."}


def test_padding_many_lists_to_one_long_one_is_an_error() -> None:
    lists: list[list[int]] = [[0] * 10_000, *([] for _ in range(200))]

    assert "error" in outputs(ZipListsBlock(), {"lists": lists, "pad_to_longest": True})


def test_padding_with_a_large_value_is_an_error() -> None:
    inputs = {"lists": [[0] * 1000, []], "pad_to_longest": True, "fill_value": "x" * 20_000}

    assert outputs(ZipListsBlock(), inputs) == {"error": "The padding would be larger than 10,485,760 characters."}


def test_mixing_one_long_list_with_many_short_ones_takes_no_longer_than_its_items() -> None:
    lists = [list(range(20_000)), *([0] for _ in range(20_000))]

    assert outputs(InterleaveListsBlock(), {"lists": lists})["length"] == 40_000
