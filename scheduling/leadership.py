"""Which of several beats works: the one whose database session holds a lock.

The lock goes with the session, so it is free as soon as its holder dies. A holder that is frozen, or cut off, asks
nothing any more; whoever waits for the lock ends its session.
"""

from typing import Any, Final

import structlog
from psycopg import Connection

from execution.leader_watch import FROZEN_SECONDS, LEADS, LeaderWatch
from execution.store.sessions import open_session

BEAT_LOCK: Final = 0x0C3A_11F0

logger = structlog.get_logger(__name__)


class Leadership:
    """One process's claim to be the one that works. Ask every second or so: who doesn't ask counts as frozen."""

    def __init__(self, *, lock: int = BEAT_LOCK, frozen_seconds: float = FROZEN_SECONDS) -> None:
        self._lock = lock
        self._watch = LeaderWatch(lock, frozen_seconds=frozen_seconds)
        self._session: Connection[Any] | None = None

    def claim(self) -> bool:
        """Return whether this process leads, from now on if nobody did. Raises `psycopg.Error`."""
        try:
            return self._ask()
        except BaseException:
            self.give_up()
            raise

    def give_up(self) -> None:
        """Let another one lead."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _ask(self) -> bool:
        if self._session is None:
            self._session = open_session()
        row = self._session.execute(LEADS, {"lock": self._lock}).fetchone()
        if row is not None and row[0]:
            return True
        session = self._session
        if self._watch.oust_frozen(lambda statement, parameters: session.execute(statement, parameters).fetchall()):
            logger.warning("ended the session of a beat that did nothing any more")
        return False
