"""What an attempt has come to: an end with its times, its log, and the text of what went wrong."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
import structlog
from django.core.exceptions import SuspiciousOperation
from django.db import Error as DatabaseError

from execution.attempts import Attempt
from execution.engine.statuses import Status
from execution.store.parts import End
from execution.time_limits import TimeLimitError
from execution.values import to_text
from execution.waiting import SubRunUnpaidError
from graphs.exceptions import BlockError

MAX_ERROR_TEXT: Final = 4_000
"""Characters of an error. It is read in lists, so it has to fit its row."""

# Their texts tell of paths, addresses and queries, so they go to the log only.
INTERNAL_ERRORS = (OSError, DatabaseError, psycopg.Error, SuspiciousOperation)

logger = structlog.get_logger(__name__)


class Times:
    """The wall and processor time (seconds) that an attempt takes: what its user pays for. The latter of its thread."""

    def __init__(self) -> None:
        self._wall = time.monotonic()
        self._cpu = time.thread_time()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Don't count this block of code: it waits for servers, and the user's block does nothing."""
        since = time.monotonic()
        try:
            yield
        finally:
            self._wall += time.monotonic() - since

    @property
    def wall(self) -> float:
        """The wall time so far."""
        return time.monotonic() - self._wall

    @property
    def cpu(self) -> float:
        """The processor time so far."""
        return time.thread_time() - self._cpu


def spend(attempt: Attempt, times: Times) -> End:
    """Return what an attempt took up to a wait. Its log is not kept: the block says the same again."""
    return End(status=Status.SUSPENDED, walltime=times.wall, cputime=times.cpu, usage=attempt.usage)


def complete(attempt: Attempt, times: Times) -> End:
    """Return the end of an attempt that did what it should."""
    return End(
        status=Status.COMPLETED,
        log=_log_text(attempt),
        walltime=times.wall,
        cputime=times.cpu,
        usage=attempt.usage,
    )


def fail(attempt: Attempt, times: Times, error: Exception) -> End:
    """Turn what went wrong into the end of the attempt."""
    if not isinstance(error, BlockError | TimeLimitError):
        logger.exception("block raised", node_execution=str(attempt.claimed.id))
    return End(
        status=Status.FAILED,
        error=_explain(error),
        is_unpaid=isinstance(error, SubRunUnpaidError),
        log=_log_text(attempt),
        walltime=times.wall,
        cputime=times.cpu,
        usage=attempt.usage,
    )


def proves_pace(attempt: Attempt, end: End | None) -> bool:
    """Whether an attempt that was quick shows that its block is: it did what it does, and nothing was made up."""
    return end is not None and end.status is Status.COMPLETED and not attempt.claimed.simulate


def _explain(error: Exception) -> str:
    """Return what the user is told."""
    if isinstance(error, BlockError | TimeLimitError):
        text = str(error)
    elif isinstance(error, INTERNAL_ERRORS):
        text = f"The block met an internal error ({type(error).__name__})."
    else:
        text = f"{type(error).__name__}: {error}"
    return to_text(text if len(text) <= MAX_ERROR_TEXT else f"{text[:MAX_ERROR_TEXT]}…")


def _log_text(attempt: Attempt) -> str:
    return to_text("".join(f"{line}\n" for line in attempt.log_lines))
