"""A run and the runs below it: they are locked from the top down, and what is unfinished in them ends together.

A run gets sub-runs only while its row is locked, so once it is locked the list of those below it is complete.
"""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from execution.engine.statuses import ENDED, UNFINISHED, Status
from execution.store.batches import Batch
from execution.store.charging import ask_to_bill, release_holds

ENDED_CHANNEL = "execution_ended"

_SUB_RUNS = """
SELECT c.id, c.parent_id
  FROM execution_execution c JOIN execution_nodeexecution n ON n.id = c.parent_id
 WHERE n.execution_id = ANY(%s)
"""

UNFINISHED_SUB_RUNS = "SELECT id FROM execution_execution WHERE parent_id = %s AND status = ANY('{QUEUED,RUNNING}')"

_LOCK = "SELECT id, status FROM execution_execution WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"

# `wake_at` stays: a timer goes on from there if the run is resumed.
_TERMINATE_NODES = """
WITH unfinished AS (
    SELECT id, execution_id, status FROM execution_nodeexecution
     WHERE execution_id = ANY(%(runs)s) AND status = ANY(%(statuses)s) ORDER BY id FOR NO KEY UPDATE
), terminated AS (
    UPDATE execution_nodeexecution n SET status = 'TERMINATED', ended_at = clock_timestamp()
      FROM unfinished u WHERE n.id = u.id
 RETURNING u.execution_id, u.status, n.id
)
SELECT execution_id, status, count(*), array_agg(id ORDER BY id) FILTER (WHERE status = 'RUNNING'),
       (array_agg(id ORDER BY id) FILTER (WHERE status = 'QUEUED'))[:1000]
  FROM terminated GROUP BY execution_id, status
"""

_TERMINATE_RUNS = """
WITH ended AS (
    UPDATE execution_execution
       SET status = 'TERMINATED', error = %(error)s, unfinished = 0, event_number = event_number + 1,
           started_at = COALESCE(started_at, clock_timestamp()), ended_at = clock_timestamp()
     WHERE id = ANY(%(runs)s) AND status = ANY('{QUEUED,RUNNING}') RETURNING id
)
SELECT pg_notify(%(channel)s, id::text) FROM ended
"""


@dataclass(frozen=True, kw_only=True)
class RunBelow:
    """A run below another. `status` is how it stands; one that has not ended is locked."""

    id: UUID
    parent_id: UUID
    status: Status


@dataclass(frozen=True, kw_only=True)
class Terminated:
    """How many node executions of a run ended before their time; `was` is how they stood, `running` those that ran.

    `queued` are the first of those that were to run.
    """

    execution_id: UUID
    was: Status
    count: int
    running: tuple[UUID, ...]
    queued: tuple[UUID, ...]


def lock_runs_below(execution_id: UUID) -> list[RunBelow]:
    """Return all runs below a locked run, those that have not ended locked until the transaction ends."""
    below: list[RunBelow] = []
    level = [execution_id]
    with connection.cursor() as cursor:
        while level:
            cursor.execute(_SUB_RUNS, [level])
            parents = dict(cursor.fetchall())
            level = sorted(parents)
            cursor.execute(_LOCK, [level])
            below += [RunBelow(id=key, parent_id=parents[key], status=Status(status)) for key, status in cursor]
    return below


def terminate_nodes(execution_ids: Collection[UUID]) -> list[Terminated]:
    """End what is unfinished in locked runs, and say what that was."""
    with connection.cursor() as cursor:
        cursor.execute(
            _TERMINATE_NODES, {"runs": list(execution_ids), "statuses": [Status.INCOMPLETE, *sorted(UNFINISHED)]}
        )
        terminated = [
            Terminated(
                execution_id=key,
                was=Status(was),
                count=count,
                running=tuple(running or ()),
                queued=tuple(queued or ()),
            )
            for key, was, count, running, queued in cursor.fetchall()
        ]
    release_holds(execution_ids=execution_ids)
    return terminated


def terminate_runs(execution_ids: Collection[UUID], *, error: str) -> None:
    """End locked runs, and tell those who listen."""
    with connection.cursor() as cursor:
        cursor.execute(_TERMINATE_RUNS, {"runs": list(execution_ids), "error": error, "channel": ENDED_CHANNEL})
    batch = Batch()
    ask_to_bill(batch, execution_ids)
    batch.flush()


def terminate_below(execution_id: UUID, *, error: str) -> None:
    """End a locked run's unfinished node executions, and the runs below it with theirs."""
    below = [run.id for run in lock_runs_below(execution_id) if run.status not in ENDED]
    terminate_nodes([execution_id, *below])
    terminate_runs(below, error=error)


def terminate_trees(execution_ids: Collection[UUID], *, error: str) -> None:
    """End runs and what is below them. What started them must be locked, so that nothing is added to it."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [list(execution_ids)])
    for execution_id in execution_ids:
        terminate_below(execution_id, error=error)
    terminate_runs(execution_ids, error=error)
