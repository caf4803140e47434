"""Blocks about the items of a list by index, beyond their examples."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.blocks.contract import Block
from graphs.blocks.list_items import GetListItemBlock, RemoveFromListBlock, ReplaceListItemBlock
from tests.graphs.blocks.running import run_block


@pytest.mark.parametrize(
    ("block", "inputs"),
    [
        (RemoveFromListBlock(), {"index": 0}),
        (RemoveFromListBlock(), {"value": 1}),
        (ReplaceListItemBlock(), {"index": 0, "value": 9}),
    ],
)
def test_a_block_leaves_the_list_it_got_as_it_was(block: Block[Any], inputs: dict[str, Any]) -> None:
    items = [1, [2]]

    run_block(block, {"list": items, **inputs})

    assert items == [1, [2]]


@given(items=st.lists(st.integers(), max_size=6), index=st.integers(-8, 8))
def test_an_index_means_what_it_means_in_python(items: list[int], index: int) -> None:
    got = run_block(GetListItemBlock(), {"list": items, "index": index}).outputs
    removed = run_block(RemoveFromListBlock(), {"list": items, "index": index, "return_item": True}).outputs
    replaced = run_block(ReplaceListItemBlock(), {"list": items, "index": index, "value": "new"}).outputs

    left = list(items)
    try:
        item = left.pop(index)
    except IndexError:
        assert got == [("error", "Index out of range")]
        assert removed == [("error", "Index or value not found")]
        assert replaced == [("error", "Index out of range")]
    else:
        changed: list[Any] = list(items)
        changed[index] = "new"
        assert got == [("item", item)]
        assert removed == [("updated_list", left), ("removed_item", item)]
        assert replaced == [("updated_list", changed), ("old_item", item)]


def test_an_index_goes_before_a_value() -> None:
    ran = run_block(RemoveFromListBlock(), {"list": ["a", "b"], "index": 1, "value": "a"})

    assert ran.outputs == [("updated_list", ["a"])]


def test_a_removed_item_is_the_one_of_the_list() -> None:
    ran = run_block(RemoveFromListBlock(), {"list": [True, "b"], "value": 1, "return_item": True})

    assert ran.outputs == [("updated_list", ["b"]), ("removed_item", True)]
    assert ran.outputs[1][1] is True
