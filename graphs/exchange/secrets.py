"""Which parts of a graph are nobody else's business. Recursion is bounded as a document's nesting is."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from graphs.blocks.contract import Kind
from graphs.blocks.interfaces import Interface
from graphs.document import NodeDocument
from graphs.exchange.secret_names import is_secret_name
from graphs.exchange.secret_texts import clean_header_lines, clean_urls, is_credential, is_placeholder

_SCHEMAS: Final = ("input_schema", "output_schema")
_INPUT_LABELS: Final = ("name", "title")
# {"name": "Authorization", "value": …}: the label says what the rest is.
_LABELS: Final = ("name", "key", "header", "field", "variable", "parameter")
_LABELLED: Final = frozenset({"value", "values", "default", "data", "content"})
_PAIRS: Final = re.compile(r"(?:headers?|params|parameters|query|cookies|env|environment|variables)$", re.IGNORECASE)
_HEADERS: Final = re.compile(r"headers?$", re.IGNORECASE)


def clean_node(node: NodeDocument, *, interface: Interface | None) -> NodeDocument:
    """Return the node without credentials and other secrets in its constants and metadata."""
    constants = drop_secrets(node.input_default, interface=interface)
    return replace(node, input_default=constants, metadata=clean_mapping(node.metadata))


def drop_secrets(constants: Mapping[str, Any], *, interface: Interface | None) -> dict[str, Any]:
    """Return a node's constants without credentials and other secrets.

    Secret are what the block declares so, what has a secret's name or form at any depth, credentials in addresses, and
    the value of an INPUT node that is marked `secret` or has a secret's name. Flags such as `secret: true` itself stay.
    """
    hidden = {pin.name for pin in interface.inputs.values() if pin.secret} if interface else set()
    if interface is not None and interface.kind is Kind.INPUT and _is_secret_input(constants):
        hidden |= {"value", "default"}
    schemas = {name: _clean_schema(constants[name]) for name in _SCHEMAS if name in constants}
    others = {name: value for name, value in constants.items() if name not in hidden and name not in schemas}
    cleaned = clean_mapping(others) | schemas
    return {name: cleaned[name] for name in constants if name in cleaned}


def clean_mapping(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping without secrets at any depth."""
    hidden = _LABELLED if any(_is_secret_label(value.get(label)) for label in _LABELS) else frozenset()
    return {
        key: _clean(each, name=key)
        for key, each in value.items()
        if not (key in hidden or is_secret_name(key)) or _is_harmless(each)
    }


def clean_text(text: str, *, name: str = "") -> str:
    """Return the text without secrets; `name` is what it is called, if anything."""
    if is_credential(text):
        return ""
    if text.lstrip()[:1] in ("{", "["):
        return _clean_json(text, name=name)
    return clean_urls(clean_header_lines(text) if _HEADERS.search(name) else text)


def _is_secret_input(constants: Mapping[str, Any]) -> bool:
    return bool(constants.get("secret")) or any(_is_secret_label(constants.get(label)) for label in _INPUT_LABELS)


def _is_secret_label(label: Any) -> bool:
    return isinstance(label, str) and is_secret_name(label)


def _is_harmless(value: Any) -> bool:
    """Whether it is a flag, or a text that only says where a secret will be put in."""
    return isinstance(value, bool) or (isinstance(value, str) and is_placeholder(value))


def _clean(value: Any, *, name: str) -> Any:
    if isinstance(value, Mapping):
        return clean_mapping(value)
    if isinstance(value, list):
        return [_clean_item(each, name=name) for each in value]
    return clean_text(value, name=name) if isinstance(value, str) else value


def _clean_item(item: Any, *, name: str) -> Any:
    """Clean an item of a list; among headers and the like, pairs are names with their values."""
    is_pair = _PAIRS.search(name) and isinstance(item, list) and len(item) == 2
    if is_pair and _is_secret_label(item[0]) and not _is_harmless(item[1]):
        return [item[0], None]
    return _clean(item, name=name)


def _clean_json(text: str, *, name: str) -> str:
    """Clean JSON text, which constants may be written as; it stays as it is written if there is nothing to drop."""
    try:
        value = json.loads(text)
        cleaned = _clean(value, name=name)
    except (ValueError, RecursionError):
        return clean_urls(text)
    return text if cleaned == value else json.dumps(cleaned, ensure_ascii=False)


def _clean_schema(schema: Any) -> Any:
    """Drop secret defaults. The pins of an agent node may have secrets' names: what they are called is no secret."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return schema
    return {**schema, "properties": {name: _clean_pin(name, pin) for name, pin in properties.items()}}


def _clean_pin(name: str, pin: Any) -> Any:
    if not isinstance(pin, Mapping) or "default" not in pin:
        return pin
    if pin.get("secret") or is_secret_name(name):
        return {key: each for key, each in pin.items() if key != "default"}
    return {**pin, "default": _clean(pin["default"], name=name)}
