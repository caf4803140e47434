"""Resuming a run that has ended FAILED or TERMINATED: what was cut off goes on, what was completed stays.

What a node execution was before it was terminated can be told from its row: one that never was QUEUED waited for pins,
one with a time to wake at slept. All others are queued: a block that waited for a person or a sub-run comes to that
wait again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from execution.engine.statuses import UNFINISHED, Status
from execution.exceptions import ExecutionNotResumableError
from execution.models import OnError, PastAttempt
from execution.store.admission import HAS_PLACE, lock_admission
from execution.store.batches import Batch
from execution.store.ready import Ready
from execution.store.runs import LockedRun, lock_run, save_run
from execution.store.trees import RunBelow, lock_runs_below
from execution.store.window import release

# The error of a node execution that failed its run has not travelled (see `record`), so it can be taken back.
_TAKE_ERRORS_BACK = """
WITH failed AS (
    SELECT id, attempt, worker, claimed_at, ended_at FROM execution_nodeexecution
     WHERE execution_id = %(run)s AND status = 'FAILED' AND (%(all)s OR needs_credits IS NOT NULL)
), errors AS (
    DELETE FROM execution_output o USING failed f
     WHERE o.node_execution_id = f.id AND o.pin = 'error' RETURNING o.node_execution_id AS id, o.value
), kept AS (
    INSERT INTO execution_pastattempt (node_execution_id, number, outcome, worker, error, began_at, ended_at)
    SELECT f.id, f.attempt, %(outcome)s, f.worker, COALESCE(e.value #>> '{}', ''), f.claimed_at, f.ended_at
      FROM failed f LEFT JOIN errors e USING (id) WHERE f.claimed_at IS NOT NULL
)
UPDATE execution_nodeexecution n
   SET status = 'TERMINATED', spent = NULL,
       output_count = output_count - (SELECT count(*) FROM errors e WHERE e.id = n.id)
  FROM failed f WHERE n.id = f.id RETURNING n.id
"""

# Whose last claim was taken back has no token, and no attempt that was stopped.
_KEEP_STOPPED_ATTEMPTS = """
INSERT INTO execution_pastattempt (node_execution_id, number, outcome, worker, error, began_at, ended_at)
SELECT n.id, n.attempt, %(outcome)s, n.worker, '', n.claimed_at, n.ended_at FROM execution_nodeexecution n
 WHERE n.execution_id = ANY(%(runs)s) AND n.status = 'TERMINATED' AND n.attempt > 0 AND n.token IS NOT NULL
   AND NOT EXISTS (SELECT FROM execution_pastattempt p WHERE p.node_execution_id = n.id AND p.began_at = n.claimed_at)
"""

_RESUME_NODES = """
UPDATE execution_nodeexecution
   SET status = CASE WHEN queued_at IS NULL THEN 'INCOMPLETE'
                     WHEN wake_at IS NOT NULL THEN 'SUSPENDED' ELSE 'QUEUED' END,
       queued_at = CASE WHEN queued_at IS NOT NULL THEN clock_timestamp() END,
       held_back = queued_at IS NOT NULL AND wake_at IS NULL,
       ended_at = NULL, attempt = 0, losses = 0, suspicions = 0, needs_credits = NULL
 WHERE execution_id = ANY(%s) AND status = 'TERMINATED' RETURNING id, execution_id, node_id, status
"""

# All limits are counted anew: of its time, of what it may open, of how many runs of its user go on.
_RESUME_RUN = f"""
UPDATE execution_execution
   SET status = 'QUEUED', resumptions = resumptions + 1, started_at = NULL, ended_at = NULL, error = '',
       warnings = '[]', node_count = node_count - %(failed)s, node_error_count = node_error_count - %(failed)s,
       opened_before = opened, awaits_retry = false, limits_from = clock_timestamp(),
       admitted = parent_id IS NOT NULL OR {HAS_PLACE}
 WHERE id = %(run)s AND status IN ('FAILED', 'TERMINATED')
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, kw_only=True)
class _Resumed:
    id: UUID
    execution_id: UUID
    node_id: UUID
    status: Status


