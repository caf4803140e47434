"""How many messages of one run are in the broker at most: the rest of its QUEUED node executions are held back as rows.

So a run of 100,000 node executions neither floods the broker nor stands in the way of others. Whoever claims or records
in a run sends the next ones; the sweeper does where nobody is left to.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from django.conf import settings

from execution.planning import CPU_QUEUE, IO_QUEUE
from execution.store.batches import Answer, Batch, Prepared
from execution.store.ready import Ready, describe_ready

# `IS TRUE` keeps PostgreSQL from the index that lists a queue's messages: those of all runs.
#
# They are sent when half of the window is free, so that they go several at a time.
_RELEASE: Final = Prepared(
    "release_next",
    "run uuid, queues text[], sizes int[]",
    """
WITH free AS (
    SELECT q.queue, q.size, q.size - (SELECT count(*) FROM (
           SELECT FROM execution_nodeexecution n
            WHERE n.execution_id = %(run)s AND (n.queue = q.queue) IS TRUE AND n.status = 'QUEUED' AND NOT n.held_back
            LIMIT q.size) AS sent) AS places
      FROM unnest(%(queues)s, %(sizes)s) AS q(queue, size)
), next AS MATERIALIZED (
    SELECT n.id FROM free, LATERAL (
           SELECT id FROM execution_nodeexecution
            WHERE execution_id = %(run)s AND queue = free.queue AND status = 'QUEUED' AND held_back
            ORDER BY id LIMIT free.places FOR UPDATE SKIP LOCKED) AS n
     WHERE free.places * 2 >= free.size
)
UPDATE execution_nodeexecution n SET held_back = false, queued_at = clock_timestamp()
  FROM next, execution_execution e
 WHERE n.id = next.id AND n.status = 'QUEUED' AND e.id = n.execution_id AND e.admitted
RETURNING n.id, n.node_id, e.graph_version_id, e.resumptions = 0
""",
)

# A step from run to run through the index, however many each holds back.
_HOLDING_BACK: Final = """
WITH RECURSIVE run(id) AS (
    (SELECT execution_id FROM execution_nodeexecution WHERE status = 'QUEUED' AND held_back
      ORDER BY execution_id LIMIT 1)
     UNION ALL
    SELECT (SELECT n.execution_id FROM execution_nodeexecution n
             WHERE n.status = 'QUEUED' AND n.held_back AND n.execution_id > run.id ORDER BY n.execution_id LIMIT 1)
      FROM run WHERE run.id IS NOT NULL
)
SELECT run.id FROM run JOIN execution_execution e ON e.id = run.id WHERE e.admitted
"""


def may_exceed_window(unfinished: int, *, queues: Iterable[str]) -> bool:
    """Whether something for these queues may have to be held back in a run with so many unfinished node executions."""
    return any(unfinished > settings.RUN_WINDOW[queue] for queue in set(queues))


def ask_to_release(batch: Batch, execution_id: UUID) -> Answer:
    """Ask for what the window of a run has room for: rows for `describe_ready`, to be sent after the commit."""
    queues = [CPU_QUEUE, IO_QUEUE]
    sizes = [int(settings.RUN_WINDOW[queue]) for queue in queues]
    return batch.ask(_RELEASE, {"run": execution_id, "queues": queues, "sizes": sizes})


def release(execution_ids: Iterable[UUID]) -> list[Ready]:
    """Return what the windows of these runs have room for."""
    batch = Batch()
    answers = [ask_to_release(batch, key) for key in execution_ids]
    return [ready for answer in answers for ready in describe_ready(answer.rows)]


def release_forgotten() -> list[Ready]:
    """Return what is held back although there is room for it: whoever should have sent it could not know."""
    return release(key for (key,) in Batch().fetch(_HOLDING_BACK))
