"""Leading by an advisory lock of the database, and ending the session of a leader that does nothing any more.

Frozen, or cut off, it would keep its lock for hours.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

FROZEN_SECONDS: Final = 5.0

# Runs a statement and returns its rows.
Ask = Callable[[str, Sequence[Any]], Sequence[tuple[Any, ...]]]

LEADS: Final = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND classid = 0 AND objid = %(lock)s)
    OR pg_try_advisory_lock(%(lock)s)
"""
"""Whether this session leads: it takes the lock if nobody has it, and keeps it until it closes."""

_LEADER: Final = """
SELECT a.pid, a.state_change
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 0 AND l.objid = %s
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND a.state <> 'active'
"""
_OUST: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND state_change = %s AND state <> 'active'
"""


class LeaderWatch:
    """Looks, for somebody who waits for an advisory lock, whether who holds it still asks something now and then.

    How long it has not is told by this process's own clock, which never jumps; of the database's, only whether two
    times are the same.
    """

    def __init__(self, lock: int, *, frozen_seconds: float = FROZEN_SECONDS) -> None:
        self._lock = lock
        self._frozen_seconds = frozen_seconds
        self._seen: tuple[Any, ...] | None = None
        self._since = 0.0

    def oust_frozen(self, ask: Ask) -> bool:
        """End the session that holds the lock if it has asked nothing for `frozen_seconds` of looks; say whether."""
        seen = next(iter(ask(_LEADER, [self._lock])), None)
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        if seen is None or time.monotonic() - self._since < self._frozen_seconds:
            return False
        return bool(ask(_OUST, seen))
