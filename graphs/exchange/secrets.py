"""Which constants of a node are nobody else's business."""

import re
from collections.abc import Mapping
from typing import Any, Final

from graphs.blocks.contract import Kind
from graphs.blocks.interfaces import Interface

_SECRET_NAME: Final = re.compile(
    r"""(?:^|[_\W])(?:
        (?:api|access|private|secret|signing|encryption|client|auth|bot|refresh|bearer|webhook)[_\W]?(?:key|secret|token)
        | apikey | secrets? | token | password | passwd | passphrase | pwd | credentials? | authorization | cookies?
    )$""",
    re.VERBOSE,
)
_SCHEMAS: Final = ("input_schema", "output_schema")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def drop_secrets(constants: Mapping[str, Any], *, interface: Interface | None) -> dict[str, Any]:
    """Return a node's constants without credentials and other secrets.

    Secret are what the block declares so, what has a secret's name at any depth, and the value of an INPUT node that
    is marked `secret`. Flags such as `secret: true` itself stay.
    """
    hidden = {pin.name for pin in interface.inputs.values() if pin.secret} if interface else set()
    if interface is not None and interface.kind is Kind.INPUT and constants.get("secret"):
        hidden |= {"value", "default"}
    schemas = {name: _clean_schema(constants[name]) for name in _SCHEMAS if name in constants}
    return {
        name: schemas[name] if name in schemas else _clean(value)
        for name, value in constants.items()
        if name not in hidden and not _is_secret(name, value)
    }


def is_secret_name(name: str) -> bool:
    """Whether people give this name to secrets: `api_key`, `botToken`, `smtp_password`, `openai_credentials`."""
    return _SECRET_NAME.search(_CAMEL.sub("_", name).lower()) is not None


def _clean_schema(schema: Any) -> Any:
    """Drop secret defaults. The pins of an agent node may have secrets' names: what they are called is no secret."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return schema
    cleaned = {
        name: {key: each for key, each in pin.items() if key != "default"} if _hides_default(name, pin) else pin
        for name, pin in properties.items()
    }
    return {**schema, "properties": cleaned}


def _hides_default(name: str, pin: Any) -> bool:
    return isinstance(pin, Mapping) and (bool(pin.get("secret")) or is_secret_name(name))


def _clean(value: Any) -> Any:
    """Drop secrets at any depth; recursion is bounded as a document's nesting is."""
    if isinstance(value, Mapping):
        return {key: _clean(each) for key, each in value.items() if not _is_secret(key, each)}
    if isinstance(value, list):
        return [_clean(each) for each in value]
    return value


def _is_secret(name: str, value: Any) -> bool:
    """Tell by the name; but a flag is no secret."""
    return is_secret_name(name) and not isinstance(value, bool)
