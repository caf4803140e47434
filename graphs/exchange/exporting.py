"""From graphs to the JSON that AutoGPT exports, without secrets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from graphs.blocks.interfaces import Interface
from graphs.document import GraphDocument, LinkDocument, NodeDocument
from graphs.exchange.reading import KEPT_SETTINGS
from graphs.exchange.secrets import clean_mapping, clean_node, clean_text
from graphs.signature import input_schema, output_schema

FindInterface = Callable[[str], Interface | None]


@dataclass(frozen=True, kw_only=True)
class NumberedGraph:
    """A graph version with what identifies it."""

    graph_id: UUID
    version: int
    is_active: bool
    document: GraphDocument


def write_document(graph: NumberedGraph, *, sub_graphs: Sequence[NumberedGraph], find: FindInterface) -> dict[str, Any]:
    """Return the exported JSON of a graph and all graphs that it runs."""
    written = _write_graph(graph, find=find)
    written["sub_graphs"] = [_write_graph(sub_graph, find=find) for sub_graph in sub_graphs]
    return written


def _write_graph(graph: NumberedGraph, *, find: FindInterface) -> dict[str, Any]:
    document = _clean_document(graph.document, find=find)
    links = [_write_link(link) for link in document.links]
    incoming: dict[str, list[dict[str, Any]]] = {}
    outgoing: dict[str, list[dict[str, Any]]] = {}
    for link in links:
        incoming.setdefault(link["sink_id"], []).append(link)
        outgoing.setdefault(link["source_id"], []).append(link)
    nodes = [_write_node(node, graph, incoming=incoming, outgoing=outgoing) for node in document.nodes]
    settings = dict(document.settings)
    return {
        "id": str(graph.graph_id),
        "version": graph.version,
        "is_active": graph.is_active,
        "name": document.name,
        "description": document.description,
        **{key: settings.pop(key, None) for key in KEPT_SETTINGS},
        "settings": settings,
        "nodes": nodes,
        "links": links,
        "input_schema": input_schema(document, find=find),
        "output_schema": output_schema(document, find=find),
    }


def _clean_document(document: GraphDocument, *, find: FindInterface) -> GraphDocument:
    """Return the graph without secrets: so there are none in its input schema's defaults either."""
    return replace(
        document,
        description=clean_text(document.description),
        settings=clean_mapping(document.settings),
        nodes=tuple(clean_node(node, interface=find(node.block_id)) for node in document.nodes),
    )


def _write_node(
    node: NodeDocument,
    graph: NumberedGraph,
    *,
    incoming: Mapping[str, list[dict[str, Any]]],
    outgoing: Mapping[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    return {
        "id": str(node.id),
        "block_id": node.block_id,
        "input_default": dict(node.input_default),
        "metadata": dict(node.metadata),
        "input_links": incoming.get(str(node.id), []),
        "output_links": outgoing.get(str(node.id), []),
        "graph_id": str(graph.graph_id),
        "graph_version": graph.version,
    }


def _write_link(link: LinkDocument) -> dict[str, Any]:
    return {
        "id": str(link.id),
        "source_id": str(link.source_id),
        "sink_id": str(link.sink_id),
        "source_name": link.source_name,
        "sink_name": link.sink_name,
        "is_static": link.is_static,
    }
