"""Blocks about the items of a list by their index. They copy: the values they get are shared with other nodes."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.exceptions import BlockError

# A class with a pin called `list` can't write `list[Any]`.
Items = list[Any]

OUT_OF_RANGE = "Index out of range"
NOT_FOUND = "Index or value not found"


class GetListItemInputs(BlockInputs):
    """A list and an index."""

    list: Items = Field(description="The list to take the item from.")
    index: int = Field(description="Where the item is, counted from 0; negative counts from the end.")


class GetListItemOutputs(BlockOutputs):
    """The item."""

    item: Any = Field(description="The item.")


class GetListItemBlock(Block[GetListItemInputs]):
    """Takes one item out of a list by its index."""

    id = "262ca24c-1025-43cf-a578-534e23234e97"
    name = "GetListItemBlock"
    description = "Gets the item of a list at an index."
    Inputs = GetListItemInputs
    Outputs = GetListItemOutputs
    examples = (
        Example(inputs={"list": [1, 2, 3], "index": 1}, outputs=(("item", 2),)),
        Example(inputs={"list": [1, 2, 3], "index": -1}, outputs=(("item", 3),)),
        Example(inputs={"list": [1, 2, 3], "index": 3}, outputs=(("error", OUT_OF_RANGE),)),
    )

    def run(self, inputs: GetListItemInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the item."""
        yield "item", inputs.list[_locate(inputs.list, inputs.index, missing=OUT_OF_RANGE)]


class RemoveFromListInputs(BlockInputs):
    """A list, and which item to remove."""

    list: Items = Field(description="The list to remove from.")
    value: Any = Field(default=None, description="The value to remove, where it is first. Not used with an index.")
    index: int | None = Field(
        default=None, description="The index of the item to remove; negative counts from the end."
    )
    return_item: bool = Field(default=False, description="Whether the removed item is emitted too.")


class RemoveFromListOutputs(BlockOutputs):
    """The result."""

    updated_list: Items = Field(description="The list without the item.")
    removed_item: Any = Field(description="The item that was removed, if it was asked for.")


class RemoveFromListBlock(Block[RemoveFromListInputs]):
    """Removes one item from a copy of a list, by its index or its value."""

    id = "d93c5a93-ac7e-41c1-ae5c-ef67e6e9b826"
    name = "RemoveFromListBlock"
    description = "Removes an item from a list by its index or its value."
    Inputs = RemoveFromListInputs
    Outputs = RemoveFromListOutputs
    examples = (
        Example(
            inputs={"list": [1, 2, 3], "index": 1, "return_item": True},
            outputs=(("updated_list", [1, 3]), ("removed_item", 2)),
        ),
        Example(inputs={"list": ["a", "b", "a"], "value": "a"}, outputs=(("updated_list", ["b", "a"]),)),
        Example(inputs={"list": ["a"], "value": "z"}, outputs=(("error", NOT_FOUND),)),
        Example(inputs={"list": ["a"], "index": 1}, outputs=(("error", NOT_FOUND),)),
        Example(inputs={"list": ["a"]}, outputs=(("error", NOT_FOUND),)),
    )

    def run(self, inputs: RemoveFromListInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the list without the item, then the item."""
        if inputs.index is not None:
            index = _locate(inputs.list, inputs.index, missing=NOT_FOUND)
        else:
            index = _find(inputs.list, inputs.value)
        yield "updated_list", inputs.list[:index] + inputs.list[index + 1 :]
        if inputs.return_item:
            yield "removed_item", inputs.list[index]


class ReplaceListItemInputs(BlockInputs):
    """A list, an index and an item."""

    list: Items = Field(description="The list to change.")
    index: int = Field(description="The index of the item to replace; negative counts from the end.")
    value: Any = Field(description="The new item.")


class ReplaceListItemOutputs(BlockOutputs):
    """The result."""

    updated_list: Items = Field(description="The list with the new item.")
    old_item: Any = Field(description="The item that was replaced.")


class ReplaceListItemBlock(Block[ReplaceListItemInputs]):
    """Replaces one item in a copy of a list."""

    id = "fbf62922-bea1-4a3d-8bac-23587f810b38"
    name = "ReplaceListItemBlock"
    description = "Replaces the item of a list at an index."
    Inputs = ReplaceListItemInputs
    Outputs = ReplaceListItemOutputs
    examples = (
        Example(
            inputs={"list": [1, 2, 3], "index": 1, "value": 99},
            outputs=(("updated_list", [1, 99, 3]), ("old_item", 2)),
        ),
        Example(
            inputs={"list": ["a", "b"], "index": -1, "value": "c"},
            outputs=(("updated_list", ["a", "c"]), ("old_item", "b")),
        ),
        Example(inputs={"list": [], "index": 0, "value": "c"}, outputs=(("error", OUT_OF_RANGE),)),
    )

    def run(self, inputs: ReplaceListItemInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the list with the new item, then the old one."""
        index = _locate(inputs.list, inputs.index, missing=OUT_OF_RANGE)
        yield "updated_list", [*inputs.list[:index], inputs.value, *inputs.list[index + 1 :]]
        yield "old_item", inputs.list[index]


class ListIsEmptyInputs(BlockInputs):
    """A list."""

    list: Items = Field(description="The list to look at.")


class ListIsEmptyOutputs(BlockOutputs):
    """The answer."""

    is_empty: bool = Field(description="Whether it has no item.")


class ListIsEmptyBlock(Block[ListIsEmptyInputs]):
    """Says whether a list has no item."""

    id = "896ed73b-27d0-41be-813c-c1c1dc856c03"
    name = "ListIsEmptyBlock"
    description = "Says whether a list is empty."
    Inputs = ListIsEmptyInputs
    Outputs = ListIsEmptyOutputs
    examples = (
        Example(inputs={"list": []}, outputs=(("is_empty", True),)),
        Example(inputs={"list": [None]}, outputs=(("is_empty", False),)),
    )

    def run(self, inputs: ListIsEmptyInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the answer."""
        yield "is_empty", not inputs.list


def _locate(items: Items, index: int, *, missing: str) -> int:
    """Return the index counted from 0; raises `BlockError` with the text `missing` if no item is there."""
    located = index + len(items) if index < 0 else index
    if not 0 <= located < len(items):
        raise BlockError(missing)
    return located


def _find(items: Items, value: Any) -> int:
    if value is None:
        raise BlockError(NOT_FOUND)
    try:
        return items.index(value)
    except ValueError:
        raise BlockError(NOT_FOUND) from None
    except RecursionError:
        raise BlockError("The items are nested too deeply to be compared.") from None
