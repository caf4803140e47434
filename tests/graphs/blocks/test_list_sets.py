"""Differences and intersections of lists keep the laws of sets, and the order of the first list."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from graphs.blocks.list_sets import ListDifferenceBlock, ListIntersectionBlock
from tests.graphs.blocks.running import run_block

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.sampled_from(["", "a"])),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)),
    max_leaves=3,
)
LISTS = st.lists(VALUES, max_size=6)


def write(item: Any) -> str:
    return json.dumps(item, sort_keys=True)


def difference(list_a: list[Any], list_b: list[Any], *, symmetric: bool = False) -> list[Any]:
    inputs = {"list_a": list_a, "list_b": list_b, "symmetric": symmetric}
    outputs = dict(run_block(ListDifferenceBlock(), inputs).outputs)
    assert outputs["length"] == len(outputs["difference"])
    return list(outputs["difference"])


def intersection(list_a: list[Any], list_b: list[Any]) -> list[Any]:
    outputs = dict(run_block(ListIntersectionBlock(), {"list_a": list_a, "list_b": list_b}).outputs)
    assert outputs["length"] == len(outputs["intersection"])
    return list(outputs["intersection"])


@given(list_a=LISTS, list_b=LISTS)
def test_each_item_is_either_in_the_difference_or_in_the_intersection(list_a: list[Any], list_b: list[Any]) -> None:
    only_a, common = difference(list_a, list_b), intersection(list_a, list_b)

    for item in map(write, list_a):
        assert (item in map(write, only_a)) != (item in map(write, common))
    assert len(set(map(write, common))) == len(common)


@given(list_a=LISTS, list_b=LISTS)
def test_a_symmetric_difference_is_that_of_each_side(list_a: list[Any], list_b: list[Any]) -> None:
    both = difference(list_a, list_b, symmetric=True)

    assert both == difference(list_a, list_b) + difference(list_b, list_a)


@given(items=LISTS)
def test_a_list_without_itself_is_empty(items: list[Any]) -> None:
    assert difference(items, items) == []
    assert difference(items, items, symmetric=True) == []


def test_dictionaries_are_the_same_in_any_order_of_their_keys() -> None:
    assert intersection([{"a": 1, "b": 2}], [{"b": 2, "a": 1.0}]) == [{"a": 1, "b": 2}]
    assert difference([{"a": 1}], [{"a": True}]) == [{"a": 1}]
