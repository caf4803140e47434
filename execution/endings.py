"""How an attempt ends that did not succeed: its node execution fails, or waits to be tried again."""

from django.conf import settings

from execution.attempts import Attempt, Publish
from execution.database_patience import DatabaseAwayError, patiently
from execution.engine.outputs import ERROR_PIN
from execution.engine.statuses import Status
from execution.exceptions import SubRunFailedError
from execution.keeping import ClaimLostError
from execution.places import Running
from execution.planning import load_plan
from execution.store.claims import Claimed
from execution.store.holding import claim_and_hold
from execution.store.parts import End
from execution.store.runs import LockedRun
from execution.store.suspending import Suspension, suspend
from execution.store.waits import let_await_retry
from execution.time_limits import TimeLimitError


def end_or_retry(attempt: Attempt, end: End, error: Exception) -> End | None:
    """Emit the `error` output and return the end; or let the node execution wait for another attempt, and None."""
    delay = _delay_of_retry(attempt.claimed, error)
    if delay is None:
        # What earlier attempts emitted and this one didn't get to is no reason to swallow the error.
        attempt.stop_skipping()
        attempt.emit(ERROR_PIN, end.error)
        return end

    def write(_run: LockedRun) -> bool:
        if isinstance(error, SubRunFailedError):
            let_await_retry(error.sub_run_id)
        return True

    waiting = Suspension(waits=attempt.claimed.waits, write=write, seconds=delay, failure=end.error, spent=end)
    attempt.suspend(
        lambda outputs, position, writer: suspend(
            attempt.claimed, outputs=outputs, position=position, writer=writer, suspension=waiting
        )
    )
    return None


def _delay_of_retry(claimed: Claimed, error: Exception) -> float | None:
    """Return how long to wait before the next attempt; None if this was the last one."""
    try:
        graph = patiently(lambda: load_plan(claimed.graph_version_id), seconds=settings.RECORD_PATIENCE_SECONDS)
    except DatabaseAwayError:
        raise ClaimLostError from None
    tries = claimed.attempt - claimed.losses
    return graph.specs[claimed.node_id].retry.next_delay(error, tries=tries, seed=str(claimed.id))


def end_overdue(running: Running, *, publish: Publish) -> None:
    """Let an attempt fail for its time limit whose code had to be ended, so that it can't say so itself."""
    # It may have been queued again since: that is for another attempt.
    claimed = claim_and_hold(
        running.node_execution_id, lease_seconds=settings.LEASE_SECONDS, token=running.token, only_renews=True
    )
    if claimed is None or claimed.is_parked:
        return
    limit = claimed.spec.time_limit
    attempt, error = Attempt(claimed, publish), TimeLimitError(limit)
    try:
        end = end_or_retry(attempt, End(status=Status.FAILED, error=str(error), walltime=limit.total_seconds()), error)
        if end is not None:
            attempt.end(end)
    except ClaimLostError:
        attempt.log_lost()
