"""Which messages are lost: what is QUEUED although everything that was sent so long ago has come out of its queue.

A queue and its backlog are probed each by itself: what is lost from the one need not wait for the other.
"""

from collections.abc import Collection
from datetime import datetime

from django.db import connection

from execution.queues import NAMED_QUEUES, name_queues
from execution.store.ready import Ready, describe_ready

# A queue is probed if something has waited in it for a while and no probe was sent just now.
_DUE_PROBES = f"""
WITH waiting AS (
    SELECT q.name FROM {NAMED_QUEUES}
     WHERE EXISTS (SELECT FROM execution_nodeexecution n
                    WHERE n.status = 'QUEUED' AND NOT n.held_back AND n.queue = q.queue AND n.is_backlog = q.is_backlog
                      AND n.queued_at < clock_timestamp() - make_interval(secs => %(patience)s))
)
INSERT INTO execution_queueprobe AS p (queue, sent_at) SELECT name, clock_timestamp() FROM waiting
    ON CONFLICT (queue) DO UPDATE SET sent_at = EXCLUDED.sent_at
 WHERE p.sent_at IS NULL OR p.sent_at > clock_timestamp()
    OR p.sent_at < clock_timestamp() - make_interval(secs => %(interval)s)
RETURNING queue, sent_at
"""  # noqa: S608 - made of constants

_NOTE_PASSED = """
INSERT INTO execution_queueprobe AS p (queue, passed, passed_at)
SELECT q.queue, LEAST(COALESCE(%(sent_at)s, clock_timestamp()), clock_timestamp()), clock_timestamp()
  FROM unnest(%(queues)s::text[]) AS q(queue)
    ON CONFLICT (queue) DO UPDATE SET passed = EXCLUDED.passed, passed_at = EXCLUDED.passed_at
 WHERE p.passed IS NULL OR p.passed < EXCLUDED.passed OR p.passed > clock_timestamp()
"""

# The patience covers the time from a row's change to its message, and from a message's arrival to the claim.
_TAKE_LOST = f"""
WITH lost AS MATERIALIZED (
    SELECT w.id FROM {NAMED_QUEUES} JOIN execution_queueprobe p ON p.queue = q.name, LATERAL (
           SELECT id FROM execution_nodeexecution
            WHERE status = 'QUEUED' AND NOT held_back AND queue = q.queue AND is_backlog = q.is_backlog
              AND queued_at < p.passed - make_interval(secs => %(patience)s)
            ORDER BY queued_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS w
     WHERE p.passed_at < clock_timestamp() - make_interval(secs => %(patience)s / 3)
)
UPDATE execution_nodeexecution n SET queued_at = clock_timestamp()
  FROM lost, execution_execution e
 WHERE n.id = lost.id AND e.id = n.execution_id
RETURNING n.id, n.node_id, e.graph_version_id, false, n.is_backlog
"""  # noqa: S608 - made of constants

_CORRECT_TIMES = f"""
UPDATE execution_nodeexecution n SET queued_at = clock_timestamp()
  FROM {NAMED_QUEUES} JOIN execution_queueprobe p ON p.queue = q.name
 WHERE n.status = 'QUEUED' AND NOT n.held_back AND n.queue = q.queue AND n.is_backlog = q.is_backlog
   AND n.queued_at > clock_timestamp() + interval '5 seconds'
"""  # noqa: S608 - made of constants


def due_probes(queues: Collection[str], *, patience: float, interval: float) -> list[tuple[str, datetime]]:
    """Return the queues to send a probe to, with the time that it must carry.

    One goes to a queue in which something has waited for `patience` seconds, and no sooner than `interval` seconds
    after the last one.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DUE_PROBES, {**name_queues(queues), "patience": patience, "interval": interval})
        return [(queue, sent_at) for queue, sent_at in cursor.fetchall()]


def note_passed(queues: Collection[str], *, sent_at: datetime | None = None) -> None:
    """Write down that all messages sent to these queues before `sent_at` (now, if not given) have come out."""
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_PASSED, {"queues": sorted(queues), "sent_at": sent_at})


def take_lost(*, patience: float, limit: int) -> list[Ready]:
    """Return node executions whose message is lost, the oldest of each queue, and count them as sent now."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_LOST, {**name_queues(), "patience": patience, "limit": limit})
        return describe_ready(cursor.fetchall())


def correct_queue_times() -> int:
    """Let what was queued later than now have been queued now: the database's clock was set back. Return how many.

    Only where a queue has been probed: elsewhere nobody asks.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CORRECT_TIMES, name_queues())
        return int(cursor.rowcount)
