"""What happens when something else changes: a graph, a schedule's row."""

from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django_celery_beat.models import PeriodicTask

from graphs.models import Graph
from graphs.signals import graph_deleted
from graphs.store import find_agent_nodes
from scheduling.models import Schedule


@receiver(post_save, sender=Graph)
@receiver(post_delete, sender=Graph)
def ask_for_check(instance: Graph, **_others: Any) -> None:
    """Have the schedules of a graph that has changed looked at: its active version may not run as they want it."""
    Schedule.objects.filter(graph_id=instance.pk).update(needs_check=True)


@receiver(graph_deleted)
def ask_for_check_of_hidden(graph: Graph, **_others: Any) -> None:
    """Have the schedules of a graph looked at that is deleted, also if runs keep its rows.

    Those of graphs that may run it are looked at when it is gone: until then its deletion holds locks of its runs.
    """
    ask_for_check(instance=graph)
    transaction.on_commit(lambda: _ask_for_check_above(owner_id=graph.owner_id), robust=True)


@transaction.atomic
def _ask_for_check_above(*, owner_id: int) -> None:
    """Have the owner's schedules of graphs looked at that run other graphs, which one they name or not.

    A new version of a graph changes nothing for those above: they name a version, and versions never change.
    """
    version = Q(version__version=OuterRef("graph_version")) | Q(version=OuterRef("graph__active_version"))
    agents = find_agent_nodes().filter(version, version__graph=OuterRef("graph"))
    above = Schedule.objects.filter(Exists(agents), user_id=owner_id, needs_check=False)
    # In one order: somebody may do the same at the same time.
    locked = above.order_by("pk").select_for_update(no_key=True, of=("self",)).values("pk")
    Schedule.objects.filter(pk__in=locked).update(needs_check=True)


@receiver(post_delete, sender=Schedule)
def delete_periodic_task(instance: Schedule, **_others: Any) -> None:
    """Let a schedule's PeriodicTask go with it, however it was deleted."""
    PeriodicTask.objects.filter(pk=instance.periodic_task_id).delete()
