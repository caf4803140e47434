"""From an exported document to graphs of our own: new ids, mended references, today's pins, and what to tell."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from graphs.blocks.interfaces import Interface
from graphs.document import GraphDocument, LinkDocument, NodeDocument
from graphs.exceptions import GraphDocumentError
from graphs.exchange.json_text import parse_json
from graphs.exchange.legacy import modernize
from graphs.exchange.limits import Limits
from graphs.exchange.notices import describe_graph, shorten
from graphs.exchange.reading import read_records
from graphs.exchange.records import GraphRecord, LinkRecord, NodeRecord
from graphs.exchange.references import find_target, is_agent, read_signature
from graphs.pins import rename_tool_node

FIRST_VERSION = 1
"""The version that an imported graph begins with."""

FindInterface = Callable[[str], Interface | None]


@dataclass(frozen=True, kw_only=True)
class ReadGraph:
    """A graph that is ready to be saved under `graph_id`.

    `outside` are its agent nodes that refer to no graph of the document: whether they refer to another graph of the
    user's, only the database can tell.
    """

    graph_id: UUID
    document: GraphDocument
    outside: tuple[NodeDocument, ...]


@dataclass(frozen=True, kw_only=True)
class ReadDocument:
    """What a document holds: the graph, its sub-graphs, and sentences about what was changed or may not work.

    `node_ids` maps the document's ids of nodes to what they became: to several where several graphs use the same id.
    """

    graph: ReadGraph
    sub_graphs: tuple[ReadGraph, ...]
    warnings: tuple[str, ...]
    node_ids: Mapping[str, tuple[UUID, ...]]


def read_document(document: bytes | str | Mapping[str, Any], *, limits: Limits, find: FindInterface) -> ReadDocument:
    """Read a graph and its sub-graphs, all with new ids. Raises `GraphDocumentError`."""
    modern = [modernize(record, find=find) for record in _load_records(document, limits=limits)]
    graphs = [record for record, _ in modern]
    builder = _Builder(
        graphs=graphs,
        graph_ids=[uuid7() for _ in graphs],
        node_ids=[{node.id: uuid7() for node in graph.nodes} for graph in graphs],
        find=find,
    )
    targets = builder.find_targets()
    built = [builder.build(index, targets=targets) for index in range(len(graphs))]
    notices = [
        notice
        for (record, changes), read, ids in zip(modern, built, builder.node_ids, strict=True)
        for notice in describe_graph(
            read.document,
            changes=[(ids[node], what) for node, what in changes],
            find=find,
            place="" if record is graphs[0] else read.document.name,
        )
    ]
    return ReadDocument(
        graph=built[0],
        sub_graphs=tuple(built[1:]),
        warnings=shorten(notices),
        node_ids=_merge_node_ids(builder.node_ids),
    )


def read_version(document: bytes | str | Mapping[str, Any], *, limits: Limits, find: FindInterface) -> ReadDocument:
    """Read the next version of a graph that exists: ids that are UUIDs stay, references stay, sub-graphs are left out.

    Raises `GraphDocumentError`.
    """
    record, changes = modernize(_load_records(document, limits=limits)[0], find=find)
    node_ids = {node.id: _as_uuid(node.id) or uuid7() for node in record.nodes}
    if len(set(node_ids.values())) < len(node_ids):
        raise GraphDocumentError("The document is not a graph. Two nodes have the same id, written differently.")
    graph_id = _as_uuid(record.id) or uuid7()
    builder = _Builder(graphs=[record], graph_ids=[graph_id], node_ids=[node_ids], find=find, keep_link_ids=True)
    read = builder.build(0, targets={})
    told = [(node_ids[node], what) for node, what in changes]
    notices = describe_graph(read.document, changes=told, find=find, place="")
    return ReadDocument(
        graph=read, sub_graphs=(), warnings=shorten(notices), node_ids=_merge_node_ids(builder.node_ids)
    )


def _load_records(document: bytes | str | Mapping[str, Any], *, limits: Limits) -> tuple[GraphRecord, ...]:
    value = parse_json(document, limits=limits) if isinstance(document, bytes | str) else dict(document)
    return read_records(value, limits=limits)


def _merge_node_ids(of_graphs: Sequence[Mapping[str, UUID]]) -> dict[str, tuple[UUID, ...]]:
    merged: dict[str, tuple[UUID, ...]] = {}
    for node_ids in of_graphs:
        for old, new in node_ids.items():
            merged[old] = (*merged.get(old, ()), new)
    return merged


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


@dataclass(frozen=True, kw_only=True)
class _Builder:
    """The graphs of one document, by index, with the ids that they and their nodes get."""

    graphs: Sequence[GraphRecord]
    graph_ids: Sequence[UUID]
    node_ids: Sequence[Mapping[str, UUID]]
    find: FindInterface
    keep_link_ids: bool = False

    def find_targets(self) -> dict[tuple[int, str], int]:
        """Return the graph of the document that each agent node, as (graph, node id), refers to."""
        signatures = [read_signature(graph, find=self.find) for graph in self.graphs]
        found = {
            (index, node.id): find_target(node.input_default, graphs=self.graphs, signatures=signatures)
            for index, graph in enumerate(self.graphs)
            for node in graph.nodes
            if is_agent(node)
        }
        return {agent: target for agent, target in found.items() if target is not None}

    def build(self, index: int, *, targets: Mapping[tuple[int, str], int]) -> ReadGraph:
        """Return one graph; its agent nodes refer to their `targets`, where they have one."""
        graph = self.graphs[index]
        nodes = [self._build_node(node, index=index, target=targets.get((index, node.id))) for node in graph.nodes]
        is_outside = [is_agent(node) and (index, node.id) not in targets for node in graph.nodes]
        document = GraphDocument(
            name=graph.name,
            description=graph.description,
            nodes=tuple(nodes),
            links=self._build_links(index),
            settings=graph.settings,
        )
        outside = tuple(node for node, flag in zip(nodes, is_outside, strict=True) if flag)
        return ReadGraph(graph_id=self.graph_ids[index], document=document, outside=outside)

    def _build_node(self, node: NodeRecord, *, index: int, target: int | None) -> NodeDocument:
        constants = dict(node.input_default)
        if target is not None:
            constants["graph_id"] = str(self.graph_ids[target])
            constants["graph_version"] = FIRST_VERSION
            masks = constants.get("nodes_input_masks")
            if isinstance(masks, dict):
                ids = self.node_ids[target]
                constants["nodes_input_masks"] = {str(ids.get(key, key)): pins for key, pins in masks.items()}
        return NodeDocument(
            id=self.node_ids[index][node.id], block_id=node.block_id, input_default=constants, metadata=node.metadata
        )

    def _build_links(self, index: int) -> tuple[LinkDocument, ...]:
        ids = self.node_ids[index]
        interfaces = {node.id: self.find(node.block_id) for node in self.graphs[index].nodes}
        used: set[UUID] = set()
        links = []
        for link in self.graphs[index].links:
            source = interfaces[link.source_id]
            link_id = self._link_id(link, used=used)
            used.add(link_id)
            links.append(
                LinkDocument(
                    id=link_id,
                    source_id=ids[link.source_id],
                    source_name=_mend_tool(link.source_name, ids),
                    sink_id=ids[link.sink_id],
                    sink_name=_mend_tool(link.sink_name, ids),
                    is_static=link.is_static or (source is not None and source.static_output),
                )
            )
        return tuple(links)

    def _link_id(self, link: LinkRecord, *, used: set[UUID]) -> UUID:
        """Nothing refers to a link by its id: one that is missing, or there twice, simply gets a new one."""
        kept = _as_uuid(link.id) if self.keep_link_ids else None
        return uuid7() if kept is None or kept in used else kept


def _mend_tool(name: str, ids: Mapping[str, UUID]) -> str:
    return rename_tool_node(name, lambda node: str(ids[node]) if node in ids else None)
