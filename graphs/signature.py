"""What a graph takes and gives: its INPUT and OUTPUT nodes, as the JSON Schemas that AutoGPT's exports carry."""

from collections.abc import Callable
from typing import Any

from graphs.blocks.contract import Kind
from graphs.blocks.interfaces import Interface
from graphs.blocks.registry import find_interface
from graphs.document import GraphDocument, NodeDocument

FindInterface = Callable[[str], Interface | None]

_TYPE_KEYS = ("type", "anyOf", "format", "enum", "items")


def input_schema(document: GraphDocument, *, find: FindInterface = find_interface) -> dict[str, Any]:
    """Return an object schema with one property per input; required are those without a default value."""
    nodes = _nodes_of_kind(document, kind=Kind.INPUT, find=find)
    return {
        "type": "object",
        "properties": {name: _describe_input(name, node, find=find) for name, node in nodes.items()},
        "required": [name for name, node in nodes.items() if node.input_default.get("value") is None],
    }


def output_schema(document: GraphDocument, *, find: FindInterface = find_interface) -> dict[str, Any]:
    """Return an object schema with one property per output."""
    nodes = _nodes_of_kind(document, kind=Kind.OUTPUT, find=find)
    return {
        "type": "object",
        "properties": {name: _describe(name, node) for name, node in nodes.items()},
        "required": list(nodes),
    }


def _nodes_of_kind(document: GraphDocument, *, kind: Kind, find: FindInterface) -> dict[str, NodeDocument]:
    """Return the nodes by their `name`, in the graph's order; of several with one name, the first."""
    found: dict[str, NodeDocument] = {}
    for node in document.nodes:
        interface, name = find(node.block_id), node.input_default.get("name")
        if interface is not None and interface.kind is kind and isinstance(name, str):
            found.setdefault(name, node)
    return found


def _describe(name: str, node: NodeDocument) -> dict[str, Any]:
    constants = node.input_default
    described = {
        "advanced": bool(constants.get("advanced", False)),
        "secret": bool(constants.get("secret", False)),
        "title": constants.get("title") or name,
    }
    if constants.get("description"):
        described["description"] = constants["description"]
    return described


def _describe_input(name: str, node: NodeDocument, *, find: FindInterface) -> dict[str, Any]:
    interface, constants = find(node.block_id), node.input_default
    value = interface.inputs.get("value") if interface else None
    described = {key: value.schema[key] for key in _TYPE_KEYS if value and key in value.schema}
    described.update(_describe(name, node))
    if constants.get("value") is not None and not constants.get("secret"):
        described["default"] = constants["value"]
    options = constants.get("options") or constants.get("placeholder_values")
    if isinstance(options, list) and options:
        described["enum"] = options
    return described
