"""Small graphs for tests, written as nodes and arrows."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

INPUT = "c0a8e994-ebf1-4a9c-a4d8-89d09c86741b"
OUTPUT = "363ae599-353e-4804-937e-b2ee3cef3da4"
STEP = "f66a3543-28d3-4ab5-8945-9b336371e2ce"
CALCULATOR = "b1ab9b19-67a6-406d-abf5-2dba76d00c79"
TIMER = "d67a9c52-5e4e-11e2-bcfd-0800200c9a71"
ASK = "8b2a7b3c-6e9d-4a5f-8c1b-2e3f4a5b6c7d"
CONVERTER = "95d1b990-ce13-4d88-9737-ba5c2070c97b"


def node_id(name: str) -> str:
    """Return the id of the node called `name`; always the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def draw(
    nodes: Mapping[str, tuple[str, Mapping[str, Any]]], arrows: Sequence[str] = (), **settings: Any
) -> dict[str, Any]:
    """Return an exported graph: `nodes` maps a name to (block id, constants), an arrow reads `a.pin -> b.pin`."""
    return {
        "id": node_id("graph"),
        "version": 1,
        "name": "small",
        "description": "",
        "settings": settings,
        "nodes": [
            {
                "id": node_id(name),
                "block_id": block_id,
                "input_default": dict(constants),
                "metadata": {"customized_name": name},
            }
            for name, (block_id, constants) in nodes.items()
        ],
        "links": [_link(arrow) for arrow in arrows],
    }


def _link(arrow: str) -> dict[str, Any]:
    source, sink = (end.strip().split(".", 1) for end in arrow.split("->"))
    return {
        "id": node_id(arrow),
        "source_id": node_id(source[0]),
        "source_name": source[1],
        "sink_id": node_id(sink[0]),
        "sink_name": sink[1],
    }


ADDING = draw(
    {
        "in": (INPUT, {"name": "Number"}),
        "add": (CALCULATOR, {"operation": "Add", "b": 34}),
        "out": (OUTPUT, {"name": "Sum"}),
    },
    ["in.result -> add.a", "add.result -> out.value"],
)
