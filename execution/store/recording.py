"""Recording what an attempt did: outputs, their way through the graph, its end. One transaction each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from execution.engine.ordering import travels_at_once
from execution.engine.outputs import ERROR_PIN
from execution.engine.statuses import UNFINISHED, Status
from execution.models import OnError
from execution.store.claims import Claimed, Hold
from execution.store.flow import travel
from execution.store.runs import LockedRun, Ready, lock_run, save_run
from execution.values import dump

RUN_GOES_ON = frozenset({Status.QUEUED, Status.RUNNING})

Output = tuple[str, Any]


@dataclass(frozen=True, kw_only=True)
class End:
    """How an attempt ended. `error` is the text of a FAILED one; times are in seconds."""

    status: Status
    error: str = ""
    walltime: float = 0.0
    cputime: float = 0.0
    log: str = ""


NOTHING_SPENT = End(status=Status.SUSPENDED)


@dataclass(frozen=True, kw_only=True)
class Suspension:
    """A wait that a node execution goes into, for `seconds` or until it is woken.

    `waits` counts its waits, this one included. `write` writes what it waits for, in the same transaction; it returns
    False if that is there already. `failure` is why the attempt failed, if it did and waits to be tried again; then
    `spent` is what it took.
    """

    waits: int
    write: Callable[[LockedRun], bool] = lambda _run: True
    status: Status = Status.SUSPENDED
    seconds: float | None = None
    failure: str | None = None
    spent: End = NOTHING_SPENT


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a record led to. `accepted` is False where the claim is no longer the recorder's: nothing was written."""

    accepted: bool
    ready: tuple[Ready, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What has been recorded of a node execution. `is_ours`: nobody has claimed it since."""

    is_ours: bool
    status: Status = Status.RUNNING
    output_count: int = 0


REFUSED = Recorded(accepted=False)


def record(claimed: Hold, *, outputs: Sequence[Output], position: int, end: End | None = None) -> Recorded:
    """Record `outputs`, the first of which has `position`, and the end of the attempt if it has ended.

    Nothing is written if another attempt has taken over or the run has ended.
    """
    with transaction.atomic():
        run = lock_run(claimed.execution_id)
        if run is None or run.status not in RUN_GOES_ON:
            return REFUSED
        if not _mark(claimed, position=position, count=len(outputs), end=end):
            return REFUSED
        _write_outputs(claimed.id, outputs, position)
        failure = _explain_failure(run, claimed, end)
        has_ended = end is not None and not failure
        travel(run, claimed.node_id, _travelling(run, claimed, _without_fatal(run, outputs), has_ended=has_ended))
        if end is not None:
            _count_end(run, end)
        save_run(run, failure=failure)
    return Recorded(accepted=True, ready=tuple(run.ready))


def suspend(claimed: Claimed, *, outputs: Sequence[Output], position: int, suspension: Suspension) -> Recorded:
    """Record `outputs` and let the node execution wait without a worker.

    If what it waits for is there already, it is queued again instead.
    """
    with transaction.atomic():
        run = lock_run(claimed.execution_id)
        if run is None or run.status not in RUN_GOES_ON:
            return REFUSED
        has_to_wait = suspension.write(run)
        if not _mark_suspended(claimed, suspension, position=position, count=len(outputs)):
            transaction.set_rollback(True)
            return REFUSED
        if not has_to_wait:
            _queue_again(claimed)
            run.announce(claimed.id, claimed.node_id)
        _write_outputs(claimed.id, outputs, position)
        travel(run, claimed.node_id, _travelling(run, claimed, outputs, has_ended=False))
        save_run(run)
    return Recorded(accepted=True, ready=tuple(run.ready))


def _mark(claimed: Hold, *, position: int, count: int, end: End | None) -> bool:
    """Move the node execution on, if the claim still holds: the fence that keeps late attempts out."""
    status = end.status if end else Status.RUNNING
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE execution_nodeexecution SET status = %s, output_count = output_count + %s,"
            " ended_at = CASE WHEN %s THEN clock_timestamp() END, walltime = walltime + %s, cputime = cputime + %s,"
            " log = log || %s WHERE id = %s AND token = %s AND status = 'RUNNING' AND output_count = %s",
            [
                status,
                count,
                end is not None,
                end.walltime if end else 0.0,
                end.cputime if end else 0.0,
                end.log if end else "",
                claimed.id,
                claimed.token,
                position,
            ],
        )
        return bool(cursor.rowcount == 1)


_KEEP_FAILED = """
INSERT INTO execution_pastattempt (node_execution_id, number, outcome, worker, error, began_at, ended_at)
SELECT id, attempt, 'FAILED', worker, %s, claimed_at, clock_timestamp() FROM execution_nodeexecution
 WHERE id = %s AND token = %s AND status = 'RUNNING'
"""


def _mark_suspended(claimed: Claimed, suspension: Suspension, *, position: int, count: int) -> bool:
    spent = suspension.spent
    with connection.cursor() as cursor:
        if suspension.failure is not None:
            cursor.execute(_KEEP_FAILED, [suspension.failure, claimed.id, claimed.token])
        cursor.execute(
            "UPDATE execution_nodeexecution SET status = %s, output_count = output_count + %s, waits = %s,"
            " attempt = attempt - %s, wake_at = clock_timestamp() + make_interval(secs => %s),"
            " walltime = walltime + %s, cputime = cputime + %s, log = log || %s"
            " WHERE id = %s AND token = %s AND status = 'RUNNING' AND output_count = %s",
            [
                suspension.status,
                count,
                suspension.waits,
                # A wait is no failed attempt, so the attempt is given back.
                0 if suspension.failure is not None else 1,
                suspension.seconds,
                spent.walltime,
                spent.cputime,
                spent.log,
                claimed.id,
                claimed.token,
                position,
            ],
        )
        return bool(cursor.rowcount == 1)


def find_standing(hold: Hold) -> Standing:
    """Say how a node execution stands, for who doesn't know whether a record was committed.

    Waits for a commit that is still under way.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT token, status, output_count FROM execution_nodeexecution WHERE id = %s FOR UPDATE", [hold.id]
        )
        row = cursor.fetchone()
    if row is None or row[0] != hold.token:
        return Standing(is_ours=False)
    return Standing(is_ours=True, status=Status(row[1]), output_count=row[2])


