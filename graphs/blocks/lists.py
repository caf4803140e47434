"""Blocks that make, read and change one list. They copy: the values they get are shared with other nodes."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.blocks.tokens import estimate_tokens
from graphs.exceptions import BlockError

# A class with a pin called `list` can't write `list[Any]`.
Items = list[Any]


class ReverseListOrderInputs(BlockInputs):
    """A list."""

    input_list: Items = Field(description="The list to reverse.")


class ReverseListOrderOutputs(BlockOutputs):
    """The result."""

    reversed_list: Items = Field(description="The same items, last first.")


class ReverseListOrderBlock(Block[ReverseListOrderInputs]):
    """Turns a list round."""

    id = "422cb708-3109-4277-bfe3-bc2ae5812777"
    name = "ReverseListOrderBlock"
    description = "Reverses a list."
    Inputs = ReverseListOrderInputs
    Outputs = ReverseListOrderOutputs
    examples = (Example(inputs={"input_list": [1, "b", [3]]}, outputs=(("reversed_list", [[3], "b", 1]),)),)

    def run(self, inputs: ReverseListOrderInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the reversed list."""
        yield "reversed_list", inputs.input_list[::-1]


class CreateListInputs(BlockInputs):
    """The items, and how large a piece of them may be."""

    values: Items = Field(description="The items of the list.")
    max_size: int | None = Field(default=None, description="Cut the list into pieces of at most so many items.")
    max_tokens: int | None = Field(
        default=None,
        description="Cut the list into pieces of at most so many tokens, as estimated. An item larger than that "
        "makes a piece of its own.",
    )


class CreateListOutputs(BlockOutputs):
    """The list."""

    list: Items = Field(description="The list, or each piece of it.")


class CreateListBlock(Block[CreateListInputs]):
    """Makes a list of values, in pieces if it is told how large they may be. No values make one empty list."""

    id = "a912d5c7-6e00-4542-b2a9-8034136930e4"
    name = "CreateListBlock"
    description = "Makes a list of the given values; on request in pieces of a limited size."
    Inputs = CreateListInputs
    Outputs = CreateListOutputs
    examples = (
        Example(inputs={"values": ["Alice", 25, True]}, outputs=(("list", ["Alice", 25, True]),)),
        Example(inputs={"values": [1, 2, 3], "max_size": 2}, outputs=(("list", [1, 2]), ("list", [3]))),
        Example(
            inputs={"values": ["one two", "three", "four five"], "max_tokens": 3},
            outputs=(("list", ["one two", "three"]), ("list", ["four five"])),
        ),
        Example(inputs={"values": []}, outputs=(("list", []),)),
    )

    def run(self, inputs: CreateListInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the pieces, or the whole list."""
        max_size = _read_limit("max_size", inputs.max_size)
        max_tokens = _read_limit("max_tokens", inputs.max_tokens)
        piece: Items = []
        piece_tokens = 0
        for value in inputs.values:
            tokens = _estimate_item(value) if max_tokens else 0
            is_full = bool(max_size) and len(piece) >= max_size
            if piece and (is_full or (max_tokens and piece_tokens + tokens > max_tokens)):
                yield "list", piece
                piece, piece_tokens = [], 0
            piece.append(value)
            piece_tokens += tokens
        if piece or not inputs.values:
            yield "list", piece


def _read_limit(name: str, limit: int | None) -> int:
    """Return the limit; 0 means that there is none."""
    if limit is not None and limit < 0:
        raise BlockError(f"{name} must not be negative, but it is {limit}.")
    return limit or 0


def _estimate_item(value: Any) -> int:
    if isinstance(value, str):
        return estimate_tokens(value)
    try:
        return estimate_tokens(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        raise BlockError("An item is nested too deeply to count its tokens.") from None


class AddToListInputs(BlockInputs):
    """A list and what to add."""

    list: Items = Field(
        default_factory=lambda: [], description="The list to add to. Without one, an empty one is taken."
    )
    entry: Any = Field(default=None, description="The item to add.")
    entries: Items = Field(default_factory=lambda: [], description="Further items to add, before the one above.")
    position: int | None = Field(
        default=None, description="The index to add them at. Negative counts from the end; without one, they go last."
    )


class AddToListOutputs(BlockOutputs):
    """The result."""

    updated_list: Items = Field(description="The list with the new items.")


class AddToListBlock(Block[AddToListInputs]):
    """Adds items to a copy of a list."""

    id = "aeb08fc1-2fc1-4141-bc8e-f758f183a822"
    name = "AddToListBlock"
    description = "Adds one item, or several, to a list, at its end or at a position."
    Inputs = AddToListInputs
    Outputs = AddToListOutputs
    examples = (
        Example(inputs={"list": ["a", "b"], "entry": "c"}, outputs=(("updated_list", ["a", "b", "c"]),)),
        Example(inputs={"entry": {"k": 1}}, outputs=(("updated_list", [{"k": 1}]),)),
        Example(inputs={"list": [1]}, outputs=(("updated_list", [1]),)),
        Example(
            inputs={"list": ["a", "b"], "entry": "e", "entries": ["f", "g"], "position": 1},
            outputs=(("updated_list", ["a", "f", "g", "e", "b"]),),
        ),
    )

    def run(self, inputs: AddToListInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the list with the new items."""
        added = inputs.entries if inputs.entry is None else [*inputs.entries, inputs.entry]
        position = len(inputs.list) if inputs.position is None else inputs.position
        yield "updated_list", [*inputs.list[:position], *added, *inputs.list[position:]]


class FindInListInputs(BlockInputs):
    """Where to look, and what for."""

    list: Items = Field(description="The list to search.")
    value: Any = Field(description="The value to look for.")


class FindInListOutputs(BlockOutputs):
    """Where it is, or that it isn't there."""

    index: int = Field(description="Where the value is first, counted from 0; nothing if it isn't there.")
    found: bool = Field(description="Whether the value is in the list.")
    not_found_value: Any = Field(description="The value, if it isn't in the list.")


class FindInListBlock(Block[FindInListInputs]):
    """Searches a list for a value. As in Python, `1`, `1.0` and `true` are equal."""

    id = "5e2c6d0a-1e37-489f-b1d0-8e1812b23333"
    name = "FindInListBlock"
    description = "Finds where a value is in a list."
    Inputs = FindInListInputs
    Outputs = FindInListOutputs
    examples = (
        Example(inputs={"list": [1, 2, 3, 2], "value": 2}, outputs=(("index", 1), ("found", True))),
        Example(inputs={"list": [1, 2], "value": 6}, outputs=(("found", False), ("not_found_value", 6))),
        Example(inputs={"list": [{"a": [1]}], "value": {"a": [1]}}, outputs=(("index", 0), ("found", True))),
    )

    def run(self, inputs: FindInListInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the index, or the value that isn't there."""
        index = _find(inputs.list, inputs.value)
        if index is None:
            yield "found", False
            yield "not_found_value", inputs.value
        else:
            yield "index", index
            yield "found", True


def _find(items: Items, value: Any) -> int | None:
    try:
        return items.index(value)
    except ValueError:
        return None
    except RecursionError:
        raise BlockError("The items are nested too deeply to be compared.") from None
