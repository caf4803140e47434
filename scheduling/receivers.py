"""What happens when something else changes: a graph, a schedule's row."""

from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django_celery_beat.models import PeriodicTask

from graphs.models import Graph
from graphs.signals import graph_given_up
from graphs.store import find_agent_nodes
from scheduling.models import Schedule


@receiver(post_save, sender=Graph)
@receiver(post_delete, sender=Graph)
def ask_for_check(instance: Graph, **_others: Any) -> None:
    """Have the schedules of a graph that has changed looked at: its active version may not run as they want it."""
    _mark(Schedule.objects.filter(graph_id=instance.pk))


@receiver(graph_given_up)
def ask_for_check_of_all(graph: Graph, **_others: Any) -> None:
    """Have the owner's schedules looked at that run a graph which is deleted, or other graphs, which it may be.

    It is done before the graph's runs are stopped: whoever fires a schedule holds its row and then stops runs. A new
    version of a graph changes nothing for those above: they name a version, and versions never change.
    """
    version = Q(version__version=OuterRef("graph_version")) | Q(version=OuterRef("graph__active_version"))
    agents = find_agent_nodes().filter(version, version__graph=OuterRef("graph"))
    _mark(Schedule.objects.filter(Q(graph_id=graph.pk) | Exists(agents), user_id=graph.owner_id))


@transaction.atomic
def _mark(schedules: QuerySet[Schedule]) -> None:
    """Have these schedules looked at, those as well that somebody is looking at just now."""
    # In one order, as all do who lock several; what stands in the rows then is what others have left there.
    locked = schedules.order_by("pk").select_for_update(no_key=True, of=("self",))
    left_alone = [key for key, needs_check in locked.values_list("pk", "needs_check") if not needs_check]
    Schedule.objects.filter(pk__in=left_alone).update(needs_check=True)


@receiver(post_delete, sender=Schedule)
def delete_periodic_task(instance: Schedule, **_others: Any) -> None:
    """Let a schedule's PeriodicTask go with it, however it was deleted."""
    PeriodicTask.objects.filter(pk=instance.periodic_task_id).delete()
