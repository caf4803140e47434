"""What happens when something else changes: a graph, a schedule's row."""

from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django_celery_beat.models import PeriodicTask

from graphs.models import Graph
from graphs.signals import graph_deleted
from scheduling.models import Schedule


@receiver(post_save, sender=Graph)
@receiver(post_delete, sender=Graph)
def ask_for_check(instance: Graph, **_others: Any) -> None:
    """Have the schedules of a graph that has changed looked at: its active version may not run as they want it."""
    Schedule.objects.filter(graph_id=instance.pk).update(needs_check=True)


@receiver(graph_deleted)
def ask_for_check_of_hidden(graph: Graph, **_others: Any) -> bool:
    """Have the schedules of a graph looked at that is deleted, also if runs keep its rows; schedules keep nothing."""
    ask_for_check(instance=graph)
    return False


@receiver(post_delete, sender=Schedule)
def delete_periodic_task(instance: Schedule, **_others: Any) -> None:
    """Let a schedule's PeriodicTask go with it, however it was deleted."""
    PeriodicTask.objects.filter(pk=instance.periodic_task_id).delete()
