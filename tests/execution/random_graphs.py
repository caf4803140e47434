"""Graphs made by chance, with one link into each pin: a graph of this kind has one answer."""

import random
import uuid
from dataclasses import dataclass, field
from typing import Any

INPUT = "c0a8e994-ebf1-4a9c-a4d8-89d09c86741b"
OUTPUT = "363ae599-353e-4804-937e-b2ee3cef3da4"
STEP = "f66a3543-28d3-4ab5-8945-9b336371e2ce"
CALCULATOR = "b1ab9b19-67a6-406d-abf5-2dba76d00c79"
CONDITION = "715696a0-e1da-45c8-b209-c2fa9c3b0be6"
TEMPLATE = "db7d8f02-2f44-4c55-ab7a-eae0941f0c30"
CONVERTER = "95d1b990-ce13-4d88-9737-ba5c2070c97b"


@dataclass
class _Builder:
    chance: random.Random
    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    # The pins that emit a stream of numbers, and those that emit one number, once and statically.
    streams: list[tuple[str, str]] = field(default_factory=list)
    statics: list[tuple[str, str]] = field(default_factory=list)

    def node(self, block_id: str, **input_default: Any) -> str:
        node_id = str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
        self.nodes.append({"id": node_id, "block_id": block_id, "input_default": input_default, "metadata": {}})
        return node_id

    def link(self, source: tuple[str, str], sink_id: str, sink_name: str) -> None:
        link_id = str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
        self.links.append(
            {
                "id": link_id,
                "source_id": source[0],
                "source_name": source[1],
                "sink_id": sink_id,
                "sink_name": sink_name,
            }
        )


def make_document(seed: int, *, size: int = 12) -> dict[str, Any]:
    """Return an exported graph of about `size` nodes: streams, joins, static pins, branches, a loop."""
    builder = _Builder(random.Random(seed))
    _add_sources(builder)
    while len(builder.nodes) < size:
        builder.chance.choice([_add_sum, _add_branch, _add_template, _add_running_total])(builder)
    for number, stream in enumerate(builder.streams):
        builder.link(stream, builder.node(OUTPUT, name=f"out {number}"), "value")
    return {
        "id": str(uuid.UUID(int=seed, version=4)),
        "version": 1,
        "name": f"random {seed}",
        "description": "",
        "nodes": builder.nodes,
        "links": builder.links,
    }


def _add_sources(builder: _Builder) -> None:
    items = [builder.chance.randint(-9, 9) for _ in range(builder.chance.randint(2, 6))]
    step = builder.node(STEP)
    builder.link((builder.node(INPUT, name="items", value=items), "result"), step, "items")
    builder.streams.append((step, "item"))
    builder.statics.append((builder.node(INPUT, name="constant", value=builder.chance.randint(1, 9)), "result"))


def _add_sum(builder: _Builder) -> None:
    node = builder.node(CALCULATOR, operation=builder.chance.choice(["Add", "Subtract", "Multiply"]))
    builder.link(builder.chance.choice(builder.streams), node, "a")
    builder.link(builder.chance.choice(builder.streams + builder.statics), node, "b")
    builder.streams.append((node, "result"))


def _add_branch(builder: _Builder) -> None:
    node = builder.node(CONDITION, operator=builder.chance.choice(["<", ">=", "=="]))
    builder.link(builder.chance.choice(builder.streams), node, "value1")
    builder.link(builder.chance.choice(builder.statics), node, "value2")
    builder.streams += [(node, "yes_output"), (node, "no_output")]


def _add_template(builder: _Builder) -> None:
    node = builder.node(TEMPLATE, format="{{ x | int + y | int }}", values={})
    builder.link(builder.chance.choice(builder.streams), node, "values_#_x")
    builder.link(builder.chance.choice(builder.streams), node, "values_#_y")
    builder.streams.append((node, "output"))


def _add_running_total(builder: _Builder) -> None:
    # The only pin with two links: the start value comes once and before what the loop feeds back.
    node = builder.node(CALCULATOR, operation="Add")
    builder.link(builder.chance.choice(builder.streams), node, "b")
    builder.link((builder.node(CONVERTER, type="number", value="0"), "value"), node, "a")
    builder.link((node, "result"), node, "a")
    builder.streams.append((node, "result"))
