"""Copying and deleting graphs."""

from django.db import transaction
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from graphs.models import Graph, GraphVersion
from graphs.signals import graph_deleted
from graphs.store import insert_graphs, lock_graph


def fork_graph(*, version: GraphVersion) -> GraphVersion:
    """Save a copy of a version as the first one of a new graph of the same owner's, which knows where it comes from.

    Constants are copied as they are; agent nodes run the same graphs as before.
    """
    with transaction.atomic():
        (fork,) = insert_graphs(owner=version.graph.owner, documents=[(uuid7(), version.document())])
        fork.graph.forked_from = version
        fork.graph.save(update_fields=["forked_from"])
    return fork


def delete_graph(*, graph: Graph) -> int:
    """Delete a graph with all of its versions; return how many there were. Raises `GraphNotFoundError` if it has gone.

    Where runs tell of it, it is only hidden, for as long as they are kept: nobody finds it or starts it any more.
    """
    with transaction.atomic():
        locked = lock_graph(graph)
        count = locked.versions.count()
        kept = [keeps for _, keeps in graph_deleted.send(sender=Graph, graph=locked) if keeps]
        if kept:
            Graph.objects.filter(pk=locked.pk).update(deleted_at=Now())
        else:
            locked.delete()
    return count
