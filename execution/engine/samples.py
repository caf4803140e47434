"""Values made from declared types: what a block that can't run emits in a simulated run."""

from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_SIMPLE: Final[dict[str, Any]] = {"integer": 1, "number": 1.0, "boolean": True, "null": None}
_DEEPEST: Final = 6


def make_sample(schema: Schema, *, name: str, depth: int = 0) -> Any:
    """Return a value of the type that the JSON Schema `schema` describes; always the same one."""
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    for alternatives in ("anyOf", "oneOf", "allOf"):
        if schema.get(alternatives):
            chosen = next((each for each in schema[alternatives] if each.get("type") != "null"), {})
            return make_sample(chosen, name=name, depth=depth)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "array":
        return [make_sample(schema.get("items") or {}, name=name, depth=depth + 1)] if depth < _DEEPEST else []
    if kind == "object":
        return _make_object(schema, depth) if depth < _DEEPEST else {}
    return _SIMPLE.get(str(kind), f"sample {name}")


def _make_object(schema: Schema, depth: int) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    return {key: make_sample(each, name=key, depth=depth + 1) for key, each in properties.items()}
