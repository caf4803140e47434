"""Whether workers listen to a queue: each holds a lock of the database while it lives.

The lock is shared, so any number of workers can hold it, and the database takes it back from a worker that dies,
however it dies. It stands for a queue of one broker: workers of another broker don't count.
"""

import threading
from collections.abc import Collection, Iterable
from typing import Any, Final
from zlib import crc32

import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db import Error as DjangoDatabaseError
from psycopg import Connection
from psycopg import Error as DatabaseError

from execution.store.sessions import open_session

# The first of the two numbers of our locks: advisory locks are one space for everybody.
LOCK_CLASS: Final = 0x0C3A_11EE
CHECK_SECONDS: Final = 2.0

_ANY_LOCKS = """
SELECT objid FROM pg_locks
 WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = %s
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

logger = structlog.get_logger(__name__)


class Presence:
    """A thread that holds the locks of some queues, and takes them again after the database was away."""

    def __init__(self, queues: Iterable[str]) -> None:
        self._queues = sorted(queues)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._hold, name="presence", daemon=True)

    def start(self) -> None:
        """Begin to be there."""
        self._thread.start()

    def stop(self) -> None:
        """Be gone."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def _hold(self) -> None:
        while not self._stopping.is_set():
            try:
                self._hold_once()
            except (DatabaseError, DjangoDatabaseError) as error:
                logger.warning("presence can't reach the database", error=str(error))
                self._stopping.wait(CHECK_SECONDS)
            except Exception:  # without this thread everybody would think that nobody listens
                logger.exception("presence can't be shown")
                self._stopping.wait(CHECK_SECONDS)
        connections[DEFAULT_DB_ALIAS].close()

    def _hold_once(self) -> None:
        """Hold the locks until asked to stop, or until the session is lost."""
        session: Connection[Any] = open_session()
        try:
            for queue in self._queues:
                session.execute("SELECT pg_advisory_lock_shared(%s, %s)", [LOCK_CLASS, _signed(_lock_number(queue))])
            while not self._stopping.wait(CHECK_SECONDS):
                session.execute("SELECT 1")
        finally:
            session.close()


def find_listened(queues: Collection[str]) -> set[str]:
    """Return those of the queues that workers listen to at this moment."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_ANY_LOCKS, [LOCK_CLASS])
        held = {number for (number,) in cursor.fetchall()}
    return {queue for queue in queues if _lock_number(queue) in held}


def _lock_number(queue: str) -> int:
    return crc32(f"{settings.CELERY_BROKER_URL}\0{queue}".encode())


def _signed(number: int) -> int:
    """PostgreSQL takes the number with a sign and shows it without."""
    return number - 2**32 if number >= 2**31 else number
