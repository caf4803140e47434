"""The queues that messages go to.

Each kind of workers has two: its own, and one for the backlog of runs that have more to do than their window lets them
send. Workers take from both in turn (Celery's order on Redis, one consumer each on RabbitMQ), so a small run's message
passes those of the large ones.
"""

from typing import Final

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
