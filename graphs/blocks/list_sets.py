"""Blocks that compare two lists as sets; what makes two items the same is said in `identity`."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.blocks.identity import identify_items, index_by_identity


class ListDifferenceInputs(BlockInputs):
    """Two lists."""

    list_a: list[Any] = Field(description="The list to take from.")
    list_b: list[Any] = Field(description="The items to leave out.")
    symmetric: bool = Field(default=False, description="Whether the items that only the second list has are added.")


class ListDifferenceOutputs(BlockOutputs):
    """The result and its length."""

    difference: list[Any] = Field(description="The items that are in one list only.")
    length: int = Field(description="How many items that are.")


class ListDifferenceBlock(Block[ListDifferenceInputs]):
    """Finds what one list has and the other has not; duplicates stay."""

    id = "05309873-9d61-447e-96b5-b804e2511829"
    name = "ListDifferenceBlock"
    description = "Finds the items of the first list that the second has not, or those that only one of them has."
    Inputs = ListDifferenceInputs
    Outputs = ListDifferenceOutputs
    examples = (
        Example(
            inputs={"list_a": [1, 1, 2, 3], "list_b": [3, 4]},
            outputs=(("difference", [1, 1, 2]), ("length", 3)),
        ),
        Example(
            inputs={"list_a": [1, {"k": 2}], "list_b": [{"k": 2}, 4], "symmetric": True},
            outputs=(("difference", [1, 4]), ("length", 2)),
        ),
    )

    def run(self, inputs: ListDifferenceInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the difference."""
        difference = _subtract(inputs.list_a, inputs.list_b)
        if inputs.symmetric:
            difference += _subtract(inputs.list_b, inputs.list_a)
        yield "difference", difference
        yield "length", len(difference)


class ListIntersectionInputs(BlockInputs):
    """Two lists."""

    list_a: list[Any] = Field(description="The one list; its order is kept.")
    list_b: list[Any] = Field(description="The other list.")


class ListIntersectionOutputs(BlockOutputs):
    """The result and its length."""

    intersection: list[Any] = Field(description="The items that are in both lists, each once.")
    length: int = Field(description="How many items that are.")


class ListIntersectionBlock(Block[ListIntersectionInputs]):
    """Finds what two lists have in common."""

    id = "b6eb08b6-dbe3-411b-b9b4-2508cb311a1f"
    name = "ListIntersectionBlock"
    description = "Finds the items that two lists have in common."
    Inputs = ListIntersectionInputs
    Outputs = ListIntersectionOutputs
    examples = (
        Example(
            inputs={"list_a": [1, 3, 3, [4]], "list_b": [[4], 3, 5]},
            outputs=(("intersection", [3, [4]]), ("length", 2)),
        ),
        Example(inputs={"list_a": [1], "list_b": []}, outputs=(("intersection", []), ("length", 0))),
    )

    def run(self, inputs: ListIntersectionInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit what is in both."""
        other = index_by_identity(inputs.list_b)
        common = [item for identity, item in index_by_identity(inputs.list_a).items() if identity in other]
        yield "intersection", common
        yield "length", len(common)


def _subtract(items: list[Any], others: list[Any]) -> list[Any]:
    known = set(identify_items(others))
    return [item for item, identity in zip(items, identify_items(items), strict=True) if identity not in known]