def resume_run(execution_id: UUID) -> list[Ready] | None:
    """Let a run go on, with the sub-runs that were ended with it; return what became QUEUED. None: no such run.

    Nothing happens to a run that has not ended. It waits for its turn if its user has too many. Raises
    `ExecutionNotResumableError`.
    """
    with transaction.atomic():
        _lock_admission_of(execution_id)
        run = lock_run(execution_id)
        if run is None:
            return None
        if run.status in (Status.QUEUED, Status.RUNNING):
            return []
        if run.status is Status.COMPLETED:
            raise ExecutionNotResumableError("The run has completed: there is nothing to resume.")
        if run.parent_id is not None:
            raise ExecutionNotResumableError("A sub-run goes on when the run at the top of its tree is resumed.")
        return [*_resume_tree(run), *release([run.id])]


def resume_sub_run(execution_id: UUID) -> list[Ready]:
    """Let a FAILED sub-run go on because what waits for it is tried again; return what became QUEUED and is to be sent.

    The run above it is locked, and whoever has locked it sends what is held back, last.
    """
    run = lock_run(execution_id)
    return _resume_tree(run) if run is not None and run.status is Status.FAILED else []


def _lock_admission_of(execution_id: UUID) -> None:
    """Before the run, as whoever starts one does."""
    batch = Batch()
    for (user_id,) in batch.fetch("SELECT user_id FROM execution_execution WHERE id = %s", [execution_id]):
        lock_admission(batch, user_id=user_id)
    batch.flush()


def _resume_tree(run: LockedRun) -> list[Ready]:
    """Let a locked run go on, and those below it that what goes on waits for."""
    below = lock_runs_below([run.id])
    goes_on = {each.id for each in below if each.status is Status.TERMINATED} | _find_unpaid(below)
    failed: dict[UUID, int] = {}
    nodes: list[_Resumed] = []
    level = [run.id]
    while level:
        taken_back = {key: _take_errors_back(key) for key in level}
        failed |= {key: len(taken) for key, taken in taken_back.items()}
        resumed = _resume_nodes(level)
        nodes += resumed
        waiting = {node.id for node in resumed}
        tried_again = {key for taken in taken_back.values() for key in taken}
        # Whose failure has been told goes on only if who was told has forgotten it.
        goes_on |= {each.id for each in below if each.status is Status.FAILED and each.parent_id in tried_again}
        level = [each.id for each in below if each.parent_id in waiting and each.id in goes_on]
    return [ready for key, count in failed.items() for ready in _resume(key, nodes, failed=count)]


def _find_unpaid(runs: Sequence[RunBelow]) -> set[UUID]:
    """Return the runs that failed because they could not pay."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT execution_id FROM execution_nodeexecution"
            " WHERE execution_id = ANY(%s) AND status = 'FAILED' AND needs_credits IS NOT NULL",
            [[each.id for each in runs if each.status is Status.FAILED]],
        )
        return {key for (key,) in cursor.fetchall()}


def _take_errors_back(execution_id: UUID) -> list[UUID]:
    """Forget how nodes failed the whole run; return which did. Other errors have travelled and stay."""
    run = lock_run(execution_id)
    if run is None or run.status is not Status.FAILED:
        return []
    fails_run = run.on_error == OnError.FAIL_RUN
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_ERRORS_BACK, {"run": run.id, "outcome": PastAttempt.Outcome.FAILED, "all": fails_run})
        return [key for (key,) in cursor.fetchall()]


def _resume_nodes(execution_ids: Collection[UUID]) -> list[_Resumed]:
    runs = list(execution_ids)
    with connection.cursor() as cursor:
        cursor.execute(_KEEP_STOPPED_ATTEMPTS, {"runs": runs, "outcome": PastAttempt.Outcome.STOPPED})
        cursor.execute(_RESUME_NODES, [runs])
        return [
            _Resumed(id=key, execution_id=run_id, node_id=node_id, status=Status(status))
            for key, run_id, node_id, status in cursor.fetchall()
        ]


def _resume(execution_id: UUID, nodes: Sequence[_Resumed], *, failed: int) -> list[Ready]:
    """Count what goes on in a run. One in which nothing does completes."""
    run = lock_run(execution_id)
    if run is None:
        raise LookupError(f"The run {execution_id} has vanished while it was resumed.")
    limit = settings.MAX_CONCURRENT_RUNS_PER_USER
    with connection.cursor() as cursor:
        cursor.execute(_RESUME_RUN, {"run": execution_id, "failed": failed, "user": run.user_id, "limit": limit})
    run = lock_run(execution_id) or run
    for node in nodes:
        if node.execution_id == execution_id and node.status in UNFINISHED:
            run.unfinished += 1
    save_run(run)
    return list(run.all_ready())
