"""Blocks that make, read and change dictionaries. They copy: the values they get are shared with other nodes."""

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.exceptions import BlockError

MISSING = object()


class CreateDictionaryInputs(BlockInputs):
    """Keys and values."""

    values: dict[str, Any] = Field(description="The keys and values of the dictionary.")


class CreateDictionaryOutputs(BlockOutputs):
    """The dictionary."""

    dictionary: dict[str, Any] = Field(description="The dictionary.")


class CreateDictionaryBlock(Block[CreateDictionaryInputs]):
    """Makes a dictionary of values that are all there at once."""

    id = "b924ddf4-de4f-4b56-9a85-358930dcbc91"
    name = "CreateDictionaryBlock"
    description = "Makes a dictionary of the given keys and values."
    Inputs = CreateDictionaryInputs
    Outputs = CreateDictionaryOutputs
    examples = (
        Example(
            inputs={"values": {"name": "Alice", "age": 25}},
            outputs=(("dictionary", {"name": "Alice", "age": 25}),),
        ),
        Example(inputs={"values": {}}, outputs=(("dictionary", {}),)),
    )

    def run(self, inputs: CreateDictionaryInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the dictionary."""
        yield "dictionary", dict(inputs.values)


class AddToDictionaryInputs(BlockInputs):
    """A dictionary and what to add."""

    dictionary: dict[Any, Any] = Field(
        default_factory=dict, description="The dictionary to add to. Without one, an empty one is taken."
    )
    key: str = Field(default="", description="The key of the new entry.")
    value: Any = Field(default=None, description="The value of the new entry. Without one, no entry is added.")
    entries: dict[Any, Any] = Field(default_factory=dict, description="Further entries to add, after the one above.")


class AddToDictionaryOutputs(BlockOutputs):
    """The result."""

    updated_dictionary: dict[Any, Any] = Field(description="The dictionary with the new entries.")


class AddToDictionaryBlock(Block[AddToDictionaryInputs]):
    """Adds entries to a copy of a dictionary."""

    id = "31d1064e-7446-4693-a7d4-65e5ca1180d1"
    name = "AddToDictionaryBlock"
    description = "Adds one entry, or several, to a dictionary. An entry with the same key is replaced."
    Inputs = AddToDictionaryInputs
    Outputs = AddToDictionaryOutputs
    examples = (
        Example(
            inputs={"dictionary": {"a": 1}, "key": "b", "value": 2},
            outputs=(("updated_dictionary", {"a": 1, "b": 2}),),
        ),
        Example(inputs={"key": "first", "value": "x"}, outputs=(("updated_dictionary", {"first": "x"}),)),
        Example(inputs={"key": "unset"}, outputs=(("updated_dictionary", {}),)),
        Example(inputs={"key": "zero", "value": 0}, outputs=(("updated_dictionary", {"zero": 0}),)),
        Example(
            inputs={"dictionary": {"a": 1}, "key": "b", "value": 2, "entries": {"b": 3, "c": 4}},
            outputs=(("updated_dictionary", {"a": 1, "b": 3, "c": 4}),),
        ),
    )

    def run(self, inputs: AddToDictionaryInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the dictionary with the new entries."""
        updated = dict(inputs.dictionary)
        if inputs.key and inputs.value is not None:
            updated[inputs.key] = inputs.value
        updated.update(inputs.entries)
        yield "updated_dictionary", updated


class FindInDictionaryInputs(BlockInputs):
    """Where to look, and what for."""

    input: Any = Field(description="A dictionary or a list, or the JSON text of one.")
    key: str | int = Field(description="The key in the dictionary, or the index in the list.")


class FindInDictionaryOutputs(BlockOutputs):
    """One of the two."""

    output: Any = Field(description="What is there.")
    missing: Any = Field(description="The input, if nothing is there.")


class FindInDictionaryBlock(Block[FindInDictionaryInputs]):
    """Looks up a key in a dictionary, an index in a list, or a key in every dictionary of a list.

    Attributes of objects are not looked up: a graph gets at values only, never at the program.
    """

    id = "0e50422c-6dee-4145-83d6-3a5a392f65de"
    name = "FindInDictionaryBlock"
    description = "Looks up a key in a dictionary, an index in a list, or one key in all dictionaries of a list."
    Inputs = FindInDictionaryInputs
    Outputs = FindInDictionaryOutputs
    examples = (
        Example(inputs={"input": {"apple": 1, "banana": 2}, "key": "banana"}, outputs=(("output", 2),)),
        Example(inputs={"input": {"x": 10}, "key": "w"}, outputs=(("missing", {"x": 10}),)),
        Example(inputs={"input": '{"x": [1]}', "key": "x"}, outputs=(("output", [1]),)),
        Example(inputs={"input": '{"x": 1}', "key": "y"}, outputs=(("missing", '{"x": 1}'),)),
        Example(inputs={"input": [1, 2, 3], "key": 1}, outputs=(("output", 2),)),
        Example(inputs={"input": [1, 2, 3], "key": 3}, outputs=(("missing", [1, 2, 3]),)),
        Example(
            inputs={"input": [{"k1": "v1"}, {"k2": "v2"}, {"k1": "v3"}], "key": "k1"},
            outputs=(("output", ["v1", "v3"]),),
        ),
        Example(inputs={"input": {"a": None}, "key": "a"}, outputs=(("output", None),)),
    )

    def run(self, inputs: FindInDictionaryInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit what is found, or the input."""
        data = _parse_json(inputs.input) if isinstance(inputs.input, str) else inputs.input
        found = _find(data, inputs.key)
        if found is MISSING:
            yield "missing", inputs.input
        else:
            yield "output", found


def _find(data: Any, key: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(_existing_key(data, key), MISSING)
    if not isinstance(data, list):
        return MISSING
    if isinstance(key, int):
        return data[key] if 0 <= key < len(data) else MISSING
    return [item[key] for item in data if isinstance(item, dict) and key in item]


def _existing_key(dictionary: dict[Any, Any], key: str | int) -> str | int:
    """Return the key as the dictionary has it: JSON turns every key into text."""
    return key if key in dictionary else str(key)


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_parse_float)
    except RecursionError:
        raise BlockError("The input is JSON that is nested too deeply.") from None
    except ValueError as error:
        raise BlockError(f"The input is a text, but not JSON: {error}") from error


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")


def _parse_float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


class RemoveFromDictionaryInputs(BlockInputs):
    """A dictionary and a key."""

    dictionary: dict[Any, Any] = Field(description="The dictionary to remove from.")
    key: str | int = Field(description="The key to remove.")
    return_value: bool = Field(default=False, description="Whether the removed value is emitted too.")


class RemoveFromDictionaryOutputs(BlockOutputs):
    """The result."""

    updated_dictionary: dict[Any, Any] = Field(description="The dictionary without the key.")
    removed_value: Any = Field(description="The value that was removed, if it was asked for.")


class RemoveFromDictionaryBlock(Block[RemoveFromDictionaryInputs]):
    """Removes a key from a copy of a dictionary."""

    id = "46afe2ea-c613-43f8-95ff-6692c3ef6876"
    name = "RemoveFromDictionaryBlock"
    description = "Removes a key and its value from a dictionary."
    Inputs = RemoveFromDictionaryInputs
    Outputs = RemoveFromDictionaryOutputs
    examples = (
        Example(
            inputs={"dictionary": {"a": 1, "b": 2}, "key": "b", "return_value": True},
            outputs=(("updated_dictionary", {"a": 1}), ("removed_value", 2)),
        ),
        Example(inputs={"dictionary": {"a": 1, "b": 2}, "key": "a"}, outputs=(("updated_dictionary", {"b": 2}),)),
        Example(inputs={"dictionary": {"a": 1}, "key": "z"}, outputs=(("error", "Key 'z' not found in dictionary"),)),
    )

    def run(self, inputs: RemoveFromDictionaryInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the dictionary without the key, then what was there."""
        updated = dict(inputs.dictionary)
        removed = updated.pop(_existing_key(updated, inputs.key), MISSING)
        if removed is MISSING:
            raise BlockError(f"Key '{inputs.key}' not found in dictionary")
        yield "updated_dictionary", updated
        if inputs.return_value:
            yield "removed_value", removed


class ReplaceDictionaryValueInputs(BlockInputs):
    """A dictionary, a key and a value."""

    dictionary: dict[Any, Any] = Field(description="The dictionary to change.")
    key: str | int = Field(description="The key whose value is replaced.")
    value: Any = Field(description="The new value.")


class ReplaceDictionaryValueOutputs(BlockOutputs):
    """The result."""

    updated_dictionary: dict[Any, Any] = Field(description="The dictionary with the new value.")
    old_value: Any = Field(description="The value that was replaced.")


class ReplaceDictionaryValueBlock(Block[ReplaceDictionaryValueInputs]):
    """Replaces the value of a key that exists, in a copy of a dictionary."""

    id = "27e31876-18b6-44f3-ab97-f6226d8b3889"
    name = "ReplaceDictionaryValueBlock"
    description = "Replaces the value of a key that the dictionary has."
    Inputs = ReplaceDictionaryValueInputs
    Outputs = ReplaceDictionaryValueOutputs
    examples = (
        Example(
            inputs={"dictionary": {"a": 1, "b": 2}, "key": "b", "value": 99},
            outputs=(("updated_dictionary", {"a": 1, "b": 99}), ("old_value", 2)),
        ),
        Example(
            inputs={"dictionary": {}, "key": "b", "value": 99},
            outputs=(("error", "Key 'b' not found in dictionary"),),
        ),
    )

    def run(self, inputs: ReplaceDictionaryValueInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the dictionary with the value, then what was there."""
        key = _existing_key(inputs.dictionary, inputs.key)
        if key not in inputs.dictionary:
            raise BlockError(f"Key '{inputs.key}' not found in dictionary")
        yield "updated_dictionary", {**inputs.dictionary, key: inputs.value}
        yield "old_value", inputs.dictionary[key]


class DictionaryIsEmptyInputs(BlockInputs):
    """A dictionary."""

    dictionary: dict[Any, Any] = Field(description="The dictionary to look at.")


class DictionaryIsEmptyOutputs(BlockOutputs):
    """The answer."""

    is_empty: bool = Field(description="Whether it has no entry.")


class DictionaryIsEmptyBlock(Block[DictionaryIsEmptyInputs]):
    """Says whether a dictionary has no entry."""

    id = "a3cf3f64-6bb9-4cc6-9900-608a0b3359b0"
    name = "DictionaryIsEmptyBlock"
    description = "Says whether a dictionary is empty."
    Inputs = DictionaryIsEmptyInputs
    Outputs = DictionaryIsEmptyOutputs
    examples = (
        Example(inputs={"dictionary": {}}, outputs=(("is_empty", True),)),
        Example(inputs={"dictionary": {"a": 1}}, outputs=(("is_empty", False),)),
    )

    def run(self, inputs: DictionaryIsEmptyInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the answer."""
        yield "is_empty", not inputs.dictionary
