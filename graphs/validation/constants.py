"""Whether a constant can serve as a pin's value.

As lenient as the coercion that it will go through when the graph runs: a number may be written as text, anything
can become text, a list or an object may be JSON text.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

Schema = Mapping[str, Any]

_BOOLEAN_WORDS: Final = frozenset({"true", "1", "yes", "on", "false", "0", "no", "off", ""})
_MAX_NUMBER_TEXT: Final = 400
_MAX_LISTED: Final = 10


def explain_misfit(value: Any, schema: Schema) -> str | None:
    """Return what is wrong with `value` for this JSON Schema, as the end of a sentence ("must be …"); None if it fits.

    None always fits: it means that the pin's default holds.
    """
    if value is None:
        return None
    alternatives = _alternatives(schema)
    if alternatives is not None:
        return _explain_alternatives(value, alternatives)
    if "const" in schema or "enum" in schema:
        return _explain_choice(value, schema.get("enum", [schema.get("const")]))
    check = _CHECKS.get(str(schema.get("type")))
    return check(value, schema) if check else None


def _alternatives(schema: Schema) -> Sequence[Schema] | None:
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), Sequence):
            return list(schema[key])
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": kind} for kind in schema["type"]]
    return None


def _explain_alternatives(value: Any, alternatives: Sequence[Schema]) -> str | None:
    kinds = [alternative for alternative in alternatives if alternative != {"type": "null"}]
    explanations = [explain_misfit(value, kind) for kind in kinds]
    if not explanations or None in explanations:
        return None
    return " or ".join(dict.fromkeys(filter(None, explanations)))


def _explain_choice(value: Any, choices: Sequence[Any]) -> str | None:
    if value in choices or str(value) in map(str, choices):
        return None
    listed = ", ".join(f"“{choice}”" for choice in choices[:_MAX_LISTED])
    more = f" … ({len(choices)} in all)" if len(choices) > _MAX_LISTED else ""
    return f"must be one of {listed}{more}" if len(choices) > 1 else f"must be {listed}"


def _check_string(value: Any, schema: Schema) -> str | None:
    if not isinstance(value, str):
        return None
    return _check_size(len(value), schema, least="minLength", most="maxLength", unit="characters")


def _check_number(value: Any, schema: Schema) -> str | None:
    number = _to_number(value)
    if number is None:
        return "must be a whole number" if schema.get("type") == "integer" else "must be a number"
    if schema.get("type") == "integer" and not math.isfinite(number):
        return "must be a whole number"
    bounds: tuple[tuple[str, Callable[[Any, Any], bool], str], ...] = (
        ("minimum", lambda x, bound: x >= bound, "at least"),
        ("maximum", lambda x, bound: x <= bound, "at most"),
        ("exclusiveMinimum", lambda x, bound: x > bound, "more than"),
        ("exclusiveMaximum", lambda x, bound: x < bound, "less than"),
    )
    for key, holds, words in bounds:
        if key in schema and not holds(number, schema[key]):
            return f"must be {words} {schema[key]}"
    return None


def _to_number(value: Any) -> int | float | None:
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str) or len(value) > _MAX_NUMBER_TEXT:
        return None
    for parse in (int, float):
        try:
            return parse(value)
        except ValueError:
            continue
    return None


def _check_boolean(value: Any, _schema: Schema) -> str | None:
    fits = value.strip().lower() in _BOOLEAN_WORDS if isinstance(value, str) else isinstance(value, int | float)
    return None if fits else "must be true or false"


def _check_array(value: Any, schema: Schema) -> str | None:
    parsed = _parse(value)
    items = parsed if isinstance(parsed, list) else [value]
    size = _check_size(len(items), schema, least="minItems", most="maxItems", unit="items")
    wanted = schema.get("items")
    if size or not isinstance(wanted, Mapping) or not wanted:
        return size
    misfits = ((index, explain_misfit(item, wanted)) for index, item in enumerate(items))
    return next((f"must be a list whose item {index} {told}" for index, told in misfits if told), None)


def _check_object(value: Any, schema: Schema) -> str | None:
    parsed = _parse(value)
    if not isinstance(parsed, Mapping):
        return "must be an object"
    properties, others = schema.get("properties", {}), schema.get("additionalProperties")
    for key, each in parsed.items():
        wanted = properties.get(key, others)
        told = explain_misfit(each, wanted) if isinstance(wanted, Mapping) else None
        if told:
            return f"must be an object whose “{key}” {told}"
    missing = [key for key in schema.get("required", ()) if key not in parsed]
    return f"must be an object with “{missing[0]}”" if missing else None


def _check_size(size: int, schema: Schema, *, least: str, most: str, unit: str) -> str | None:
    if size < schema.get(least, 0):
        return f"must have at least {schema[least]} {unit}"
    if size > schema.get(most, math.inf):
        return f"must have at most {schema[most]} {unit}"
    return None


def _parse(value: Any) -> Any:
    """Return the value that JSON text stands for; the value itself if it isn't JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


_CHECKS: Final[dict[str, Callable[[Any, Schema], str | None]]] = {
    "string": _check_string,
    "number": _check_number,
    "integer": _check_number,
    "boolean": _check_boolean,
    "array": _check_array,
    "object": _check_object,
}
