"""One attempt at a node execution: what it emits on its way to the rows, and the threads that keep it alive.

Outputs are gathered and recorded together: when enough have come, when the oldest has waited long enough to be worth
it, or at the end. Background threads of the process record what has waited while the block is busy, and renew the
leases.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections

from execution.database_patience import DATABASE_AWAY, DatabaseAwayError, patiently
from execution.engine.statuses import Status
from execution.large_values import ValueWriter
from execution.store.claims import Claimed, renew_leases
from execution.store.ready import Ready
from execution.store.recording import End, Recorded, find_standing, open_writer, record
from execution.store.scenes import Output
from execution.store.taking import Taker
from execution.time_limits import alarm_held_back, alarm_stopped
from graphs.blocks.contract import Usage

Publish = Callable[[Sequence[Ready]], None]
# What is recorded: outputs, the position of the first of them, and who writes them.
Write = Callable[[Sequence[Output], int, ValueWriter], Recorded]
T = TypeVar("T")

# How long (seconds) an output may wait for others: the first one of an attempt, so that a stream begins soon, and those
# after it, so that it doesn't cost too much.
FIRST_FLUSH_AFTER: Final = 0.004
FLUSH_AFTER: Final = 0.02
FLUSH_COUNT: Final = 200
FLUSH_RETRY: Final = 1.0
RENEW_RETRY: Final = 1.0
RENEWALS_PER_LEASE: Final = 3

# How a node execution that nobody has claimed since may stand after its attempt's own record.
COMMITTED_STATUSES: Final = frozenset(
    {Status.RUNNING, Status.SUSPENDED, Status.REVIEW, Status.COMPLETED, Status.FAILED}
)

logger = structlog.get_logger(__name__)


class ClaimLostError(Exception):
    """Another attempt has taken over, or the run has ended: what this attempt does no longer counts."""


def longest_question() -> float:
    """Return the seconds after which nothing that is asked patiently is still answered: the last try takes its time."""
    return 2 * float(settings.RECORD_PATIENCE_SECONDS)


def ask_patiently(work: Callable[[], T]) -> T:
    """Return what `work` reads from the database for a block; that this is away is no failure of the block.

    It doesn't count towards its time either, unless a question is never answered. Raises `ClaimLostError` after
    `RECORD_PATIENCE_SECONDS`.
    """
    try:
        with alarm_stopped(at_most=longest_question()):
            return patiently(work, seconds=settings.RECORD_PATIENCE_SECONDS)
    except DatabaseAwayError:
        raise ClaimLostError from None


class Attempt:
    """What a claimed node execution emits. Thread-safe; every record goes through `_record`, one at a time.

    `unsent` is what messages are to be sent for before it begins.
    The outputs that earlier attempts have recorded are skipped: a block emits the same again. While the database is
    away, whoever records waits, for `RECORD_PATIENCE_SECONDS`; after that the claim counts as lost.
    """

    def __init__(self, claimed: Claimed, publish: Publish) -> None:
        self.claimed = claimed
        self.log_lines: list[str] = []
        self.usage = Usage()
        self.is_lost = False
        self.unsent: list[Ready] = []
        self._publish = publish
        self._skip = claimed.output_count
        self._position = claimed.output_count
        self._buffer: list[Output] = []
        # A large value is written once, however often its record has to be tried.
        self._writer = open_writer(claimed)
        self._waiting_since = 0.0
        self._flush_after = FIRST_FLUSH_AFTER
        # Whether the last record may have been committed although it failed: its connection broke.
        self._is_in_doubt = False
        self._buffer_lock = threading.Lock()
        self._record_lock = threading.Lock()

    def emit(self, pin: str, value: Any) -> bool:
        """Take an output; return whether it is time to `flush`. Raises `ClaimLostError`."""
        if self.is_lost:
            raise ClaimLostError
        with self._buffer_lock:
            if self._skip:
                self._skip -= 1
                return False
            if not self._buffer:
                self._waiting_since = time.monotonic()
            self._buffer.append((pin, value))
            due_at = self._waiting_since + self._flush_after
            is_due = len(self._buffer) >= FLUSH_COUNT or time.monotonic() >= due_at
        if not is_due:
            keeper.expect(due_at)
        return is_due

    def send_unsent(self) -> None:
        """Send what has waited for this attempt to have its place. Raises `ClaimLostError` if it is lost by then."""
        unsent, self.unsent = self.unsent, []
        if unsent:
            self._publish(unsent)
        if self.is_lost:
            raise ClaimLostError

    def skip_recorded(self, *, at_most: int) -> int:
        """Skip up to `at_most` recorded outputs without their being emitted again; return how many that were."""
        with self._buffer_lock:
            skipped = min(self._skip, at_most)
            self._skip -= skipped
        return skipped

    def stop_skipping(self) -> None:
        """Let everything that is emitted from now on be recorded."""
        with self._buffer_lock:
            self._skip = 0

    def drop_gathered(self) -> None:
        """Forget what was emitted and not recorded: the database refuses it."""
        with self._buffer_lock:
            self._buffer = []

    @property
    def flush_due_at(self) -> float | None:
        """The moment (monotonic seconds) from which the gathered outputs should be recorded; None if there are none."""
        return self._waiting_since + self._flush_after if self._buffer else None

    def flush(self) -> None:
        """Record what has been gathered. Raises `ClaimLostError`."""
        self._record_patiently(self._write_outputs)

    def flush_now(self) -> None:
        """Record what has been gathered if that is possible at once. Raises `ClaimLostError` and database errors."""
        self._record(self._write_outputs)

    def end(self, end: End, *, taker: Taker | None = None) -> None:
        """Record the rest and the end; `taker` takes what to go on with. Raises `ClaimLostError`."""
        self._record_patiently(
            lambda outputs, position, writer: record(
                self.claimed, outputs=outputs, position=position, end=end, taker=taker, writer=writer
            )
        )

    def suspend(self, write: Write) -> None:
        """Record the rest and a suspension, with `write`. Raises `ClaimLostError`."""
        self._record_patiently(write)

    def _write_outputs(self, outputs: Sequence[Output], position: int, writer: ValueWriter) -> Recorded:
        if not outputs:
            # Others recorded them while this waited for its turn, perhaps with the end: asked, the fence would refuse.
            return Recorded(accepted=True)
        return record(self.claimed, outputs=outputs, position=position, writer=writer)

    def _record_patiently(self, write: Write) -> None:
        try:
            with alarm_held_back():
                patiently(lambda: self._record(write), seconds=settings.RECORD_PATIENCE_SECONDS)
        except DatabaseAwayError:
            logger.warning("gave up recording; recovery will run it again", node_execution=str(self.claimed.id))
            self.is_lost = True
            raise ClaimLostError from None

    def _record(self, write: Write) -> None:
        with self._record_lock:
            if self.is_lost:
                raise ClaimLostError
            if self._is_in_doubt and self._was_committed():
                return
            with self._buffer_lock:
                outputs, self._buffer = self._buffer, []
            try:
                with alarm_held_back():
                    recorded = write(outputs, self._position, self._writer)
            except BaseException as error:
                self._is_in_doubt = isinstance(error, DATABASE_AWAY)
                with self._buffer_lock:
                    self._buffer = outputs + self._buffer
                raise
            self._position += len(outputs)
            self._writer = open_writer(self.claimed)
            self._flush_after = FLUSH_AFTER
        if not recorded.accepted:
            self.is_lost = True
            raise ClaimLostError
        if recorded.ready:
            self._publish(recorded.ready)

    def log_lost(self) -> None:
        """Say in the log that others have this node execution now, or nobody any more."""
        logger.info("claim lost", node_execution=str(self.claimed.id), execution=str(self.claimed.execution_id))

    def _was_committed(self) -> bool:
        """Find out what became of a record whose connection broke; return whether the attempt's end was recorded.

        What it made ready was not sent: recovery sends it.
        """
        standing = find_standing(self.claimed)
        self._is_in_doubt = False
        if not standing.is_ours or standing.status not in COMMITTED_STATUSES:
            self.is_lost = True
            raise ClaimLostError
        with self._buffer_lock:
            del self._buffer[: standing.output_count - self._position]
        self._position = standing.output_count
        return standing.status is not Status.RUNNING


class Keeper:
    """The background threads of a process, started when first needed.

    One renews leases, the other flushes what has waited. What is flushed is also sent, which takes seconds while the
    broker can't be reached: no lease may run out for that.
    """

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._holds = threading.Event()
        self._attempts: set[Attempt] = set()
        self._process = 0
        self._next_look = float("inf")

    def hold(self, attempt: Attempt) -> None:
        """Look after `attempt` until it is let go."""
        with self._wake:
            if self._process != os.getpid():
                self._start()
            self._attempts.add(attempt)
            self._holds.set()

    def let_go(self, attempt: Attempt) -> None:
        """Stop looking after `attempt`."""
        with self._wake:
            self._attempts.discard(attempt)

    def expect(self, moment: float) -> None:
        """Look for something to flush at `moment` (monotonic seconds) at the latest."""
        if moment >= self._next_look:
            return
        with self._wake:
            self._next_look = min(self._next_look, moment)
            self._wake.notify()

    def _start(self) -> None:
        # A forked child inherits this object but not its threads.
        self._process = os.getpid()
        self._attempts = set()
        self._holds = threading.Event()
        self._next_look = float("inf")
        threading.Thread(target=self._renew_in_time, name="keeper", daemon=True).start()
        threading.Thread(target=self._flush_in_time, name="flusher", daemon=True).start()

    def _renew_in_time(self) -> None:
        pause = _renewal_interval()
        while True:
            self._holds.wait()
            time.sleep(pause)
            with self._wake:
                attempts = list(self._attempts)
                if not attempts:
                    self._holds.clear()
            pause = _renewal_interval()
            try:
                if attempts:
                    _renew(attempts)
            except DatabaseError as error:
                logger.warning("keeper can't reach the database", error=str(error))
                pause = min(pause, RENEW_RETRY)
            except Exception:  # without this thread all that runs here would be lost
                logger.exception("keeper can't renew")
                pause = min(pause, RENEW_RETRY)
            close_old_connections()

    def _flush_in_time(self) -> None:
        while True:
            with self._wake:
                while (wait := self._next_look - time.monotonic()) > 0:
                    self._wake.wait(None if wait == float("inf") else wait)
                self._next_look = float("inf")
                attempts = list(self._attempts)
            for attempt in attempts:
                self._flush_if_due(attempt)
            close_old_connections()

    def _flush_if_due(self, attempt: Attempt) -> None:
        due_at, now = attempt.flush_due_at, time.monotonic()
        if due_at is not None and due_at > now:
            self.expect(due_at)
        elif due_at is not None and not _flush_quietly(attempt):
            self.expect(now + FLUSH_RETRY)


def _renewal_interval() -> float:
    return float(settings.LEASE_SECONDS) / RENEWALS_PER_LEASE


def _flush_quietly(attempt: Attempt) -> bool:
    """Record what has waited; False if that has to be tried again."""
    try:
        # Without patience: other attempts wait for this thread, too.
        attempt.flush_now()
    except ClaimLostError:
        attempt.log_lost()
    except DATABASE_AWAY as error:
        logger.warning("keeper can't record", error=str(error).strip())
        close_old_connections()
        return False
    except Exception:  # the attempt itself will meet it, and fail; the others must not go down with it
        logger.exception("keeper can't record", node_execution=str(attempt.claimed.id))
        return False
    return True


def _renew(attempts: Sequence[Attempt]) -> None:
    held = renew_leases([attempt.claimed.token for attempt in attempts], lease_seconds=settings.LEASE_SECONDS)
    for attempt in attempts:
        # One that has just recorded its end is marked too; it has nothing more to record.
        attempt.is_lost = attempt.is_lost or attempt.claimed.token not in held


keeper = Keeper()
