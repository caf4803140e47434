"""Recording that an attempt is over and its node execution waits without a worker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import connection, transaction

from execution.engine.statuses import Status
from execution.large_values import ValueWriter
from execution.prices import count_usage, dump_usage
from execution.store.charging import ask_to_release
from execution.store.claims import Claimed
from execution.store.parts import End, Output, Part
from execution.store.recording import REFUSED, RUN_GOES_ON, Recorded, save, write_ahead, write_outputs
from execution.store.runs import LockedRun, lock_run
from execution.store.scenes import Emitted, ask_for_scene, let_travel


@dataclass(frozen=True, kw_only=True)
class Suspension:
    """A wait that a node execution goes into, for `seconds` or until it is woken.

    `waits` counts its waits, this one included. `write` writes what it waits for, in the same transaction; it returns
    False if that is there already. `failure` is why the attempt failed, if it did and waits to be tried again. `spent`
    is what it took up to the wait.
    """

    waits: int
    spent: End
    write: Callable[[LockedRun], bool] = lambda _run: True
    status: Status = Status.SUSPENDED
    seconds: float | None = None
    failure: str | None = None


def suspend(
    claimed: Claimed, *, outputs: Sequence[Output], position: int, writer: ValueWriter, suspension: Suspension
) -> Recorded:
    """Record `outputs` and let the node execution wait without a worker. `writer`: as in `record`.

    If what it waits for is there already, it is queued again instead.
    """
    write_ahead(writer, outputs)
    with transaction.atomic():
        run = lock_run(claimed.execution_id)
        if run is None or run.status not in RUN_GOES_ON:
            return REFUSED
        run.writer = writer
        has_to_wait = suspension.write(run)
        if not _mark_suspended(claimed, suspension, position=position, count=len(outputs)):
            transaction.set_rollback(True)
            return REFUSED
        if not has_to_wait:
            _queue_again(claimed)
            run.announce(claimed.id, claimed.node_id)
        write_outputs(run, [Part(claimed=claimed, outputs=outputs, position=position, writer=writer)])
        emitted = Emitted(claimed=claimed, outputs=outputs, has_ended=False)
        let_travel(run, ask_for_scene(run.batch, [(claimed, len(outputs))]), [emitted])
        run.walltime += suspension.spent.walltime
        run.cputime += suspension.spent.cputime
        save(run)
        if suspension.failure is not None:
            ask_to_release(run.batch, claimed)
    return Recorded(accepted=True, ready=run.all_ready())


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
            " lease_until = clock_timestamp(),"
            " attempt = attempt - %s, wake_at = clock_timestamp() + make_interval(secs => %s),"
            " walltime = walltime + %s, cputime = cputime + %s, log = log || %s, spent = %s"
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
                _sum_up(claimed, suspension),
                claimed.id,
                claimed.token,
                position,
            ],
        )
        return bool(cursor.rowcount == 1)


def _sum_up(claimed: Claimed, suspension: Suspension) -> str | None:
    """Return what is to be paid for when it has ended: nothing of an attempt that failed."""
    if suspension.failure is not None or claimed.price is None:
        return None
    spent = suspension.spent
    return dump_usage(count_usage(spent.usage, seconds=spent.walltime, spent=claimed.spent))


def _queue_again(claimed: Claimed) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE execution_nodeexecution SET status = 'QUEUED', queued_at = clock_timestamp(), wake_at = NULL"
            " WHERE id = %s",
            [claimed.id],
        )
