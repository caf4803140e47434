"""Builds small graphs and documents for tests, from the blocks that every installation has."""

import os
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from graphs.blocks.contract import Kind, Need
from graphs.blocks.interfaces import InputPin, Interface
from graphs.document import LinkDocument, NodeDocument

INPUT: Final = "c0a8e994-ebf1-4a9c-a4d8-89d09c86741b"
OUTPUT: Final = "363ae599-353e-4804-937e-b2ee3cef3da4"
CALCULATOR: Final = "b1ab9b19-67a6-406d-abf5-2dba76d00c79"
FILL_TEXT_TEMPLATE: Final = "db7d8f02-2f44-4c55-ab7a-eae0941f0c30"
COMBINE_TEXTS: Final = "e30a4d42-7b7d-4e6a-b36e-1f9b8e3b7d85"
NOTE: Final = "cc10ff7b-7753-4ff2-9af6-9399b1a7eddc"
STORE_VALUE: Final = "1ff065e9-88e8-4358-9d82-8dc91f622ba9"
AGENT: Final = "e189baac-8c20-45a1-94a7-55177ea42565"
GMAIL_SEND: Final = "6c27abc2-e51d-499e-a85f-5a0041ba94f0"
NOBODY_KNOWS: Final = "00000000-0000-4000-8000-000000000bad"

_NAMESPACE: Final = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


def make_id(name: str) -> UUID:
    """Return the same id for the same name."""
    return uuid5(_NAMESPACE, name)


def make_node(name: str, block_id: str, /, **constants: Any) -> NodeDocument:
    """Return a node whose id comes from its name."""
    return NodeDocument(id=make_id(name), block_id=block_id, input_default=constants)


def make_link(source: str, sink: str, *, is_static: bool = False) -> LinkDocument:
    """Return a link, written as `"node.pin", "node.pin"`."""
    (source_node, source_name), (sink_node, sink_name) = source.split(".", 1), sink.split(".", 1)
    return LinkDocument(
        id=make_id(f"{source} {sink}"),
        source_id=make_id(source_node),
        source_name=source_name,
        sink_id=make_id(sink_node),
        sink_name=sink_name,
        is_static=is_static,
    )


def node_json(name: str, block_id: str, /, **constants: Any) -> dict[str, Any]:
    """Return a node as exports have it, under a plain name for an id."""
    return {"id": name, "block_id": block_id, "input_default": constants, "metadata": {"position": {"x": 1, "y": 2}}}


def link_json(source: str, sink: str, **others: Any) -> dict[str, Any]:
    """Return a link as exports have it, written as `"node.pin", "node.pin"`."""
    (source_node, source_name), (sink_node, sink_name) = source.split(".", 1), sink.split(".", 1)
    return {
        "source_id": source_node,
        "source_name": source_name,
        "sink_id": sink_node,
        "sink_name": sink_name,
        **others,
    }


def graph_json(*nodes: dict[str, Any], links: list[dict[str, Any]] | None = None, **others: Any) -> dict[str, Any]:
    """Return a graph as exports have it."""
    return {"id": "the graph", "version": 3, "name": "A graph", "nodes": list(nodes), "links": links or [], **others}


def calculator_json(**others: Any) -> dict[str, Any]:
    """Return a graph of an input, plus 34, to an output."""
    return graph_json(
        node_json("in", INPUT, name="Input"),
        node_json("add", CALCULATOR, operation="Add", b=34),
        node_json("out", OUTPUT, name="Output"),
        links=[link_json("in.result", "add.a"), link_json("add.result", "out.value")],
        **others,
    )


def agent_json(
    name: str, *, graph_id: str, graph_version: int, inputs: list[str], outputs: list[str]
) -> dict[str, Any]:
    """Return an agent node that refers to a graph."""
    return node_json(
        name,
        AGENT,
        user_id="",
        graph_id=graph_id,
        graph_version=graph_version,
        inputs={},
        input_schema={"type": "object", "properties": {pin: {} for pin in inputs}, "required": inputs},
        output_schema={"type": "object", "properties": {pin: {} for pin in outputs}, "required": outputs},
    )


def _interface(block_id: str, name: str, *pins: InputPin, outputs: tuple[str, ...] = (), **others: Any) -> Interface:
    return Interface(
        id=block_id,
        name=name,
        inputs={pin.name: pin for pin in pins},
        outputs={output: {} for output in (*outputs, "error")},
        **others,
    )


_NUMBER: Final = {"type": "number"}
_OPERATION: Final = {"enum": ["Add", "Subtract"], "type": "string"}
_TEXTS: Final = {"type": "array", "items": {"type": "string"}}

INTERFACES: Final = {
    interface.id: interface
    for interface in (
        _interface(
            INPUT,
            "AgentInputBlock",
            InputPin(name="name", schema={"type": "string"}, required=True),
            InputPin(name="value", schema={}, default=None),
            outputs=("result",),
            kind=Kind.INPUT,
            static_output=True,
        ),
        _interface(
            OUTPUT,
            "AgentOutputBlock",
            InputPin(name="name", schema={"type": "string"}, required=True),
            InputPin(name="value", schema={}, default=None),
            outputs=("output",),
            kind=Kind.OUTPUT,
            static_output=True,
        ),
        _interface(
            CALCULATOR,
            "CalculatorBlock",
            InputPin(name="operation", schema=_OPERATION, required=True),
            InputPin(name="a", schema=_NUMBER, required=True),
            InputPin(name="b", schema=_NUMBER, required=True),
            InputPin(name="round_result", schema={"type": "boolean"}, default=False),
            outputs=("result",),
        ),
        _interface(
            FILL_TEXT_TEMPLATE,
            "FillTextTemplateBlock",
            InputPin(name="values", schema={"type": "object"}, required=True),
            InputPin(name="format", schema={"type": "string"}, required=True),
            outputs=("output",),
        ),
        _interface(
            COMBINE_TEXTS,
            "CombineTextsBlock",
            InputPin(name="input", schema=_TEXTS, required=True),
            outputs=("output",),
        ),
        _interface(NOTE, "NoteBlock", InputPin(name="text", schema={"type": "string"}, required=True), kind=Kind.NOTE),
        _interface(AGENT, "AgentExecutorBlock", kind=Kind.AGENT),
        _interface(
            GMAIL_SEND,
            "GmailSendBlock",
            InputPin(name="body", schema={"type": "string"}, required=True),
            InputPin(name="credentials", schema={"type": "object"}, required=True, secret=True),
            outputs=("result",),
            needs=frozenset({Need.CREDENTIALS, Need.NETWORK}),
            available=False,
        ),
    )
}


def find_agent_files() -> list[Path]:
    """Return the exported agents that are at hand: in `AGENTS_DIR`, or in a folder beside the project's."""
    project = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("AGENTS_DIR") or project.parent / "shared" / "agents")
    return sorted(folder.glob("*.json"))
