"""Deleting runs at their owner's wish, and what becomes of runs whose graph or whose owner is deleted."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.signals import pre_delete
from django.dispatch import receiver

from execution.clearing import Cleared, clear_away
from execution.engine.statuses import ENDED
from execution.exceptions import ExecutionNotDeletableError, ExecutionNotFoundError
from execution.models import Execution, Preset
from execution.services import stop_executions
from execution.store.pruning import Tree, delete_trees
from graphs.models import Graph
from graphs.signals import graph_deleted, graph_given_up, graph_keepers_asked


def delete_execution(*, run: Execution) -> None:
    """Delete a run with its sub-runs, all of their rows and files.

    Raises `ExecutionNotDeletableError` while it goes on, or if it is itself a sub-run; `ExecutionNotFoundError`.
    """
    with transaction.atomic():
        locked = Execution.objects.select_for_update().filter(pk=run.pk).only("pk", "status", "root_id").first()
        if locked is None:
            raise ExecutionNotFoundError(f"There is no execution {run.pk}.")
        if locked.root_id is not None:
            raise ExecutionNotDeletableError(f"This is a sub-run; it goes with the run {locked.root_id}.")
        below = list(Execution.objects.select_for_update().filter(root_id=run.pk).order_by("pk").only("pk", "status"))
        if any(each.status not in ENDED for each in (locked, *below)):
            raise ExecutionNotDeletableError("The run goes on. Stop it first.")
        keys = (run.pk, *(each.pk for each in below))
        # After the commit, or a run that stays could lose its files. What can't be done then is upkeep's.
        transaction.on_commit(lambda: clear_away(Cleared(), only=keys), robust=True)
        delete_trees([Tree(root_id=run.pk, runs=tuple((key, run.user_id) for key in keys), node_executions=0)])


@receiver(graph_deleted, dispatch_uid="execution.deletion.leave_graph")
def leave_graph(graph: Graph, **_options: Any) -> None:
    """Stop what runs of a graph that is deleted, and drop its presets."""
    Preset.objects.filter(graph=graph).delete()
    going_on = Execution.objects.filter(graph_version__graph=graph, parent__isnull=True).exclude(status__in=ENDED)
    stop_executions(execution_ids=list(going_on.values_list("pk", flat=True)))


@receiver(pre_delete, sender=settings.AUTH_USER_MODEL, dispatch_uid="execution.deletion.leave_user")
def leave_user(instance: AbstractBaseUser, **_options: Any) -> None:
    """Stop and delete all runs of a user who is deleted, and let none be started until that is done.

    Locked are graphs, schedules, runs and then the account, as everywhere. Django deletes the rows that it has found
    before this; what has come since then, and the files, the upkeep clears away: they may be many.
    """
    for graph in Graph.objects.filter(owner_id=instance.pk).order_by("pk").select_for_update():
        graph_given_up.send(sender=Graph, graph=graph)
    runs = Execution.objects.filter(user_id=instance.pk)
    # All of them, before the account is: whoever prunes may be at some, and has noted those by the time they go.
    keys = list(runs.order_by("depth", "pk").select_for_update().values_list("pk", flat=True))
    going_on = runs.filter(parent__isnull=True).exclude(status__in=ENDED)
    stop_executions(execution_ids=list(going_on.values_list("pk", flat=True)))
    delete_trees(Tree(root_id=key, runs=((key, instance.pk),), node_executions=0) for key in keys)


@receiver(graph_keepers_asked, dispatch_uid="execution.deletion.keep_graph")
def keep_graph(graph: Graph, **_options: Any) -> bool:
    """Keep a deleted graph for as long as there are runs of it."""
    return Execution.objects.filter(graph_version__graph=graph).exists()
