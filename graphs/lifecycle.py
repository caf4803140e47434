"""Copying and deleting graphs."""

from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from graphs.models import Graph, GraphVersion
from graphs.signals import graph_deleted, graph_given_up, graph_keepers_asked
from graphs.store import insert_graphs, lock_graph


def fork_graph(*, version: GraphVersion) -> GraphVersion:
    """Save a copy of a version as the first one of a new graph of the same owner's, which knows where it comes from.

    Constants are copied as they are; agent nodes run the same graphs as before. Raises `GraphNotFoundError`.
    """
    with transaction.atomic():
        lock_graph(version.graph)
        (fork,) = insert_graphs(owner=version.graph.owner, documents=[(uuid7(), version.document())])
        fork.graph.forked_from = version
        fork.graph.save(update_fields=["forked_from"])
    return fork


def delete_graph(*, graph: Graph) -> int:
    """Delete a graph with all of its versions; return how many there were. Raises `GraphNotFoundError` if it has gone.

    Where runs tell of it, it is only hidden, for as long as they are kept: nobody finds it or starts it any more.
    """
    with transaction.atomic():
        locked = lock_graph(graph, to_delete=True)
        count = locked.versions.count()
        graph_given_up.send(sender=Graph, graph=locked)
        graph_deleted.send(sender=Graph, graph=locked)
        if _is_kept(locked):
            Graph.objects.filter(pk=locked.pk).update(deleted_at=Now())
        else:
            locked.delete()
    return count


def remove_hidden_graphs() -> int:
    """Remove graphs that were deleted and that nothing tells of any more; return how many."""
    return sum(
        _remove_hidden(key) for key in Graph.objects.filter(deleted_at__isnull=False).values_list("pk", flat=True)
    )


@transaction.atomic
def _remove_hidden(graph_id: UUID) -> bool:
    hidden = Graph.objects.select_for_update(skip_locked=True).filter(pk=graph_id, deleted_at__isnull=False).first()
    if hidden is None or _is_kept(hidden):
        return False
    hidden.delete()
    return True


def _is_kept(graph: Graph) -> bool:
    """Whether something tells of a deleted graph."""
    return any(keeps for _, keeps in graph_keepers_asked.send(sender=Graph, graph=graph))
