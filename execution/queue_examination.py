"""What should not be in the broker: nobody who listens, messages about nothing, a queue from which nothing comes out.

The broker and the rows can't be seen at one moment, and a queue that is being emptied differs from the rows for a
while. So whatever is found is looked at again (see `execution.examination`).
"""

from dataclasses import dataclass
from typing import Any

from amqp.exceptions import NotFound
from celery import current_app
from django.conf import settings
from kombu import Connection
from kombu.exceptions import ChannelError

from execution.presence import find_listened
from execution.queues import QUEUES, both_of
from execution.store.examination import LEASES_OF_PATIENCE, Hit
from execution.store.messages import note_passed
from execution.store.queues import QueueRows, count_queues
from execution.tasks import BROKER_AWAY


@dataclass(frozen=True, kw_only=True)
class QueueStanding:
    """A queue by the broker and by the rows. `messages` is None if the broker can't be reached."""

    rows: QueueRows
    messages: int | None
    has_listeners: bool

    @property
    def is_late(self) -> bool:
        """Whether something has waited in it for long."""
        return self.rows.queued > 0 and self.rows.waits_for > LEASES_OF_PATIENCE * settings.LEASE_SECONDS


def look_at_queues() -> list[QueueStanding]:
    """Return how all queues stand: ours, and those in which something waits."""
    # The messages first: one that is taken meanwhile is then a row that is QUEUED no longer, not the other way round.
    try:
        messages = _count_messages()
    except BROKER_AWAY:
        messages = None
    listened = find_listened(QUEUES)
    return [
        QueueStanding(
            rows=rows,
            messages=None if messages is None else messages.get(rows.queue, 0),
            has_listeners=rows.queue in listened,
        )
        for rows in count_queues(QUEUES)
    ]


def find_broker_away() -> list[Hit]:
    """Return why the broker can't be reached, if so."""
    try:
        _count_messages()
    except BROKER_AWAY as error:
        return [Hit(subject="broker", detail=str(error) or type(error).__name__)]
    return []


def find_without_workers() -> list[Hit]:
    """Return the queues in which something has waited for long and to which nobody listens."""
    return [
        Hit(subject=each.rows.queue, detail=f"{each.rows.queued} wait, the oldest for {each.rows.waits_for:.0f} s")
        for each in look_at_queues()
        if each.is_late and not each.has_listeners
    ]


def find_stalled() -> list[Hit]:
    """Return the queues in which something has waited for long while workers listen and run nothing of it."""
    return [
        Hit(subject=each.rows.queue, detail=f"{each.rows.queued} wait, the oldest for {each.rows.waits_for:.0f} s")
        for each in look_at_queues()
        if each.is_late and each.has_listeners and not each.rows.running
    ]


def find_leftovers() -> list[Hit]:
    """Return the queues with more messages than there are rows to send them for.

    Where workers listen, messages of runs that were stopped come out behind the others: then only if nothing else is
    there to do.
    """
    return [
        Hit(subject=each.rows.queue, detail=f"{each.messages} messages, {each.rows.queued} node executions")
        for each in look_at_queues()
        if (each.messages or 0) > each.rows.queued
        and not (each.has_listeners and (each.rows.queued or each.rows.running))
    ]


def empty_queue(queue: str) -> bool:
    """Throw a queue's messages away if no row is QUEUED in it. What is QUEUED meanwhile will be missed and sent."""
    rows = next((rows for rows in count_queues([queue]) if rows.queue == queue), None)
    if rows is None or rows.queued:
        return False
    with _connect() as connection:
        channel: Any = connection.default_channel
        for name in both_of(queue):
            if _count(connection, name):
                channel.queue_purge(name)
    note_passed(both_of(queue))
    return True


def _count_messages() -> dict[str, int]:
    """Return how many messages wait in our queues and their backlogs. Raises what `BROKER_AWAY` lists."""
    with _connect() as connection:
        return {queue: sum(_count(connection, name) for name in both_of(queue)) for queue in QUEUES}


def _count(connection: Connection, queue: str) -> int:
    try:
        channel: Any
        with connection.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)
    except (NotFound, ChannelError):
        # Nothing was ever sent to it; in Redis an empty queue is none.
        return 0


def _connect() -> Connection:
    connection: Connection = current_app.connection_for_write()
    connection.ensure_connection(max_retries=1, interval_start=1, timeout=settings.CELERY_BROKER_CONNECTION_TIMEOUT)
    return connection
