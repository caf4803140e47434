"""Values as JSON text: how they are written to rows.

JSON has no infinity: `inf`, `-inf` and `nan` are written as these words, which a number pin turns back.
"""

import json
import math
from typing import Any, Final

from pydantic_core import PydanticSerializationError, to_jsonable_python

from execution.exceptions import ValueNotStorableError

# Longer numbers can't be written as text (4,300 digits are Python's limit for it).
_MOST_BITS: Final = 14_000


def to_json_value(value: Any) -> Any:
    """Return `value` as plain JSON data (dates as ISO text, tuples and sets as lists…).

    Raises `ValueNotStorableError` for what has no JSON form, or is nested too deeply or in itself.
    """
    if value is None or isinstance(value, str | bool):
        return value
    try:
        return _without_infinity(to_jsonable_python(value, inf_nan_mode="constants", by_alias=True))
    except (PydanticSerializationError, RecursionError, ValueError) as error:
        raise ValueNotStorableError(f"A {type(value).__name__} has no JSON form: {error}") from error


def to_text(text: str) -> str:
    """Return `text` as a text column can keep it: NUL and halves of surrogate pairs are replaced."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def dump(value: Any) -> str:
    """Return the JSON text of plain JSON data."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _without_infinity(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise ValueError("a number of more than 4,300 digits")
    if isinstance(value, list):
        return [_without_infinity(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _without_infinity(each) for key, each in value.items()}
    return value
