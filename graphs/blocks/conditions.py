"""Blocks that send a value one way or the other."""

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.blocks.conversion import convert
from graphs.exceptions import BlockError


class ComparisonOperator(StrEnum):
    """How two values are compared."""

    EQUAL = "=="
    NOT_EQUAL = "!="
    GREATER_THAN = ">"
    LESS_THAN = "<"
    GREATER_THAN_OR_EQUAL = ">="
    LESS_THAN_OR_EQUAL = "<="


COMPARISONS: Mapping[ComparisonOperator, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        ComparisonOperator.EQUAL: operator.eq,
        ComparisonOperator.NOT_EQUAL: operator.ne,
        ComparisonOperator.GREATER_THAN: operator.gt,
        ComparisonOperator.LESS_THAN: operator.lt,
        ComparisonOperator.GREATER_THAN_OR_EQUAL: operator.ge,
        ComparisonOperator.LESS_THAN_OR_EQUAL: operator.le,
    }
)


class BranchOutputs(BlockOutputs):
    """The answer, and one of two ways to go on."""

    result: bool = Field(description="Whether the condition holds.")
    yes_output: Any = Field(description="Emitted if the condition holds.")
    no_output: Any = Field(description="Emitted if it doesn't.")


class ConditionInputs(BlockInputs):
    """Two values to compare, and what to emit."""

    value1: Any = Field(description="The value on the left.")
    operator: ComparisonOperator = Field(description="How to compare.")
    value2: Any = Field(description="The value on the right.")
    yes_value: Any = Field(default=None, description="What to emit if the condition holds; else value1.")
    no_value: Any = Field(default=None, description="What to emit if it doesn't; else value2.")


class ConditionBlock(Block[ConditionInputs]):
    """Compares two values. Text that reads as a number is compared, and emitted, as a number."""

    id = "715696a0-e1da-45c8-b209-c2fa9c3b0be6"
    name = "ConditionBlock"
    description = "Compares two values and goes on one way or the other."
    Inputs = ConditionInputs
    Outputs = BranchOutputs
    examples = (
        Example(
            inputs={"value1": "10", "operator": ">", "value2": 9, "yes_value": "more"},
            outputs=(("result", True), ("yes_output", "more")),
        ),
        Example(
            inputs={"value1": "a ", "operator": "!=", "value2": "a"}, outputs=(("result", False), ("no_output", "a"))
        ),
        Example(
            inputs={"value1": " 10", "operator": ">", "value2": "9"}, outputs=(("result", True), ("yes_output", 10.0))
        ),
        Example(
            inputs={"value1": "a", "operator": "<", "value2": 1},
            outputs=(("error", "'<' can't compare str and int values."),),
        ),
    )

    def run(self, inputs: ConditionInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the answer, then the value of the way to go."""
        left, right = _normalize(inputs.value1), _normalize(inputs.value2)
        holds = _compare(left, right, inputs.operator)
        yield "result", holds
        if holds:
            yield "yes_output", left if inputs.yes_value is None else inputs.yes_value
        else:
            yield "no_output", right if inputs.no_value is None else inputs.no_value


def _normalize(value: Any) -> Any:
    """Return a number for text that reads as one; "nan" and "inf" are words here, as JSON has no such numbers."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    with suppress(ValueError):
        number = float(text)
        if math.isfinite(number):
            return number
    return text


def _compare(left: Any, right: Any, comparison: ComparisonOperator) -> bool:
    try:
        return bool(COMPARISONS[comparison](left, right))
    except TypeError as error:
        kinds = f"{type(left).__name__} and {type(right).__name__}"
        raise BlockError(f"'{comparison}' can't compare {kinds} values.") from error


class IfInputMatchesInputs(BlockInputs):
    """A value, what it should be, and what to emit."""

    input: Any = Field(description="The value to look at.")
    value: Any = Field(description="What it should be; taken as the type that `input` has.")
    yes_value: Any = Field(default=None, description="What to emit if it matches.")
    no_value: Any = Field(default=None, description="What to emit if it doesn't.")


class IfInputMatchesBlock(Block[IfInputMatchesInputs]):
    """Looks whether a value is the expected one. What it emits may be None: that travels, too."""

    id = "6dbbc4b3-ca6c-42b6-b508-da52d23e13f2"
    name = "IfInputMatchesBlock"
    description = "Goes on one way if a value is the expected one, and the other way if not."
    Inputs = IfInputMatchesInputs
    Outputs = BranchOutputs
    examples = (
        Example(
            inputs={"input": 10, "value": "10", "yes_value": "same", "no_value": "other"},
            outputs=(("result", True), ("yes_output", "same")),
        ),
        Example(inputs={"input": "a", "value": "b"}, outputs=(("result", False), ("no_output", None))),
    )

    def run(self, inputs: IfInputMatchesInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the answer, then the value of the way to go."""
        if _matches(inputs.input, inputs.value):
            yield "result", True
            yield "yes_output", inputs.yes_value
        else:
            yield "result", False
            yield "no_output", inputs.no_value


def _matches(value: Any, expected: Any) -> bool:
    if value == expected:
        return True
    if value is None or expected is None:
        return False
    try:
        return bool(value == convert(expected, type(value)))
    except (ValueError, OverflowError, RecursionError):
        return False
