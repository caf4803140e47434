"""The queues that messages go to.

Each kind of workers has two: its own, and one for the backlog of runs that have more to do than their window lets them
send. Workers take from both in turn (Celery's order on Redis, one consumer each on RabbitMQ), so a small run's message
passes those of the large ones.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from django.conf import settings

CPU_QUEUE: Final[str] = settings.CPU_QUEUE
IO_QUEUE: Final[str] = settings.IO_QUEUE
QUEUES: Final = (CPU_QUEUE, IO_QUEUE)


def backlog_of(queue: str) -> str:
    """Return the name of the queue for the backlog of a queue."""
    return str(settings.BACKLOG_QUEUES[queue])


def both_of(queue: str) -> tuple[str, str]:
    """Return the names of a queue and of that for its backlog."""
    return queue, backlog_of(queue)


ALL_QUEUES: Final[Mapping[str, tuple[str, bool]]] = {
    name: (queue, name != queue) for queue in QUEUES for name in both_of(queue)
}
"""By the name of each that there is: for which kind of workers it is, and whether it is for their backlog."""

NAMED_QUEUES: Final = (
    "unnest(%(names)s::text[], %(queues)s::text[], %(backlogs)s::bool[]) AS q(name, queue, is_backlog)"
)


def name_queues(names: Collection[str] = tuple(ALL_QUEUES)) -> dict[str, Any]:
    """Return the parameters of `NAMED_QUEUES`, rows of what the queues of these names are."""
    ordered = sorted(names)
    kinds = [ALL_QUEUES[name] for name in ordered]
    return {"names": ordered, "queues": [queue for queue, _ in kinds], "backlogs": [backlog for _, backlog in kinds]}
