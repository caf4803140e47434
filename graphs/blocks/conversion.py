"""Makes a value of one type from a value of another, as AutoGPT does: nearly everything converts to something."""

import json
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.exceptions import BlockError


def convert(value: Any, wanted: type) -> Any:
    """Return `value` as `wanted`, one of the types of JSON; of any other type it stays as it is.

    What has no number in it is 0, a collection as a number is its length, text that is not JSON becomes the only
    item of a list or the `value` of a dictionary. Raises `ValueError`, `OverflowError` (a number too large) or
    `RecursionError` (JSON too deep) where nothing can be done.
    """
    if isinstance(value, wanted) or wanted not in _CONVERSIONS:
        return value
    return _CONVERSIONS[wanted](value)


def _to_int(value: Any) -> int:
    return int(_to_float(value))


def _to_float(value: Any) -> float:
    if isinstance(value, list | dict):
        return float(len(value))
    if value is None:
        return 0.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _to_bool(value: Any) -> bool:
    if isinstance(value, str):
        return value.lower() in {"true", "1"}
    return bool(value)


def _to_list(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [[key, item] for key, item in value.items()]
    if not isinstance(value, str):
        return [value]
    text = value.strip()
    if text.startswith("[") and text.endswith("]"):
        try:
            return list(json.loads(text))
        except json.JSONDecodeError:
            return [text]
    return [text]


def _to_dict(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, str):
        return {"value": value}
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError:
        return {"value": value}
    return parsed if isinstance(parsed, dict) else {"value": parsed}


_CONVERSIONS: Mapping[type, Callable[[Any], Any]] = MappingProxyType(
    {str: json.dumps, int: _to_int, float: _to_float, bool: _to_bool, list: _to_list, dict: _to_dict}
)


class TypeOptions(StrEnum):
    """The types to convert to."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "list"
    DICTIONARY = "dictionary"


WANTED: Mapping[TypeOptions, type] = MappingProxyType(
    {
        TypeOptions.STRING: str,
        TypeOptions.NUMBER: float,
        TypeOptions.BOOLEAN: bool,
        TypeOptions.LIST: list,
        TypeOptions.DICTIONARY: dict,
    }
)


class UniversalTypeConverterInputs(BlockInputs):
    """A value and the type it should have."""

    value: Any = Field(description="The value to convert.")
    type: TypeOptions = Field(description="The type it should have.")


class UniversalTypeConverterOutputs(BlockOutputs):
    """The value in its new type."""

    value: Any = Field(description="The value in its new type.")


class UniversalTypeConverterBlock(Block[UniversalTypeConverterInputs]):
    """Converts a value to a type."""

    id = "95d1b990-ce13-4d88-9737-ba5c2070c97b"
    name = "UniversalTypeConverterBlock"
    description = "Converts a value to text, a number, yes or no, a list or a dictionary."
    Inputs = UniversalTypeConverterInputs
    Outputs = UniversalTypeConverterOutputs
    examples = (
        Example(inputs={"value": "7", "type": "number"}, outputs=(("value", 7.0),)),
        Example(inputs={"value": {"a": 1}, "type": "string"}, outputs=(("value", '{"a": 1}'),)),
        Example(inputs={"value": "TRUE", "type": "boolean"}, outputs=(("value", True),)),
        Example(inputs={"value": " [1, 2] ", "type": "list"}, outputs=(("value", [1, 2]),)),
        Example(inputs={"value": '{"a": 1}', "type": "dictionary"}, outputs=(("value", {"a": 1}),)),
        Example(
            inputs={"value": 10**400, "type": "number"},
            outputs=(("error", lambda text: text.startswith("Failed to convert value: ")),),
        ),
    )

    def run(self, inputs: UniversalTypeConverterInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the converted value."""
        try:
            converted = convert(inputs.value, WANTED[inputs.type])
        except (ValueError, OverflowError, RecursionError) as error:
            raise BlockError(f"Failed to convert value: {error}") from error
        yield "value", converted
