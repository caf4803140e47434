"""From a shape to a graph that the engine can run."""

import uuid
from collections.abc import Mapping
from typing import Any

from bench.blocks import NoOpBlock
from bench.shapes import Shape
from graphs.document import GraphDocument, LinkDocument, NodeDocument


def write_document(
    shape: Shape, *, block_id: str = NoOpBlock.id, constants: Mapping[str, Any] | None = None
) -> GraphDocument:
    """Return a graph of this shape.

    A node with one predecessor gets its value, one with several waits for a list that each fills a place of.
    """
    ids = [uuid.uuid5(uuid.NAMESPACE_OID, f"{shape.name} {node}") for node in range(shape.size)]
    links = [
        LinkDocument(
            id=uuid.uuid5(ids[source], str(sink)),
            source_id=ids[source],
            source_name="value",
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
    return GraphDocument(name=shape.name, nodes=tuple(nodes), links=tuple(links), settings=settings)
