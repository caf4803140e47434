"""Blocks that turn a collection into a stream of its items."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.exceptions import BlockError

MAX_ITEMS = 10_000
MAX_TEXT_BYTES = 1024 * 1024

Items = list[Any] | dict[str, Any]


class StepThroughItemsInputs(BlockInputs):
    """Up to three collections; all of them are stepped through, in this order."""

    items: list[Any] = Field(default_factory=list, description="A list.")
    items_object: dict[str, Any] = Field(default_factory=dict, description="A dictionary.")
    items_str: str = Field(default="", description="A list or a dictionary as JSON text, of at most 1 MiB.")


class ItemOutputs(BlockOutputs):
    """One item after the other."""

    item: Any = Field(description="The item.")
    key: Any = Field(description="Where it was: its index in the list, or its key in the dictionary.")


class StepThroughItemsBlock(Block[StepThroughItemsInputs]):
    """Emits the items of lists and dictionaries, one by one. What is too large is refused before the first item."""

    id = "f66a3543-28d3-4ab5-8945-9b336371e2ce"
    name = "StepThroughItemsBlock"
    description = "Emits each item of a list or a dictionary, and its index or key."
    Inputs = StepThroughItemsInputs
    Outputs = ItemOutputs
    examples = (
        Example(inputs={"items": ["a", None]}, outputs=(("item", "a"), ("key", 0), ("item", None), ("key", 1))),
        Example(
            inputs={"items_object": {"x": 1}, "items_str": "[2]"},
            outputs=(("item", 1), ("key", "x"), ("item", 2), ("key", 0)),
        ),
        Example(inputs={}, outputs=()),
        Example(
            inputs={"items_str": "[1"},
            outputs=(("error", lambda text: text.startswith("items_str is not valid JSON: ")),),
        ),
    )

    def run(self, inputs: StepThroughItemsInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit each item and its key."""
        collections: list[Items] = [inputs.items, inputs.items_object, _parse(inputs.items_str)]
        for collection in collections:
            _check_size(collection)
        for collection in collections:
            yield from _step_through(collection)


class ListIteratorInputs(BlockInputs):
    """A list."""

    items: list[Any] = Field(description="The list.")


class ListIteratorBlock(Block[ListIteratorInputs]):
    """Emits the items of a list. Graphs from before `StepThroughItemsBlock` use it."""

    id = "c34cebc5-26ef-4c48-8dc8-52e9a71a4fcc"
    name = "ListIteratorBlock"
    description = "Emits each item of a list, and its index."
    Inputs = ListIteratorInputs
    Outputs = ItemOutputs
    examples = (
        Example(inputs={"items": ["a", {"b": 1}]}, outputs=(("item", "a"), ("key", 0), ("item", {"b": 1}), ("key", 1))),
    )

    def run(self, inputs: ListIteratorInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit each item and its index."""
        _check_size(inputs.items)
        yield from _step_through(inputs.items)


def _parse(text: str) -> Items:
    if not text:
        return []
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_TEXT_BYTES:
        raise BlockError(f"items_str is too large: {size:,} bytes, at most {MAX_TEXT_BYTES:,}.")
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BlockError(f"items_str is not valid JSON: {error}") from error
    if not isinstance(parsed, list | dict):
        raise BlockError("items_str is neither a list nor a dictionary.")
    return parsed


def _check_size(collection: Items) -> None:
    if len(collection) > MAX_ITEMS:
        raise BlockError(f"There are too many items: {len(collection):,}, at most {MAX_ITEMS:,}.")


def _step_through(collection: Items) -> Iterator[Yielded]:
    pairs = collection.items() if isinstance(collection, dict) else enumerate(collection)
    for key, item in pairs:
        yield "item", item
        yield "key", key
