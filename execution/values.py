"""Values as JSON text: how they are written to rows.

JSON has no infinity: `inf`, `-inf` and `nan` are written as these words, which a number pin turns back.
"""

import json
import math
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from execution.exceptions import ValueNotStorableError


def to_json_value(value: Any) -> Any:
    """Return `value` as plain JSON data (dates as ISO text, tuples and sets as lists…).

    Raises `ValueNotStorableError` for what has no JSON form, or is nested too deeply or in itself.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    try:
        return _without_infinity(to_jsonable_python(value, inf_nan_mode="constants", by_alias=True))
    except (PydanticSerializationError, RecursionError, ValueError) as error:
        raise ValueNotStorableError(f"A {type(value).__name__} has no JSON form: {error}") from error


def dump(value: Any) -> str:
    """Return the JSON text of plain JSON data."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _without_infinity(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list):
        return [_without_infinity(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _without_infinity(each) for key, each in value.items()}
    return value
