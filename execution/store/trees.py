"""A run and the runs below it: they are locked from the top down, and what is unfinished in them ends together.

A run gets sub-runs only while its row is locked, so once it is locked the list of those below it is complete.

Everybody locks in one order: runs (from the top down, on each level by id), node executions, accounts. So nothing here
touches credits; whoever ends runs calls `ask_to_settle` for all of them at the end of the transaction.
"""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from execution.engine.statuses import ENDED, UNFINISHED, Status

ENDED_CHANNEL = "execution_ended"

_SUB_RUNS = """
SELECT c.id, c.parent_id, n.execution_id
  FROM execution_execution c JOIN execution_nodeexecution n ON n.id = c.parent_id
 WHERE n.execution_id = ANY(%s)
"""

UNFINISHED_SUB_RUNS = (
    "SELECT id FROM execution_execution WHERE parent_id = ANY(%s) AND status = ANY('{QUEUED,RUNNING}')"
)

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
    """A run below another, locked. `status` is how it stands, `execution_id` the run that `parent_id` belongs to."""

    id: UUID
    parent_id: UUID
    execution_id: UUID
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


def lock_runs_below(execution_ids: Collection[UUID]) -> list[RunBelow]:
    """Return all runs below locked runs, locked until the transaction ends."""
    below: list[RunBelow] = []
    level = sorted(execution_ids)
    with connection.cursor() as cursor:
        while level:
            cursor.execute(_SUB_RUNS, [level])
            parents = {key: (parent_id, above) for key, parent_id, above in cursor}
            level = sorted(parents)
            cursor.execute(_LOCK, [level])
            for key, status in cursor:
                parent_id, above = parents[key]
                below.append(RunBelow(id=key, parent_id=parent_id, execution_id=above, status=Status(status)))
    return below


def terminate_nodes(execution_ids: Collection[UUID]) -> list[Terminated]:
    """End what is unfinished in locked runs, and say what that was."""
    with connection.cursor() as cursor:
        cursor.execute(
            _TERMINATE_NODES, {"runs": list(execution_ids), "statuses": [Status.INCOMPLETE, *sorted(UNFINISHED)]}
        )
        return [
            Terminated(
                execution_id=key,
                was=Status(was),
                count=count,
                running=tuple(running or ()),
                queued=tuple(queued or ()),
            )
            for key, was, count, running, queued in cursor.fetchall()
        ]


def terminate_runs(execution_ids: Collection[UUID], *, error: str) -> None:
    """End locked runs, and tell those who listen."""
    with connection.cursor() as cursor:
        cursor.execute(_TERMINATE_RUNS, {"runs": list(execution_ids), "error": error, "channel": ENDED_CHANNEL})


def terminate_below(execution_id: UUID, *, error: str) -> list[UUID]:
    """End a locked run's unfinished node executions, and the runs below it with theirs; return these."""
    below = [run.id for run in lock_runs_below([execution_id]) if run.status not in ENDED]
    terminate_nodes([execution_id, *below])
    terminate_runs(below, error=error)
    return below


def terminate_trees(execution_ids: Collection[UUID], *, error: str) -> list[UUID]:
    """End runs and what is below them; return all of these. What started them must be locked: nothing is added."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [list(execution_ids)])
    below = [run.id for run in lock_runs_below(execution_ids) if run.status not in ENDED]
    ended = [*execution_ids, *below]
    terminate_nodes(ended)
    terminate_runs(ended, error=error)
    return ended
