"""Blocks that put lists together, or flatten one. Their results hold at most `MAX_ITEMS` items."""

import json
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.blocks.identity import index_by_identity
from graphs.exceptions import BlockError

MAX_ITEMS = 1_000_000
MAX_DEPTH = 1000
MAX_PADDING = 10 * 1024 * 1024
"""How many characters of JSON the padding of zipped lists may be in all."""


class ConcatenateListsInputs(BlockInputs):
    """Some lists."""

    lists: list[list[Any]] = Field(description="The lists to join.")
    deduplicate: bool = Field(default=False, description="Whether an item is kept only where it is first.")
    remove_none: bool = Field(default=False, description="Whether empty values (null) are left out.")


class ConcatenateListsOutputs(BlockOutputs):
    """The result and its length."""

    concatenated_list: list[Any] = Field(description="The items of all lists, one list after the other.")
    length: int = Field(description="How many items that are.")


class ConcatenateListsBlock(Block[ConcatenateListsInputs]):
    """Joins lists into one."""

    id = "3cf9298b-5817-4141-9d80-7c2cc5199c8e"
    name = "ConcatenateListsBlock"
    description = "Joins several lists into one, in order; on request without duplicates or empty values."
    Inputs = ConcatenateListsInputs
    Outputs = ConcatenateListsOutputs
    examples = (
        Example(
            inputs={"lists": [["a", "b"], [], ["c"]]}, outputs=(("concatenated_list", ["a", "b", "c"]), ("length", 3))
        ),
        Example(
            inputs={"lists": [[1, 2, 2], [True, 1]], "deduplicate": True},
            outputs=(("concatenated_list", [1, 2, True]), ("length", 3)),
        ),
        Example(
            inputs={"lists": [[1, None], [None, 3]], "remove_none": True},
            outputs=(("concatenated_list", [1, 3]), ("length", 2)),
        ),
        Example(inputs={"lists": []}, outputs=(("concatenated_list", []), ("length", 0))),
    )

    def run(self, inputs: ConcatenateListsInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the joined list."""
        _check_size(sum(map(len, inputs.lists)))
        joined = [item for items in inputs.lists for item in items if not (inputs.remove_none and item is None)]
        result = list(index_by_identity(joined).values()) if inputs.deduplicate else joined
        yield "concatenated_list", result
        yield "length", len(result)


class FlattenListInputs(BlockInputs):
    """A list, and how many levels to flatten."""

    nested_list: list[Any] = Field(description="The list that may hold lists.")
    max_depth: int = Field(default=-1, description="How many levels are flattened; -1 is all of them.")


class FlattenListOutputs(BlockOutputs):
    """The result, its length, and the depth there was."""

    flattened_list: list[Any] = Field(description="The items, without the lists that were around them.")
    length: int = Field(description="How many items that are.")
    original_depth: int = Field(description="How many levels the list had: 1 if there was no list in it.")


class FlattenListBlock(Block[FlattenListInputs]):
    """Takes the items out of the lists in a list."""

    id = "cc45bb0f-d035-4756-96a7-fe3e36254b4d"
    name = "FlattenListBlock"
    description = "Turns a list of lists into one list, however deep they are or down to a given level."
    Inputs = FlattenListInputs
    Outputs = FlattenListOutputs
    examples = (
        Example(
            inputs={"nested_list": [[1, 2], [3, [4, 5]]]},
            outputs=(("flattened_list", [1, 2, 3, 4, 5]), ("length", 5), ("original_depth", 3)),
        ),
        Example(
            inputs={"nested_list": [1, [2, [3, [4]]], 5], "max_depth": 1},
            outputs=(("flattened_list", [1, 2, [3, [4]], 5]), ("length", 4), ("original_depth", 4)),
        ),
        Example(inputs={"nested_list": []}, outputs=(("flattened_list", []), ("length", 0), ("original_depth", 1))),
        Example(
            inputs={"nested_list": [1], "max_depth": -2},
            outputs=(("error", "max_depth must be -1 (unlimited) or a non-negative integer, got -2"),),
        ),
    )

    def run(self, inputs: FlattenListInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the flat list."""
        if inputs.max_depth < -1:
            raise BlockError(f"max_depth must be -1 (unlimited) or a non-negative integer, got {inputs.max_depth}")
        depth = _measure_depth(inputs.nested_list)
        flat = list(_flatten(inputs.nested_list, depth if inputs.max_depth == -1 else inputs.max_depth))
        yield "flattened_list", flat
        yield "length", len(flat)
        yield "original_depth", depth


class InterleaveListsInputs(BlockInputs):
    """Some lists."""

    lists: list[list[Any]] = Field(description="The lists to take items from in turn.")


class InterleaveListsOutputs(BlockOutputs):
    """The result and its length."""

    interleaved_list: list[Any] = Field(description="The first item of each list, then the second of each, and so on.")
    length: int = Field(description="How many items that are.")


class InterleaveListsBlock(Block[InterleaveListsInputs]):
    """Takes an item from each list in turn; a list that has no more is passed over."""

    id = "9f616084-1d9f-4f8e-bc00-5b9d2a75cd75"
    name = "InterleaveListsBlock"
    description = "Mixes lists by taking one item from each in turn."
    Inputs = InterleaveListsInputs
    Outputs = InterleaveListsOutputs
    examples = (
        Example(
            inputs={"lists": [[1, 2, 3], ["a", "b"], ["x", "y", "z"]]},
            outputs=(("interleaved_list", [1, "a", "x", 2, "b", "y", 3, "z"]), ("length", 8)),
        ),
        Example(inputs={"lists": []}, outputs=(("interleaved_list", []), ("length", 0))),
    )

    def run(self, inputs: InterleaveListsInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the mixed list."""
        _check_size(sum(map(len, inputs.lists)))
        mixed = list(_interleave(inputs.lists))
        yield "interleaved_list", mixed
        yield "length", len(mixed)


class ZipListsInputs(BlockInputs):
    """Some lists, and what to do if one is shorter."""

    lists: list[list[Any]] = Field(description="The lists whose items are put together.")
    pad_to_longest: bool = Field(
        default=False, description="Whether there are as many groups as the longest list has items, not the shortest."
    )
    fill_value: Any = Field(default=None, description="What stands for the items that a shorter list lacks.")


class ZipListsOutputs(BlockOutputs):
    """The result and its length."""

    zipped_list: list[list[Any]] = Field(
        description="The group of all first items, that of all second ones, and so on."
    )
    length: int = Field(description="How many groups that are.")


class ZipListsBlock(Block[ZipListsInputs]):
    """Puts the items of lists together by their index."""

    id = "0d0e684f-5cb9-4c4b-b8d1-47a0860e0c07"
    name = "ZipListsBlock"
    description = "Puts the first items of all lists into a group, the second ones into another, and so on."
    Inputs = ZipListsInputs
    Outputs = ZipListsOutputs
    examples = (
        Example(
            inputs={"lists": [[1, 2, 3], ["a", "b"]]},
            outputs=(("zipped_list", [[1, "a"], [2, "b"]]), ("length", 2)),
        ),
        Example(
            inputs={"lists": [[1, 2], ["a", "b", "c"]], "pad_to_longest": True, "fill_value": 0},
            outputs=(("zipped_list", [[1, "a"], [2, "b"], [0, "c"]]), ("length", 3)),
        ),
        Example(inputs={"lists": []}, outputs=(("zipped_list", []), ("length", 0))),
    )

    def run(self, inputs: ZipListsInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the groups."""
        if inputs.pad_to_longest:
            _check_padding(inputs.lists, inputs.fill_value)
            groups = [list(group) for group in zip_longest(*inputs.lists, fillvalue=inputs.fill_value)]
        else:
            _check_size(sum(map(len, inputs.lists)))
            groups = [list(group) for group in zip(*inputs.lists, strict=False)]
        yield "zipped_list", groups
        yield "length", len(groups)


def _check_size(size: int) -> None:
    if size > MAX_ITEMS:
        raise BlockError(f"The result would have {size:,} items; {MAX_ITEMS:,} are allowed.")


def _check_padding(lists: list[list[Any]], fill_value: Any) -> None:
    """Refuse to make much out of nothing: a long list, many empty ones and a large value would fill the memory."""
    size = len(lists) * max(map(len, lists), default=0)
    _check_size(size)
    missing = size - sum(map(len, lists))
    if missing and missing * len(_write_json(fill_value)) > MAX_PADDING:
        raise BlockError(f"The padding would be larger than {MAX_PADDING:,} characters.")


def _write_json(value: Any) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        raise BlockError("A value is nested too deeply.") from None


def _measure_depth(items: list[Any]) -> int:
    """Return how many levels of lists there are; does not recurse, so that no list is too deep for it."""
    depth = 0
    level: list[Any] = [items]
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise BlockError(f"The list has more than {MAX_DEPTH:,} levels.")
        level = [item for above in level for item in above if isinstance(item, list)]
    return depth


def _flatten(items: list[Any], max_depth: int) -> Iterator[Any]:
    open_lists = [iter(items)]
    while open_lists:
        item = next(open_lists[-1], open_lists)
        if item is open_lists:
            open_lists.pop()
        elif isinstance(item, list) and len(open_lists) <= max_depth:
            open_lists.append(iter(item))
        else:
            yield item


def _interleave(lists: list[list[Any]]) -> Iterator[Any]:
    going = [items for items in lists if items]
    index = 0
    while going:
        yield from (items[index] for items in going)
        index += 1
        going = [items for items in going if index < len(items)]
