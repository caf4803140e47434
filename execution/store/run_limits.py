"""Runs that have taken longer than they may, or in which nothing has happened for too long."""

from uuid import UUID

from django.db import connection, transaction

from execution.engine.statuses import ENDED, Status
from execution.store.ready import Ready
from execution.store.runs import end_run, lock_run

# A run in whose sub-runs something happens is not idle. One in which something waits for credits, here or in a sub-run,
# has no limits; when it goes on they count anew (`limits_from`).
_OVERDUE = """
SELECT id, is_late, limit_seconds FROM (
    SELECT e.id, GREATEST(e.started_at, e.limits_from) + make_interval(secs => e.max_duration) < clock_timestamp()
             AS is_late, e.max_duration, e.idle_limit,
           (SELECT max(d.recorded_at) FROM execution_execution d
             WHERE d.id = e.id OR (d.root_id = COALESCE(e.root_id, e.id) AND d.depth > e.depth)) AS active_at,
           GREATEST(e.started_at, e.limits_from) AS began_at
      FROM execution_execution e
     WHERE e.status IN ('QUEUED', 'RUNNING') AND (e.max_duration > 0 OR e.idle_limit > 0)
       AND e.started_at IS NOT NULL AND (%(id)s::uuid IS NULL OR e.id = %(id)s)
       AND NOT EXISTS (SELECT FROM execution_nodeexecution n JOIN execution_execution d ON d.id = n.execution_id
                        WHERE n.status = 'SUSPENDED' AND n.needs_credits IS NOT NULL
                          AND (d.id = e.id OR d.root_id = COALESCE(e.root_id, e.id) AND d.depth > e.depth))
) AS limited, LATERAL (SELECT CASE WHEN is_late THEN max_duration ELSE idle_limit END AS limit_seconds) AS chosen
 WHERE is_late OR GREATEST(active_at, began_at) + make_interval(secs => idle_limit) < clock_timestamp()
 LIMIT 200
"""


def find_overdue() -> list[UUID]:
    """Return runs that have reached one of their time limits."""
    return [key for key, _ in _ask(None)]


def end_overdue(execution_id: UUID) -> list[Ready]:
    """End a run FAILED, with the reason, if it has reached a time limit; return what its end makes ready."""
    with transaction.atomic():
        run = lock_run(execution_id)
        overdue = _ask(execution_id)
        if run is None or run.status in ENDED or not overdue:
            return []
        end_run(run, Status.FAILED, error=overdue[0][1])
        return list(run.all_ready())


def _ask(execution_id: UUID | None) -> list[tuple[UUID, str]]:
    """Return the runs (or the one) that have reached a limit, each with the reason."""
    with connection.cursor() as cursor:
        cursor.execute(_OVERDUE, {"id": execution_id})
        return [(key, _explain(is_late, seconds)) for key, is_late, seconds in cursor.fetchall()]


def _explain(is_late: bool | None, seconds: float) -> str:
    if is_late:
        return f"The run took longer than its limit of {seconds:g} s (max_duration)."
    return f"Nothing happened in the run for {seconds:g} s (idle_limit)."
