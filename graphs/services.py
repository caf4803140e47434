"""What a user can do with graphs."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Max
from uuid_utils.compat import uuid7

from graphs.agents import read_reference
from graphs.blocks.contract import Kind
from graphs.blocks.registry import find_interface
from graphs.credentials import Masks as CredentialMasks
from graphs.credentials import add_credentials
from graphs.document import GraphDocument, NodeDocument
from graphs.exceptions import GraphNotFoundError
from graphs.exchange.exporting import NumberedGraph, write_document
from graphs.exchange.importing import ReadGraph, read_document, read_version
from graphs.exchange.limits import Limits
from graphs.models import Graph, GraphVersion
from graphs.store import find_versions, insert_graphs, insert_version, lock_graph, with_parts
from graphs.validation import describe_node, refuse_unrunnable, refuse_unsavable

CHECKS_KEPT: Final = 1000

Masks = Collection[tuple[UUID, str]] | Mapping[UUID, Collection[str]]


@dataclass(frozen=True, kw_only=True)
class ImportedGraph:
    """What was saved, and sentences about what was changed or may not work.

    `node_ids` maps the document's ids of nodes to what they became: to several where several graphs use the same id.
    """

    version: GraphVersion
    sub_graphs: tuple[GraphVersion, ...]
    warnings: tuple[str, ...]
    node_ids: Mapping[str, tuple[UUID, ...]]


def read_limits() -> Limits:
    """Return the limits that the settings `GRAPH_MAX_BYTES`, `GRAPH_MAX_NODES` and `GRAPH_MAX_LINKS` ask for."""
    wanted = {
        "max_bytes": getattr(settings, "GRAPH_MAX_BYTES", None),
        "max_nodes": getattr(settings, "GRAPH_MAX_NODES", None),
        "max_links": getattr(settings, "GRAPH_MAX_LINKS", None),
    }
    return replace(Limits(), **{name: value for name, value in wanted.items() if value is not None})


def import_graph(*, owner: AbstractBaseUser, document: bytes | str | Mapping[str, Any]) -> ImportedGraph:
    """Save the graph of an exported document, and its sub-graphs, as new graphs of the owner's.

    Raises `GraphDocumentError` if the document can't be read. Blocks and pins that we don't know are kept.
    """
    read = read_document(document, limits=read_limits(), find=find_interface)
    graphs = (read.graph, *read.sub_graphs)
    with transaction.atomic():
        version, *sub_graphs = insert_graphs(
            owner=owner, documents=[(graph.graph_id, graph.document) for graph in graphs]
        )
        unknown = _describe_unknown_references(owner_id=owner.pk, graphs=graphs)
    return ImportedGraph(
        version=version,
        sub_graphs=tuple(sub_graphs),
        warnings=(*read.warnings, *unknown),
        node_ids=read.node_ids,
    )


def create_graph(*, owner: AbstractBaseUser, document: GraphDocument) -> GraphVersion:
    """Save a new graph; its first version is active. Raises `GraphInvalidError` if its structure is broken."""
    refuse_unsavable(document)
    with transaction.atomic():
        (version,) = insert_graphs(owner=owner, documents=[(uuid7(), document)])
    return version


def create_version(*, graph: Graph, document: GraphDocument) -> GraphVersion:
    """Save the next version of a graph and make it the active one.

    Versions are numbered without gaps: whoever creates one holds the graph's row. Raises `GraphInvalidError` if the
    document's structure is broken, `GraphNotFoundError` if the graph has gone.
    """
    refuse_unsavable(document)
    with transaction.atomic():
        locked = lock_graph(graph)
        newest = locked.versions.aggregate(newest=Max("version"))["newest"] or 0
        version = insert_version(graph=locked, number=newest + 1, document=document)
        _activate(locked, version)
    return version


def change_settings(*, graph: Graph, changes: Mapping[str, Any]) -> GraphVersion:
    """Save the active version with other settings as the next one; null takes a setting away.

    Where nothing changes the active version is returned. Raises as `create_version` does.
    """
    with transaction.atomic():
        locked = lock_graph(graph)
        active = get_version(user=locked.owner, graph_id=locked.pk)
        document = active.document()
        wanted = {key: value for key, value in {**document.settings, **changes}.items() if value is not None}
        if wanted == document.settings:
            return active
        return create_version(graph=locked, document=replace(document, settings=wanted))


def replace_graph(*, graph: Graph, document: bytes | str | Mapping[str, Any]) -> ImportedGraph:
    """Save an exported document as the next version of a graph; ids stay, and sub-graphs in it are left out.

    Raises `GraphDocumentError` if it can't be read.
    """
    read = read_version(document, limits=read_limits(), find=find_interface)
    version = create_version(graph=graph, document=read.graph.document)
    unknown = _describe_unknown_references(owner_id=graph.owner_id, graphs=[read.graph])
    return ImportedGraph(version=version, sub_graphs=(), warnings=(*read.warnings, *unknown), node_ids=read.node_ids)


def set_active_version(*, graph: Graph, version: int) -> GraphVersion:
    """Make a version the one that runs when no other is asked for. Raises `GraphNotFoundError`."""
    with transaction.atomic():
        locked = lock_graph(graph)
        found = locked.versions.filter(version=version).first()
        if found is None:
            raise GraphNotFoundError(f"Graph {graph.pk} has no version {version}.")
        _activate(locked, found)
    return found


def get_version(
    *, user: AbstractBaseUser, graph_id: UUID | str, version: int | None = None, parts: bool = True
) -> GraphVersion:
    """Return a version of a graph of the user's, the active one unless a number is given.

    Nodes and links come along unless `parts` is false. Raises `GraphNotFoundError`.
    """
    graph = get_graph(user=user, graph_id=graph_id)
    versions = with_parts(graph.versions.all()) if parts else graph.versions.all()
    found = versions.filter(pk__in=[graph.active_version_id]) if version is None else versions.filter(version=version)
    result = found.first()
    if result is None:
        raise GraphNotFoundError(
            f"Graph {graph_id} has no {'active version' if version is None else f'version {version}'}."
        )
    result.graph = graph
    return result


def get_graph(*, user: AbstractBaseUser, graph_id: UUID | str) -> Graph:
    """Return a graph of the user's. Raises `GraphNotFoundError`."""
    try:
        wanted = UUID(str(graph_id))
    except ValueError:
        raise GraphNotFoundError(f"{graph_id!r} is not the id of a graph.") from None
    graphs = Graph.objects.filter(owner_id=user.pk, pk=wanted, deleted_at__isnull=True)
    graph = graphs.select_related("active_version", "forked_from").first()
    if graph is None:
        raise GraphNotFoundError(f"There is no graph {graph_id}.")
    return graph


