"""Going on with what waits: timers that are due and promises whose worker or message is lost.

Any process may do it; one at a time does, by a lock that the database gives back when its holder dies.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from execution.store.runs import Ready
from execution.store.waits import seconds_to_next_wake, wake_due

Send = Callable[[Sequence[Ready]], None]

LEADER_LOCK: Final = 0x0C3A_11ED
LONGEST_PAUSE: Final = 1.0
SHORTEST_PAUSE: Final = 0.01

logger = structlog.get_logger(__name__)


class Sweeper:
    """A thread that sweeps while it is the leader, and waits to become it while it is not."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begin sweeping."""
        self._thread.start()

    def stop(self) -> None:
        """Stop sweeping, and let somebody else lead."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def _loop(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                pause = sweep(self._send) if lead() else LONGEST_PAUSE
            except DatabaseError as error:
                logger.warning("sweeper can't reach the database", error=str(error))
                pause = LONGEST_PAUSE
                close_old_connections()
        connection.close()


def lead() -> bool:
    """Whether this database session leads: it takes the lock if nobody has it, and keeps it until it closes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()"
            "  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            "  AND classid = 0 AND objid = %s) OR pg_try_advisory_lock(%s)",
            [LEADER_LOCK, LEADER_LOCK],
        )
        (leads,) = cursor.fetchone()
    return bool(leads)


def sweep(send: Send) -> float:
    """Wake what is due; return how many seconds the next sweep may wait."""
    while ready := wake_due():
        send(ready)
    until_next = seconds_to_next_wake()
    if until_next is None:
        return LONGEST_PAUSE
    return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, until_next))
