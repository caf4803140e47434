"""Blocks that calculate and count."""

import operator
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded


class Operation(StrEnum):
    """What to calculate."""

    ADD = "Add"
    SUBTRACT = "Subtract"
    MULTIPLY = "Multiply"
    DIVIDE = "Divide"
    POWER = "Power"


# Operands are floats, so that no power takes long: what is too large is an OverflowError at once.
OPERATIONS: Mapping[Operation, Callable[[float, float], Any]] = MappingProxyType(
    {
        Operation.ADD: operator.add,
        Operation.SUBTRACT: operator.sub,
        Operation.MULTIPLY: operator.mul,
        Operation.DIVIDE: operator.truediv,
        Operation.POWER: operator.pow,
    }
)


class CalculatorInputs(BlockInputs):
    """Two numbers and what to do with them."""

    operation: Operation = Field(description="What to calculate.")
    a: float = Field(description="The first number.")
    b: float = Field(description="The second number.")
    round_result: bool = Field(default=False, description="Whether to round the result to a whole number.")


class CalculatorOutputs(BlockOutputs):
    """The result."""

    result: float = Field(description="The result: infinity for a division by zero, NaN if there is none.")


class CalculatorBlock(Block[CalculatorInputs]):
    """Calculates with two numbers. It never fails: see `result`."""

    id = "b1ab9b19-67a6-406d-abf5-2dba76d00c79"
    name = "CalculatorBlock"
    description = "Adds, subtracts, multiplies, divides or raises to a power."
    Inputs = CalculatorInputs
    Outputs = CalculatorOutputs
    examples = (
        Example(inputs={"operation": "Add", "a": 7, "b": 34}, outputs=(("result", 41.0),)),
        Example(inputs={"operation": "Divide", "a": 5, "b": 2, "round_result": True}, outputs=(("result", 2),)),
        Example(inputs={"operation": "Divide", "a": 1, "b": 0}, outputs=(("result", float("inf")),)),
        Example(
            inputs={"operation": "Power", "a": 10, "b": 1e10}, outputs=(("result", lambda result: result != result),)
        ),
    )

    def run(self, inputs: CalculatorInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the result."""
        yield "result", _calculate(inputs)


def _calculate(inputs: CalculatorInputs) -> float:
    try:
        result = OPERATIONS[inputs.operation](inputs.a, inputs.b)
        if isinstance(result, complex):
            return float("nan")
        return round(result) if inputs.round_result else float(result)
    except ZeroDivisionError:
        return float("inf")
    except (ValueError, OverflowError):
        return float("nan")


class CountItemsInputs(BlockInputs):
    """A collection."""

    collection: Any = Field(description="A list, a dictionary or a text.")


class CountItemsOutputs(BlockOutputs):
    """How many there are."""

    count: int = Field(description="How many items (or characters) there are; -1 if it can't be counted.")


class CountItemsBlock(Block[CountItemsInputs]):
    """Counts the items of a collection."""

    id = "3c9c2f42-b0c3-435f-ba35-05f7a25c772a"
    name = "CountItemsBlock"
    description = "Counts the items of a list or a dictionary, or the characters of a text."
    Inputs = CountItemsInputs
    Outputs = CountItemsOutputs
    examples = (
        Example(inputs={"collection": [1, 2, 3]}, outputs=(("count", 3),)),
        Example(inputs={"collection": "four"}, outputs=(("count", 4),)),
        Example(inputs={"collection": 5}, outputs=(("count", -1),)),
    )

    def run(self, inputs: CountItemsInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the count."""
        yield "count", len(inputs.collection) if isinstance(inputs.collection, str | list | dict) else -1
