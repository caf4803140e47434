"""The background threads that look after a process's claims: they renew the leases, and see to what has waited."""

import os
import threading
import time
from collections.abc import Sequence
from typing import Final, Protocol

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections

from execution.database_patience import DATABASE_AWAY
from execution.store.claims import Claimed, renew_leases

RETRY_SECONDS: Final = 1.0
RENEWALS_PER_LEASE: Final = 3

logger = structlog.get_logger(__name__)


class ClaimLostError(Exception):
    """Another attempt has taken over, or the run has ended: what this attempt does no longer counts."""


class Kept(Protocol):
    """A claim that is looked after. `is_lost` is set once it doesn't hold any more."""

    claimed: Claimed
    is_lost: bool

    @property
    def due_at(self) -> float | None:
        """The moment (monotonic seconds) from which something that waits should be seen to; None if nothing waits."""

    def see_to_what_waits(self) -> None:
        """See to it, if that is possible at once. Raises `ClaimLostError` and database errors."""

    def log_lost(self) -> None:
        """Say in the log that the claim is lost."""


class Keeper:
    """The background threads of a process, started when first needed.

    One renews leases, the other sees to what has waited. What is recorded is also sent, which takes seconds while the
    broker can't be reached: no lease may run out for that.
    """

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._holds = threading.Event()
        self._attempts: set[Kept] = set()
        self._process = 0
        self._next_look = float("inf")

    def hold(self, attempt: Kept) -> None:
        """Look after `attempt` until it is let go."""
        with self._wake:
            if self._process != os.getpid():
                self._start()
            self._attempts.add(attempt)
            self._holds.set()

    def let_go(self, attempt: Kept) -> None:
        """Stop looking after `attempt`."""
        with self._wake:
            self._attempts.discard(attempt)

    def expect(self, moment: float) -> None:
        """Look for something that is due at `moment` (monotonic seconds) at the latest."""
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
        threading.Thread(target=self._see_to_all_in_time, name="flusher", daemon=True).start()

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
                pause = min(pause, RETRY_SECONDS)
            except Exception:  # without this thread all that runs here would be lost
                logger.exception("keeper can't renew")
                pause = min(pause, RETRY_SECONDS)
            close_old_connections()

    def _see_to_all_in_time(self) -> None:
        while True:
            with self._wake:
                while (wait := self._next_look - time.monotonic()) > 0:
                    self._wake.wait(None if wait == float("inf") else wait)
                self._next_look = float("inf")
                attempts = list(self._attempts)
            for attempt in attempts:
                self._see_to(attempt)
            close_old_connections()

    def _see_to(self, attempt: Kept) -> None:
        due_at, now = attempt.due_at, time.monotonic()
        if due_at is not None and due_at > now:
            self.expect(due_at)
        elif due_at is not None and not _see_to_quietly(attempt):
            self.expect(now + RETRY_SECONDS)


def _renewal_interval() -> float:
    return float(settings.LEASE_SECONDS) / RENEWALS_PER_LEASE


def _see_to_quietly(attempt: Kept) -> bool:
    """Return False if it has to be tried again."""
    try:
        # Without patience: other attempts wait for this thread, too.
        attempt.see_to_what_waits()
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


def _renew(attempts: Sequence[Kept]) -> None:
    held = renew_leases([attempt.claimed.token for attempt in attempts], lease_seconds=settings.LEASE_SECONDS)
    for attempt in attempts:
        # One that has just recorded its end is marked too; it has nothing more to record.
        attempt.is_lost = attempt.is_lost or attempt.claimed.token not in held


keeper = Keeper()
