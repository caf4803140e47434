"""Values made from declared types: what a block that can't run emits in a simulated run."""

from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_SIMPLE: Final[dict[str, Any]] = {"integer": 1, "number": 1.0, "boolean": True, "null": None}
_DEEPEST: Final = 6


def make_sample(schema: Schema, *, name: str, depth: int = 0) -> Any:
    """Return a value of the type that the JSON Schema `schema` describes; always the same one."""
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    for alternatives in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(alternatives), list) and schema[alternatives]:
            return make_sample(_choose(schema[alternatives]), name=name, depth=depth)
    kind = _choose_type(schema.get("type"))
    if kind == "array":
        return [make_sample(_as_schema(schema.get("items")), name=name, depth=depth + 1)] if depth < _DEEPEST else []
    if kind == "object":
        return _make_object(schema, depth) if depth < _DEEPEST else {}
    return _SIMPLE.get(str(kind), f"sample {name}")


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
