"""Putting right what should not be: one hit at a time, under its run's lock, and only if it is still so.

Each function returns what became QUEUED by it (send it after the commit), or None if it left the hit as it was.
"""

from typing import Final
from uuid import UUID

from django.db import connection, transaction

from execution.engine.statuses import ENDED, Status
from execution.models import OnError
from execution.store.charging import release_holds
from execution.store.examination import HOLD_ALONE, NOTHING_TO_DO, SUB_RUN_ALONE, Hit, Question, still_holds
from execution.store.ready import Ready, describe_ready
from execution.store.runs import LockedRun, end_run, lock_run, wake
from execution.store.window import release

_END_NODE: Final = """
UPDATE execution_nodeexecution n SET status = 'TERMINATED', ended_at = clock_timestamp()
  FROM execution_execution e
 WHERE n.id = %(id)s AND e.id = n.execution_id AND NOT e.status IN ('QUEUED', 'RUNNING')
   AND (n.status IN ('QUEUED', 'RUNNING', 'SUSPENDED', 'REVIEW') OR n.status = 'INCOMPLETE' AND e.status <> 'COMPLETED')
"""

_COUNT_NODES: Final = """
UPDATE execution_execution e
   SET unfinished = CASE WHEN e.status IN ('QUEUED', 'RUNNING') THEN c.unfinished ELSE 0 END,
       opened = c.opened, node_count = c.ended, node_error_count = c.failed
  FROM (SELECT count(*) AS opened,
               count(*) FILTER (WHERE status IN ('QUEUED', 'RUNNING', 'SUSPENDED', 'REVIEW')) AS unfinished,
               count(*) FILTER (WHERE status IN ('COMPLETED', 'FAILED')) AS ended,
               count(*) FILTER (WHERE status = 'FAILED') AS failed
          FROM execution_nodeexecution WHERE execution_id = %(id)s) AS c
 WHERE e.id = %(id)s
"""

# A number that is wrong can be counted again; a value that is missing can't be made up.
_COUNT_OUTPUTS: Final = """
UPDATE execution_nodeexecution n SET output_count = o.actual
  FROM (SELECT count(*) AS actual, COALESCE(max(position), -1) AS last
          FROM execution_output WHERE node_execution_id = %(id)s) AS o
 WHERE n.id = %(id)s AND o.last = o.actual - 1
"""

_COUNT_RUN_OUTPUTS: Final = """
UPDATE execution_execution e SET output_count = o.actual
  FROM (SELECT count(*) AS actual, COALESCE(max(position), -1) AS last
          FROM execution_runoutput WHERE execution_id = %(id)s) AS o
 WHERE e.id = %(id)s AND o.last = o.actual - 1
"""

_SAY_SINCE_WHEN: Final = """
UPDATE execution_nodeexecution n SET queued_at = clock_timestamp(), is_backlog = false FROM execution_execution e
 WHERE n.id = %(id)s AND n.status = 'QUEUED' AND n.queued_at IS NULL AND e.id = n.execution_id
RETURNING n.id, n.node_id, e.graph_version_id
"""


_ADMIT: Final = (
    "UPDATE execution_execution SET admitted = true WHERE id = %(id)s AND status = 'RUNNING' AND NOT admitted"
)

_COUNT_COST: Final = """
UPDATE execution_execution e
   SET cost = (SELECT COALESCE(sum(owed - amount), 0) FROM credits_ledgerentry
                WHERE type = 'USAGE' AND execution_id = %(id)s)
 WHERE e.id = %(id)s
"""


def count_cost(hit: Hit) -> list[Ready] | None:
    """Add up what a run cost: the ledger has the say."""
    return _change(hit, _COUNT_COST)


def let_go(hit: Hit) -> list[Ready] | None:
    """Let go of credits that are held for nothing."""
    with transaction.atomic():
        if still_holds(HOLD_ALONE, hit):
            release_holds(keys=[hit.subject_id])
            return []
    return None


def end_node(hit: Hit) -> list[Ready] | None:
    """End a node execution with its run."""
    return _change(hit, _END_NODE)


def count_nodes(hit: Hit) -> list[Ready] | None:
    """Count a run's node executions again."""
    return _change(hit, _COUNT_NODES)


def count_outputs(hit: Hit) -> list[Ready] | None:
    """Count a node execution's outputs again, if there are no gaps."""
    return _change(hit, _COUNT_OUTPUTS)


def count_run_outputs(hit: Hit) -> list[Ready] | None:
    """Count a run's outputs again, if there are no gaps."""
    return _change(hit, _COUNT_RUN_OUTPUTS)


def say_since_when(hit: Hit) -> list[Ready] | None:
    """Let what is QUEUED be missed from now on, and be sent."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_SAY_SINCE_WHEN, {"id": hit.subject_id})
        return describe_ready(cursor.fetchall()) or None


def admit_begun(hit: Hit) -> list[Ready] | None:
    """Let a run have its turn that has begun without: it is one of its user's from now on, be they too many."""
    with transaction.atomic():
        return None if _change(hit, _ADMIT) is None else release([hit.subject_id])


def wake_up(question: Question, hit: Hit) -> list[Ready] | None:
    """Queue a node execution that waits in vain: its block runs up to that wait again, and then on or back to it."""
    with transaction.atomic():
        if _lock(hit.run_id) is None or not still_holds(question, hit):
            return None
        return wake([hit.subject_id]) or None


def end_sub_run(hit: Hit) -> list[Ready] | None:
    """End a sub-run whose parent has ended, and what is below it."""
    with transaction.atomic():
        run = _lock(hit.run_id)
        if run is None or run.status in ENDED or not still_holds(SUB_RUN_ALONE, hit):
            return None
        end_run(run, Status.TERMINATED, error="The run that started it has ended.")
        return list(run.all_ready())


def end_idle_run(hit: Hit) -> list[Ready] | None:
    """End a run in which nothing is left to do, as the last record should have done."""
    with transaction.atomic():
        run = _lock(hit.run_id)
        if run is None or run.status in ENDED or not still_holds(NOTHING_TO_DO, hit):
            return None
        if run.on_error == OnError.FAIL_RUN and _has_failed_nodes(run.id):
            end_run(run, Status.FAILED, error="A node failed.")
        else:
            end_run(run, Status.COMPLETED)
        return list(run.all_ready())


def _lock(run_id: UUID | None) -> LockedRun | None:
    return lock_run(run_id) if run_id is not None else None


def _change(hit: Hit, statement: str) -> list[Ready] | None:
    with transaction.atomic():
        if _lock(hit.run_id) is None:
            return None
        with connection.cursor() as cursor:
            cursor.execute(statement, {"id": hit.subject_id})
            return [] if cursor.rowcount else None


def _has_failed_nodes(execution_id: UUID) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM execution_nodeexecution WHERE execution_id = %s AND status = 'FAILED')",
            [execution_id],
        )
        (has_failed,) = cursor.fetchone()
    return bool(has_failed)
