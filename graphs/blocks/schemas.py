"""Reads the pins of a block class: one JSON Schema per pin, each of which stands alone."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from graphs.blocks.contract import Block
from graphs.blocks.interfaces import NO_DEFAULT, InputPin, Interface

DEFINITIONS = "#/$defs/"


@cache
def describe_block(block: type[Block[Any]]) -> Interface:
    """Return the interface of a block class."""
    return Interface(
        id=block.id,
        name=block.name,
        description=block.description,
        kind=block.kind,
        inputs={pin.name: pin for pin in _read_inputs(block.Inputs)},
        outputs=_read_schemas(block.Outputs),
        static_output=block.static_output,
        needs=block.needs,
    )


def _read_inputs(model: type[BaseModel]) -> list[InputPin]:
    schemas = _read_schemas(model)
    fields = {_name_pin(name, field): field for name, field in model.model_fields.items()}
    return [
        InputPin(
            name=name,
            schema=schemas[name],
            required=field.is_required(),
            default=_read_default(field),
            secret=bool(schemas[name].get("secret", False)),
        )
        for name, field in fields.items()
    ]


def _name_pin(name: str, field: FieldInfo) -> str:
    return field.alias or name


def _read_default(field: FieldInfo) -> Any:
    if field.is_required():
        return NO_DEFAULT
    return to_jsonable_python(field.get_default(call_default_factory=True))


def _read_schemas(model: type[BaseModel]) -> dict[str, Mapping[str, Any]]:
    document = model.model_json_schema()
    definitions = document.get("$defs", {})
    properties = document.get("properties", {})
    return {name: _inline(schema, definitions, ()) for name, schema in properties.items()}


def _inline(schema: Any, definitions: Mapping[str, Any], opened: tuple[str, ...]) -> Any:
    """Replace references by what they refer to; a definition inside itself becomes `{}`, anything."""
    if isinstance(schema, list):
        return [_inline(part, definitions, opened) for part in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.removeprefix(DEFINITIONS)
        inlined = {} if name in opened else _inline(definitions[name], definitions, (*opened, name))
        beside = {key: part for key, part in schema.items() if key != "$ref"}
        return {**inlined, **_inline(beside, definitions, opened)}
    return {key: _inline(part, definitions, opened) for key, part in schema.items() if not _points_to_variants(part)}


def _points_to_variants(part: Any) -> bool:
    """Whether this is the `discriminator` of a union: its mapping names definitions that are no longer there."""
    return isinstance(part, dict) and isinstance(part.get("propertyName"), str) and "mapping" in part
