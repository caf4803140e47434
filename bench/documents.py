"""From a shape to a graph that the engine can run."""

import uuid
from collections.abc import Mapping
from typing import Any

from bench.blocks import NoOpBlock, StreamBlock
from bench.shapes import Shape
from graphs.blocks.registry import get_block
from graphs.document import GraphDocument, LinkDocument, NodeDocument


def write_document(
    shape: Shape, *, block_id: str = NoOpBlock.id, constants: Mapping[str, Any] | None = None, pin: str = "value"
) -> GraphDocument:
    """Return a graph of this shape; its links begin at `pin`.

    A node with one predecessor gets its value, one with several waits for a list that each fills a place of.
    """
    ids = [uuid.uuid5(uuid.NAMESPACE_OID, f"{shape.name} {node}") for node in range(shape.size)]
    links = [
        LinkDocument(
            id=uuid.uuid5(ids[source], str(sink)),
            source_id=ids[source],
            source_name=pin,
            sink_id=ids[sink],
            sink_name="value" if len(before) == 1 else f"items_$_{place}",
        )
        for sink, before in enumerate(shape.predecessors)
        for place, source in enumerate(before)
    ]
    nodes = [
        NodeDocument(id=ids[node], block_id=block_id, input_default=constants or {"value": node})
        for node in range(shape.size)
    ]
    settings = {"max_node_executions": max(10_000, 2 * shape.size)}
    name = f"{shape.name} of {get_block(block_id).name}"
    return GraphDocument(name=name, nodes=tuple(nodes), links=tuple(links), settings=settings)


def write_stream(*, count: int, first_pause: float, successor: str | None) -> GraphDocument:
    """Return a node that emits `count` values, the first one `first_pause` seconds before the others.

    `successor`: the block of a node that each value goes to, if any.
    """
    name = f"stream of {count}" + (" with a successor" if successor else "")
    source, sink = (uuid.uuid5(uuid.NAMESPACE_OID, f"{name} {place}") for place in ("source", "sink"))
    constants = {"count": count, "first_pause": first_pause}
    nodes = [NodeDocument(id=source, block_id=StreamBlock.id, input_default=constants)]
    links = []
    if successor is not None:
        nodes.append(NodeDocument(id=sink, block_id=successor))
        link_id = uuid.uuid5(source, "link")
        links.append(LinkDocument(id=link_id, source_id=source, source_name="value", sink_id=sink, sink_name="value"))
    return GraphDocument(name=name, nodes=tuple(nodes), links=tuple(links))
