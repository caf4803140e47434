"""One attempt at a node execution: what it emits on its way to the rows, and the thread that keeps it alive.

Outputs are gathered and recorded together: when enough have come, when the oldest has waited long enough to be worth
it, or at the end. A background thread, one per process, records what has waited while the block is busy and renews
the leases.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections

from execution.store.claims import Claimed, renew_leases
from execution.store.recording import End, Output, Recorded, record
from execution.store.runs import Ready
from execution.time_limits import alarm_held_back

Publish = Callable[[Sequence[Ready]], None]

FLUSH_AFTER: Final = 0.02
FLUSH_COUNT: Final = 200
RENEWALS_PER_LEASE: Final = 3

logger = structlog.get_logger(__name__)


class ClaimLostError(Exception):
    """Another attempt has taken over, or the run has ended: what this attempt does no longer counts."""


class Attempt:
    """What a claimed node execution emits. Thread-safe; every record goes through `_record`, one at a time.

    The outputs that earlier attempts have recorded are skipped: a block emits the same again.
    """

    def __init__(self, claimed: Claimed, publish: Publish) -> None:
        self.claimed = claimed
        self.log_lines: list[str] = []
        self.is_lost = False
        self._publish = publish
        self._skip = claimed.output_count
        self._position = claimed.output_count
        self._buffer: list[Output] = []
        self._waiting_since = 0.0
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
            is_due = len(self._buffer) >= FLUSH_COUNT or time.monotonic() >= self._waiting_since + FLUSH_AFTER
        if not is_due:
            keeper.expect(self._waiting_since + FLUSH_AFTER)
        return is_due

    def skip_recorded(self) -> int:
        """Give up skipping; return how many outputs were still to be skipped, for who knows which they are."""
        with self._buffer_lock:
            skipped, self._skip = self._skip, 0
        return skipped

    @property
    def flush_due_at(self) -> float | None:
        """The moment (monotonic seconds) from which the gathered outputs should be recorded; None if there are none."""
        return self._waiting_since + FLUSH_AFTER if self._buffer else None

    def flush(self) -> None:
        """Record what has been gathered. Raises `ClaimLostError`."""
        self._record(lambda outputs, position: record(self.claimed, outputs=outputs, position=position))

    def end(self, end: End) -> None:
        """Record the rest and the end. Raises `ClaimLostError`."""
        self._record(lambda outputs, position: record(self.claimed, outputs=outputs, position=position, end=end))

    def suspend(self, write: Callable[[Sequence[Output], int], Recorded]) -> None:
        """Record the rest and a suspension, with `write(outputs, position)`. Raises `ClaimLostError`."""
        self._record(write)

    def _record(self, write: Callable[[Sequence[Output], int], Recorded]) -> None:
        with self._record_lock:
            if self.is_lost:
                raise ClaimLostError
            with self._buffer_lock:
                outputs, self._buffer = self._buffer, []
            try:
                with alarm_held_back():
                    recorded = write(outputs, self._position)
            except BaseException:
                with self._buffer_lock:
                    self._buffer = outputs + self._buffer
                raise
            self._position += len(outputs)
        if not recorded.accepted:
            self.is_lost = True
            raise ClaimLostError
        if recorded.ready:
            self._publish(recorded.ready)


class Keeper:
    """The background thread of a process: flushes what has waited, renews leases. Started when first needed."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._attempts: set[Attempt] = set()
        self._process = 0
        self._next_look = float("inf")

    def hold(self, attempt: Attempt) -> None:
        """Look after `attempt` until it is let go."""
        with self._wake:
            if self._process != os.getpid():
                self._start()
            self._attempts.add(attempt)
        self.expect(time.monotonic() + _renewal_interval())

    def let_go(self, attempt: Attempt) -> None:
        """Stop looking after `attempt`."""
        with self._wake:
            self._attempts.discard(attempt)

    def expect(self, moment: float) -> None:
        """Look again at `moment` (monotonic seconds) at the latest."""
        if moment >= self._next_look:
            return
        with self._wake:
            self._next_look = min(self._next_look, moment)
            self._wake.notify()

    def _start(self) -> None:
        # A forked child inherits this object but not its thread.
        self._process = os.getpid()
        self._attempts = set()
        self._next_look = float("inf")
        threading.Thread(target=self._loop, name="keeper", daemon=True).start()

    def _loop(self) -> None:
        renewed_at = time.monotonic()
        while True:
            with self._wake:
                while (wait := self._next_look - time.monotonic()) > 0:
                    self._wake.wait(None if wait == float("inf") else wait)
                self._next_look = float("inf")
                attempts = list(self._attempts)
            try:
                renewed_at = self._look_after(attempts, renewed_at)
            except DatabaseError as error:
                logger.warning("keeper can't reach the database", error=str(error))
                self.expect(time.monotonic() + 1.0)
            close_old_connections()

    def _look_after(self, attempts: Sequence[Attempt], renewed_at: float) -> float:
        """Do what is due and say when to look again; return when leases were last renewed."""
        now = time.monotonic()
        for attempt in attempts:
            due_at = attempt.flush_due_at
            if due_at is not None and due_at <= now:
                _flush_quietly(attempt)
            elif due_at is not None:
                self.expect(due_at)
        if not attempts:
            return renewed_at
        if now >= renewed_at + _renewal_interval():
            _renew(attempts)
            renewed_at = now
        self.expect(renewed_at + _renewal_interval())
        return renewed_at


def _renewal_interval() -> float:
    return float(settings.LEASE_SECONDS) / RENEWALS_PER_LEASE


def _flush_quietly(attempt: Attempt) -> None:
    try:
        attempt.flush()
    except ClaimLostError:
        logger.info("claim lost", node_execution=str(attempt.claimed.id))


def _renew(attempts: Sequence[Attempt]) -> None:
    held = renew_leases([attempt.claimed.token for attempt in attempts], lease_seconds=settings.LEASE_SECONDS)
    for attempt in attempts:
        # One that has just recorded its end is marked too; it has nothing more to record.
        attempt.is_lost = attempt.is_lost or attempt.claimed.token not in held


keeper = Keeper()
