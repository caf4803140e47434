"""Bringing a value to the type that a pin declares, where that can be done without guessing.

`coerce` never fails: what it can't bring to the type it returns as it is, and validation names the pin. The
conversions are those of AutoGPT's `util/type.py`, without the ones that invent a value: text that is no number becomes
an error here, 0 there; so does a fraction where a boolean is wanted, which is true there.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off", ""})
_MAX_NUMBER_TEXT: Final = 400


def coerce(value: Any, schema: Schema) -> Any:
    """Return `value` as the type that the JSON Schema `schema` wants, or unchanged."""
    if value is None:
        return value
    for alternatives in ("anyOf", "oneOf"):
        if isinstance(schema.get(alternatives), list):
            return _coerce_to_any(value, [each for each in schema[alternatives] if isinstance(each, Mapping)])
    kind = schema.get("type")
    if isinstance(kind, list):
        return _coerce_to_any(value, [{**schema, "type": each} for each in kind])
    converter = _CONVERTERS.get(kind) if isinstance(kind, str) else None
    return converter(value, schema) if converter else value


def _coerce_to_any(value: Any, schemas: list[Schema]) -> Any:
    """Leave a value that has one of the types; bring any other to the first type that it can be brought to."""
    if any(_has_type(value, schema) for schema in schemas):
        exact = next(schema for schema in schemas if _has_type(value, schema))
        return coerce(value, exact)
    for schema in schemas:
        converted = coerce(value, schema)
        if _has_type(converted, schema):
            return converted
    return value


_PYTHON_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def _has_type(value: Any, schema: Schema) -> bool:
    kind = schema.get("type")
    if isinstance(kind, list):
        return any(_has_type(value, {"type": each}) for each in kind)
    if not isinstance(kind, str):
        return True
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _PYTHON_TYPES.get(kind, ()))


def _to_string(value: Any, _schema: Schema) -> Any:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):  # a number with thousands of digits, or a value that is nested too deeply
        return value


def _to_number(value: Any, _schema: Schema) -> Any:
    if not isinstance(value, str):
        return value
    number = _parse_number(value)
    return value if number is None else number


def _to_integer(value: Any, _schema: Schema) -> Any:
    number = _parse_number(value) if isinstance(value, str) else value
    if isinstance(number, float) and math.isfinite(number):
        return int(number)
    return number if isinstance(number, int) else value


def _parse_number(text: str) -> int | float | None:
    text = text.strip()
    # Python reads “1_000” as a number; nobody else does.
    if not text or "_" in text or len(text) > _MAX_NUMBER_TEXT:
        return None
    for parse in (int, float):
        try:
            number = parse(text)
        except ValueError:
            continue
        # “nan” and “inf” are no JSON numbers.
        return number if isinstance(number, int) or math.isfinite(number) else None
    return None


def _to_boolean(value: Any, _schema: Schema) -> Any:
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else value
    if isinstance(value, float):
        return bool(value) if value in (0.0, 1.0) else value
    return bool(value) if isinstance(value, int) else value


def _to_array(value: Any, schema: Schema) -> Any:
    items = value
    if isinstance(value, str):
        parsed = _parse_json(value)
        items = parsed if isinstance(parsed, list) else [value]
    elif not isinstance(value, list):
        items = [value]
    wanted = schema.get("items")
    return [coerce(item, wanted) for item in items] if isinstance(wanted, Mapping) and wanted else items


def _to_object(value: Any, schema: Schema) -> Any:
    parsed = _parse_json(value) if isinstance(value, str) else value
    if not isinstance(parsed, dict):
        return value
    wanted = schema.get("additionalProperties")
    if isinstance(wanted, Mapping) and wanted:
        return {key: coerce(each, wanted) for key, each in parsed.items()}
    return parsed


def _parse_json(text: str) -> Any:
    """Return the parsed text, or None if it is not JSON (or nested too deeply to be read)."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_CONVERTERS: Final[dict[str, Callable[[Any, Schema], Any]]] = {
    "string": _to_string,
    "number": _to_number,
    "integer": _to_integer,
    "boolean": _to_boolean,
    "array": _to_array,
    "object": _to_object,
}
