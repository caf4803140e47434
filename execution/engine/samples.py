"""Values made from declared types, for simulated runs: what a block that can't run emits, what a run isn't given."""

from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_SIMPLE: Final[dict[str, Any]] = {"integer": 1, "number": 1.0, "boolean": True, "null": None}
_BY_FORMAT: Final[dict[str, str]] = {
    "date": "2024-01-31",
    "time": "12:00:00",
    "date-time": "2024-01-31T12:00:00Z",
    "file": "data:text/csv;base64,bmFtZSx2YWx1ZQpzYW1wbGUsMQo=",
}
_DEEPEST: Final = 6


def make_sample(schema: Schema, *, name: str, depth: int = 0) -> Any:
    """Return a value of the type that the JSON Schema `schema` describes; always the same one."""
    prescribed = _prescribed(schema)
    if prescribed:
        return prescribed[0]
    for alternatives in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(alternatives), list) and schema[alternatives]:
            return make_sample(_choose(schema[alternatives]), name=name, depth=depth)
    kind = _choose_type(schema.get("type"))
    if kind == "array":
        return [make_sample(_as_schema(schema.get("items")), name=name, depth=depth + 1)] if depth < _DEEPEST else []
    if kind == "object":
        return _make_object(schema, depth) if depth < _DEEPEST else {}
    return _SIMPLE.get(str(kind), f"sample {name}")


def _prescribed(schema: Schema) -> list[Any]:
    """Return the values that the schema itself names: options, a constant, one in the wanted format."""
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return list(schema["enum"])
    if "const" in schema:
        return [schema["const"]]
    formatted = _BY_FORMAT.get(str(schema.get("format")))
    return [formatted] if formatted else []


def _choose(schemas: list[Any]) -> Schema:
    """Return the first that is not null: nothing would be a poor sample."""
    return next((_as_schema(each) for each in schemas if _as_schema(each).get("type") != "null"), {})


def _choose_type(kind: Any) -> Any:
    if not isinstance(kind, list):
        return kind
    return next((each for each in kind if each != "null"), None)


def _make_object(schema: Schema, depth: int) -> dict[str, Any]:
    properties = _as_schema(schema.get("properties"))
    return {key: make_sample(_as_schema(each), name=key, depth=depth + 1) for key, each in properties.items()}


def _as_schema(schema: Any) -> Schema:
    """JSON Schemas may also be booleans, and those of imported graphs anything at all."""
    return schema if isinstance(schema, Mapping) else {}