def export_graph(*, version: GraphVersion) -> dict[str, Any]:
    """Return a version as AutoGPT's JSON, with all graphs that it runs, and without secrets."""
    return write_document(
        _number(version),
        sub_graphs=[_number(sub_graph) for sub_graph in find_sub_graphs(version=version)],
        find=find_interface,
    )


def find_sub_graphs(*, version: GraphVersion) -> list[GraphVersion]:
    """Return the versions that this one runs, and those that they run, each once. Three queries per level."""
    found: dict[tuple[UUID, int], GraphVersion] = {}
    seen = {(version.graph_id, version.version)}
    level = [version]
    while level:
        wanted = {target for each in level for target in _targets(each.document().nodes)} - seen
        seen |= wanted
        below = find_versions(owner_id=version.graph.owner_id, references=wanted, with_content=True)
        found |= below
        level = list(below.values())
    return list(found.values())


def check_runnable(*, version: GraphVersion, masks: Masks = frozenset(), simulate: bool = False) -> None:
    """Raise `GraphInvalidError` with every problem if the version, or a graph that it runs, can't run."""
    is_plain = not masks and not simulate
    if is_plain and version.pk in _sound:
        return
    document = version.document()
    refuse_unrunnable(
        document,
        masks=masks,
        simulate=simulate,
        find_graph=_SubGraphs(version),
        max_nesting=settings.MAX_SUB_RUN_DEPTH,
    )
    if is_plain and not _agents(document.nodes):
        if len(_sound) >= CHECKS_KEPT:
            _sound.clear()
        _sound.add(version.pk)


# Versions that can always run: they never change, and run no other graphs, which may be deleted.
_sound: set[UUID] = set()


def add_references(
    version: GraphVersion, *, masks: CredentialMasks, references: Mapping[str, Mapping[str, Any]]
) -> CredentialMasks:
    """Return a run's masks with the references to credentials where the version wants them.

    Raises `CredentialsInvalidError`.
    """
    return add_credentials(version.document(), masks=masks, references=references) if references else masks


class _SubGraphs:
    """Finds the graphs that a version runs. They are read when the first is asked for, all at once."""

    def __init__(self, version: GraphVersion) -> None:
        self._version = version
        self._documents: dict[tuple[UUID, int], GraphDocument] | None = None

    def __call__(self, graph_id: UUID, number: int) -> GraphDocument | None:
        if self._documents is None:
            found = [self._version, *find_sub_graphs(version=self._version)]
            self._documents = {(each.graph_id, each.version): each.document() for each in found}
        return self._documents.get((graph_id, number))


def _activate(graph: Graph, version: GraphVersion) -> None:
    graph.active_version = version
    graph.save(update_fields=["active_version", "updated_at"])


def _number(version: GraphVersion) -> NumberedGraph:
    return NumberedGraph(
        graph_id=version.graph_id,
        version=version.version,
        is_active=version.graph.active_version_id == version.pk,
        document=version.document(),
    )


def _agents(nodes: Iterable[NodeDocument]) -> list[NodeDocument]:
    interfaces = ((node, find_interface(node.block_id)) for node in nodes)
    return [node for node, interface in interfaces if interface is not None and interface.kind is Kind.AGENT]


def _targets(nodes: Iterable[NodeDocument]) -> set[tuple[UUID, int]]:
    found = (read_reference(node.input_default).target for node in _agents(nodes))
    return {target for target in found if target is not None}


def _describe_unknown_references(*, owner_id: Any, graphs: Iterable[ReadGraph]) -> list[str]:
    """Return a sentence for each agent node that refers to a graph that the owner doesn't have."""
    outside = [node for graph in graphs for node in graph.outside]
    references = {node.id: read_reference(node.input_default) for node in outside}
    known = find_versions(
        owner_id=owner_id, references=[each.target for each in references.values() if each.target is not None]
    )
    return [
        f"“{describe_node(node, find_interface(node.block_id))}” can't run: its graph "
        f"{references[node.id].graph_id or '(none)'} is neither in the document nor among yours."
        for node in outside
        if references[node.id].target not in known
    ]
