"""Blocks that turn texts and values into escaped text or JSON, and back."""

import codecs
import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.exceptions import BlockError

MAX_JSON_BYTES = 10 * 1024 * 1024
MAX_JSON_DEPTH = 100

_ESCAPE = re.compile(
    r"""\\(?:[\\'"abfnrtv] | [0-7]{1,3} | x[0-9a-fA-F]{2} | N\{[^{}\\]{1,100}\}
        | u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
        | u(?![dD][89a-fA-F])[0-9a-fA-F]{4}
        | U(?!0000[dD][89a-fA-F])00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})""",
    re.VERBOSE,
)


def escape(text: str) -> str:
    r"""Return `text` in ASCII: line breaks as `\n`, a backslash as two, other characters as `\xe9` or `\u20ac`."""
    return text.encode("unicode_escape").decode("ascii")


def unescape(text: str) -> str:
    r"""Return `text` with its escape sequences replaced: what `escape` made, and Python's and JSON's other ones.

    What is not an escape sequence stays as it is, so do half surrogate pairs, which are no characters.
    """
    return _ESCAPE.sub(_character, text)


def _character(escape_sequence: re.Match[str]) -> str:
    sequence = escape_sequence.group()
    try:
        characters = codecs.decode(sequence, "unicode_escape")
        return characters.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeError:
        return sequence


def to_json(value: Any) -> str:
    """Return compact JSON; raises `BlockError` for what JSON can't hold: NaN, infinity, endless nesting."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise BlockError(f"This can't be written as JSON: {error}") from error


def from_json(text: str) -> Any:
    """Return the value that `text` stands for.

    Raises `BlockError` for what is not JSON (NaN and infinity included), and for more than 10 MiB, 100 levels or
    4,300 digits.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_JSON_BYTES:
        raise BlockError(f"The JSON is {size:,} bytes long; at most {MAX_JSON_BYTES:,} are read.")
    try:
        value = json.loads(text, parse_constant=_refuse_number, parse_float=_finite_float)
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:
        raise BlockError(f"This is not JSON: {error}") from error
    _check_depth(value)
    return value


def _finite_float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse_number(text)


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is not a number that JSON has.")


def _check_depth(value: Any) -> None:
    level = _containers([value])
    for _ in range(MAX_JSON_DEPTH):
        if not level:
            return
        level = [inner for outer in level for inner in _containers(outer)]
    if level:
        raise _too_deep()


def _containers(value: dict[str, Any] | list[Any]) -> list[dict[str, Any] | list[Any]]:
    """Return the lists and dictionaries directly inside one."""
    items = value.values() if isinstance(value, dict) else value
    return [item for item in items if isinstance(item, dict | list)]


def _too_deep() -> BlockError:
    return BlockError(f"The JSON is nested more than {MAX_JSON_DEPTH} levels deep.")


class TextEncoderInputs(BlockInputs):
    """A text."""

    text: str = Field(description="The text to escape.")


class TextEncoderOutputs(BlockOutputs):
    """The same text, escaped."""

    encoded_text: str = Field(description="The text with escape sequences in place of special characters.")


class TextEncoderBlock(Block[TextEncoderInputs]):
    """Escapes a text; TextDecoderBlock undoes it."""

    id = "5185f32e-4b65-4ecf-8fbb-873f003f09d6"
    name = "TextEncoderBlock"
    description = "Replaces the special characters of a text by escape sequences."
    Inputs = TextEncoderInputs
    Outputs = TextEncoderOutputs
    examples = (
        Example(
            inputs={"text": 'Hello\nWorld!\nA "quoted" café.'},
            outputs=(("encoded_text", r"Hello\nWorld!\nA " + '"quoted"' + r" caf\xe9."),),
        ),
    )

    def run(self, inputs: TextEncoderInputs, context: BlockContext) -> Iterator[Yielded]:
        """Yield the escaped text."""
        yield "encoded_text", escape(inputs.text)


class TextDecoderInputs(BlockInputs):
    """An escaped text."""

    text: str = Field(description="The text whose escape sequences are to be replaced.")


class TextDecoderOutputs(BlockOutputs):
    """The same text, plain."""

    decoded_text: str = Field(description="The text with characters in place of the escape sequences.")


class TextDecoderBlock(Block[TextDecoderInputs]):
    """Undoes what TextEncoderBlock does."""

    id = "2570e8fe-8447-43ed-84c7-70d657923231"
    name = "TextDecoderBlock"
    description = "Replaces the escape sequences of a text by the characters they stand for."
    Inputs = TextDecoderInputs
    Outputs = TextDecoderOutputs
    examples = (
        Example(
            inputs={"text": r"Hello\nWorld!\nA \"quoted\" caf\u00e9, a café."},
            outputs=(("decoded_text", 'Hello\nWorld!\nA "quoted" café, a café.'),),
        ),
    )

    def run(self, inputs: TextDecoderInputs, context: BlockContext) -> Iterator[Yielded]:
        """Yield the plain text."""
        yield "decoded_text", unescape(inputs.text)


class JSONEncoderInputs(BlockInputs):
    """Any value."""

    data: Any = Field(description="The value to write as JSON.")


class JSONEncoderOutputs(BlockOutputs):
    """Its JSON."""

    json_str: str = Field(description="The value as compact JSON.")


class JSONEncoderBlock(Block[JSONEncoderInputs]):
    """Writes a value as JSON."""

    id = "9a9d20c5-5b4d-4e94-8022-83b6cb72648a"
    name = "JSONEncoderBlock"
    description = "Writes a value as JSON text."
    Inputs = JSONEncoderInputs
    Outputs = JSONEncoderOutputs
    examples = (
        Example(
            inputs={"data": {"name": "Zoë", "active": True, "tags": [1, None]}},
            outputs=(("json_str", '{"name":"Zoë","active":true,"tags":[1,null]}'),),
        ),
    )

    def run(self, inputs: JSONEncoderInputs, context: BlockContext) -> Iterator[Yielded]:
        """Yield the JSON."""
        yield "json_str", to_json(inputs.data)


class JSONDecoderInputs(BlockInputs):
    """A JSON text."""

    json_str: str = Field(description="The JSON to read.")


class JSONDecoderOutputs(BlockOutputs):
    """The value."""

    data: Any = Field(description="The value that the JSON stands for.")


class JSONDecoderBlock(Block[JSONDecoderInputs]):
    """Reads JSON."""

    id = "2b935639-65bc-48fd-9f88-823cd706fcd9"
    name = "JSONDecoderBlock"
    description = "Reads a value from JSON text."
    Inputs = JSONDecoderInputs
    Outputs = JSONDecoderOutputs
    examples = (
        Example(
            inputs={"json_str": '{"name": "Zo\\u00eb", "active": true}'},
            outputs=(("data", {"name": "Zoë", "active": True}),),
        ),
        Example(inputs={"json_str": "[1, 2.5, null]"}, outputs=(("data", [1, 2.5, None]),)),
    )

    def run(self, inputs: JSONDecoderInputs, context: BlockContext) -> Iterator[Yielded]:
        """Yield the value."""
        yield "data", from_json(inputs.json_str)
