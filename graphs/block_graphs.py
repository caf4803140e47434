"""A block by itself: the graph that it runs in."""

from typing import Final
from uuid import UUID, uuid5

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from graphs.blocks.contract import Kind
from graphs.blocks.registry import find_interface
from graphs.document import GraphDocument, NodeDocument
from graphs.exceptions import BlockNotAloneError, UnknownBlockError
from graphs.models import Graph, GraphVersion
from graphs.store import insert_version, with_parts

_BLOCK_GRAPHS: Final = UUID("6f1d8b0e-52c4-4f0c-9a56-0e3c3a2f7d11")


def get_block_graph(*, user: AbstractBaseUser, block_id: str) -> GraphVersion:
    """Return the graph in which a user runs a block by itself: one node without constants, made at the first call.

    It has no active version, so it is in no list. If its user deleted it, it is there again. Raises
    `UnknownBlockError` and `BlockNotAloneError`.
    """
    interface = find_interface(block_id)
    if interface is None:
        raise UnknownBlockError(f"There is no block {block_id}.")
    if interface.kind in (Kind.AGENT, Kind.INPUT, Kind.NOTE):
        raise BlockNotAloneError(f"{interface.name} does nothing outside a graph.")
    graph_id = uuid5(_BLOCK_GRAPHS, f"{user.pk} {interface.id}")
    node = NodeDocument(id=uuid5(graph_id, "node"), block_id=interface.id)
    found = _find_version(graph_id)
    if found is None:
        with transaction.atomic():
            locked, _ = Graph.objects.select_for_update().get_or_create(pk=graph_id, defaults={"owner_id": user.pk})
            if locked.deleted_at is not None:
                locked.deleted_at = None
                locked.save(update_fields=["deleted_at"])
            found = _find_version(graph_id) or insert_version(
                graph=locked, number=1, document=GraphDocument(name=interface.name, nodes=(node,))
            )
    return found


def _find_version(graph_id: UUID) -> GraphVersion | None:
    versions = GraphVersion.objects.filter(graph_id=graph_id, graph__deleted_at__isnull=True, version=1)
    return with_parts(versions.select_related("graph")).first()
