"""Writes graphs to their rows, many at a time, and reads versions back."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import F, Q, QuerySet

from graphs.blocks.contract import Kind
from graphs.blocks.registry import all_interfaces
from graphs.document import GraphDocument
from graphs.exceptions import GraphNotFoundError
from graphs.models import Graph, GraphVersion, Link, Node

BATCH_SIZE = 2_000
"""Rows per INSERT: well under PostgreSQL's 65,535 parameters."""


def insert_graphs(
    *, owner: AbstractBaseUser, documents: Sequence[tuple[UUID, GraphDocument]], number: int = 1
) -> list[GraphVersion]:
    """Insert new graphs with these ids, and their first versions, which become the active ones.

    Call it in a transaction: a graph and its active version refer to each other.
    """
    graphs = [Graph(id=graph_id, owner_id=owner.pk) for graph_id, _ in documents]
    versions = [
        _build_version(graph=graph, number=number, document=document)
        for graph, (_, document) in zip(graphs, documents, strict=True)
    ]
    for graph, version in zip(graphs, versions, strict=True):
        graph.active_version = version  # its foreign key is looked at when the transaction ends
    Graph.objects.bulk_create(graphs, batch_size=BATCH_SIZE)
    _insert_versions(versions, [document for _, document in documents])
    return versions


def insert_version(*, graph: Graph, number: int, document: GraphDocument) -> GraphVersion:
    """Insert one version of a graph that exists."""
    version = _build_version(graph=graph, number=number, document=document)
    _insert_versions([version], [document])
    return version


def find_versions(
    *, owner_id: Any, references: Iterable[tuple[UUID, int]], with_content: bool = False
) -> dict[tuple[UUID, int], GraphVersion]:
    """Return the owner's versions among these (graph id, version). One query, three with the content."""
    wanted = set(references)
    if not wanted:
        return {}
    numbers: dict[int, list[UUID]] = {}
    for graph_id, number in wanted:
        numbers.setdefault(number, []).append(graph_id)
    condition = Q()
    for number, graph_ids in numbers.items():
        condition |= Q(version=number, graph_id__in=graph_ids)
    found = GraphVersion.objects.filter(condition, graph__owner_id=owner_id, graph__deleted_at__isnull=True)
    found = found.select_related("graph")
    versions = with_parts(found) if with_content else found
    return {(version.graph_id, version.version): version for version in versions}


def find_wanted_versions(
    wanted: Collection[tuple[Any, UUID, int | None]],
) -> dict[tuple[Any, UUID, int | None], GraphVersion]:
    """Return versions with their content by (owner id, graph id, version); None is the active version.

    Three queries, however many. What there isn't, or is somebody else's, is left out.
    """
    graphs_by_number: dict[int | None, list[UUID]] = {}
    for _, graph_id, number in wanted:
        graphs_by_number.setdefault(number, []).append(graph_id)
    condition = Q(pk__in=[])
    for number, graph_ids in graphs_by_number.items():
        is_it = Q(pk=F("graph__active_version_id")) if number is None else Q(version=number)
        condition |= is_it & Q(graph_id__in=graph_ids)
    found = GraphVersion.objects.filter(condition, graph__deleted_at__isnull=True).select_related("graph")
    named: dict[tuple[Any, UUID, int | None], GraphVersion] = {}
    for version in with_parts(found):
        owner_id, is_active = version.graph.owner_id, version.graph.active_version_id == version.pk
        named[owner_id, version.graph_id, version.version] = version
        if is_active:
            named[owner_id, version.graph_id, None] = version
    return {key: named[key] for key in wanted if key in named}


def with_parts(versions: QuerySet[GraphVersion]) -> QuerySet[GraphVersion]:
    """Fetch nodes and links along, one query each."""
    return versions.prefetch_related("nodes", "links")


def find_agent_nodes() -> QuerySet[Node]:
    """Return the nodes that run other graphs."""
    agents = [interface.id for interface in all_interfaces() if interface.kind is Kind.AGENT]
    return Node.objects.filter(block_id__in=agents)


def _build_version(*, graph: Graph, number: int, document: GraphDocument) -> GraphVersion:
    return GraphVersion(
        graph=graph,
        version=number,
        name=document.name,
        description=document.description,
        settings=dict(document.settings),
        node_count=len(document.nodes),
        link_count=len(document.links),
    )


def _insert_versions(versions: Sequence[GraphVersion], documents: Sequence[GraphDocument]) -> None:
    """Versions before nodes before links: the triggers look for what each belongs to."""
    pairs = list(zip(versions, documents, strict=True))
    GraphVersion.objects.bulk_create(versions, batch_size=BATCH_SIZE)
    Node.objects.bulk_create(
        [
            Node(
                version=version,
                position=position,
                node_id=node.id,
                block_id=node.block_id,
                input_default=dict(node.input_default),
                metadata=dict(node.metadata),
            )
            for version, document in pairs
            for position, node in enumerate(document.nodes)
        ],
        batch_size=BATCH_SIZE,
    )
    Link.objects.bulk_create(
        [
            Link(
                version=version,
                position=position,
                link_id=link.id,
                source_id=link.source_id,
                source_name=link.source_name,
                sink_id=link.sink_id,
                sink_name=link.sink_name,
                is_static=link.is_static,
            )
            for version, document in pairs
            for position, link in enumerate(document.links)
        ],
        batch_size=BATCH_SIZE,
    )


def lock_graph(graph: Graph, *, to_delete: bool = False) -> Graph:
    """Lock a graph's row until the transaction ends. Raises `GraphNotFoundError` if the graph has gone.

    Runs of it are started all the same (see `execution.store.starting`), unless it is `to_delete` it.
    """
    graphs = Graph.objects.select_for_update(no_key=not to_delete)
    locked = graphs.filter(pk=graph.pk, deleted_at__isnull=True).first()
    if locked is None:
        raise GraphNotFoundError(f"There is no graph {graph.pk}.")
    return locked
