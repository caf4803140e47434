"""What rows say about queues: how much was sent to each, since when it waits, and what of it runs."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from execution.store.batches import one_transaction
from execution.store.round_trips import Prepared

_STANDINGS = """
SELECT q.queue, COALESCE(n.queued, 0), COALESCE(n.held_back, 0), COALESCE(n.running, 0),
       COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - n.oldest), 0)::float
  FROM (SELECT unnest(%s::text[]) AS queue
         UNION SELECT queue FROM execution_nodeexecution WHERE status = 'QUEUED') AS q
  LEFT JOIN (SELECT queue, count(*) FILTER (WHERE status = 'QUEUED' AND NOT held_back) AS queued,
                    count(*) FILTER (WHERE status = 'QUEUED' AND held_back) AS held_back,
                    count(*) FILTER (WHERE status = 'RUNNING') AS running,
                    min(queued_at) FILTER (WHERE status = 'QUEUED' AND NOT held_back) AS oldest
               FROM execution_nodeexecution WHERE status IN ('QUEUED', 'RUNNING') GROUP BY queue) AS n
    ON n.queue = q.queue
 ORDER BY q.queue
"""

# `queued_at` gives it the index of what lies in the queues.
OTHERS_WAIT = Prepared(
    "others_wait",
    "queue text, tree uuid",
    """
SELECT EXISTS(SELECT FROM execution_nodeexecution
               WHERE status = 'QUEUED' AND NOT held_back AND queued_at IS NOT NULL
                 AND queue = %(queue)s AND tree_id <> %(tree)s)
""",
)


@dataclass(frozen=True, kw_only=True)
class QueueRows:
    """What is QUEUED in a queue, the oldest of it for `waits_for` seconds, and what of it is RUNNING.

    What is `held_back` has no message: it waits for its tree's window, or for its run's turn.
    """

    queue: str
    queued: int
    held_back: int
    running: int
    waits_for: float


def count_queues(queues: Collection[str]) -> list[QueueRows]:
    """Return how these queues stand, and others in which something is QUEUED."""
    with connection.cursor() as cursor:
        cursor.execute(_STANDINGS, [sorted(queues)])
        return [
            QueueRows(queue=queue, queued=queued, held_back=held_back, running=running, waits_for=waits_for)
            for queue, queued, held_back, running, waits_for in cursor.fetchall()
        ]


def do_others_wait(queue: str, *, tree_id: UUID) -> bool:
    """Whether a message for this queue, or its backlog, is on its way that belongs to another tree of runs."""
    with one_transaction() as batch:
        answer = batch.ask(OTHERS_WAIT, {"queue": queue, "tree": tree_id})
    ((found,),) = answer.rows
    return bool(found)