def _queue_again(claimed: Claimed) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE execution_nodeexecution SET status = 'QUEUED', queued_at = clock_timestamp(), wake_at = NULL"
            " WHERE id = %s",
            [claimed.id],
        )


def _write_outputs(node_execution_id: UUID, outputs: Sequence[Output], position: int) -> None:
    if not outputs:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO execution_output (node_execution_id, position, pin, value)"
            " SELECT %s, o.position - 1 + %s, o.pin, o.value::json"
            " FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS o(pin, value, position)",
            [node_execution_id, position, [pin for pin, _ in outputs], [dump(value) for _, value in outputs]],
        )


def _travelling(run: LockedRun, claimed: Hold, outputs: Sequence[Output], *, has_ended: bool) -> list[Output]:
    """Return what travels now (rule 6): nothing if an older execution is unfinished; at the end, what was held too."""
    node = run.graph.plan.nodes[claimed.node_id]
    if not node.ordered:
        return list(outputs)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS(SELECT FROM execution_nodeexecution WHERE execution_id = %s AND node_id = %s"
            "              AND ordinal < %s AND status = ANY(%s)),"
            " (SELECT max(ordinal) FROM execution_nodeexecution WHERE execution_id = %s AND node_id = %s)",
            [
                claimed.execution_id,
                claimed.node_id,
                claimed.ordinal,
                list(UNFINISHED),
                claimed.execution_id,
                claimed.node_id,
            ],
        )
        older_unfinished, last = cursor.fetchone()
    if not travels_at_once(node, older_unfinished=older_unfinished):
        return []
    if not has_ended or last == claimed.ordinal:
        return list(outputs)
    return [*outputs, *_load_released(claimed)]


# The rows form of `engine.ordering.released`: all later executions up to the first that has not ended, it included.
_RELEASED = """
SELECT o.pin, o.value
  FROM execution_nodeexecution n JOIN execution_output o ON o.node_execution_id = n.id
 WHERE n.execution_id = %(execution)s AND n.node_id = %(node)s AND n.ordinal > %(ordinal)s
   AND n.ordinal <= COALESCE((
       SELECT min(u.ordinal) FROM execution_nodeexecution u
        WHERE u.execution_id = %(execution)s AND u.node_id = %(node)s AND u.ordinal > %(ordinal)s
          AND u.status IN ('INCOMPLETE', 'QUEUED', 'RUNNING', 'SUSPENDED', 'REVIEW')), n.ordinal)
 ORDER BY n.ordinal, o.position
"""


def _load_released(claimed: Hold) -> list[Output]:
    with connection.cursor() as cursor:
        cursor.execute(
            _RELEASED,
            {"execution": claimed.execution_id, "node": claimed.node_id, "ordinal": claimed.ordinal},
        )
        return list(cursor.fetchall())


def _count_end(run: LockedRun, end: End) -> None:
    run.unfinished -= 1
    run.ended += 1
    run.errors += end.status is Status.FAILED
    run.walltime += end.walltime
    run.cputime += end.cputime


def _without_fatal(run: LockedRun, outputs: Sequence[Output]) -> Sequence[Output]:
    """Leave out an error that fails the run: nobody is left to deal with it, and the run may be resumed without it."""
    if run.on_error != OnError.FAIL_RUN:
        return outputs
    return [(pin, value) for pin, value in outputs if pin != ERROR_PIN]


def _explain_failure(run: LockedRun, claimed: Hold, end: End | None) -> str:
    """Return why the whole run fails with this node execution; nothing if it doesn't."""
    if end is None or end.status is not Status.FAILED or run.on_error != OnError.FAIL_RUN:
        return ""
    return f"“{run.graph.plan.nodes[claimed.node_id].name}” failed: {end.error}"
