"""The database's clock, by which all durable times go, so that nobody's own clock matters; and what to do if it jumps.

Each worker compares it with a clock of its machine that never jumps. Whoever first notices a jump moves what was
promised before it (timers, retries, the limits of runs) by as much, so that everything takes as long as it was meant
to.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import connection, transaction

# Less than that is the difference of two clocks, or a slow answer.
JUMP_SECONDS: Final = 1.5

logger = structlog.get_logger(__name__)

_READ: Final = "SELECT clock_timestamp(), COALESCE((SELECT seconds FROM execution_clockcorrection WHERE id = 1), 0)"

_LOCK: Final = """
INSERT INTO execution_clockcorrection (id, seconds) VALUES (1, 0)
    ON CONFLICT (id) DO UPDATE SET seconds = execution_clockcorrection.seconds RETURNING seconds
"""
_NOTE: Final = "UPDATE execution_clockcorrection SET seconds = seconds + %s WHERE id = 1"

# What was written since the jump is right as it is.
_MOVE_RUNS: Final = """
UPDATE execution_execution e
   SET started_at = CASE WHEN e.started_at <@ jump.since THEN e.started_at ELSE e.started_at + jump.by END,
       limits_from = CASE WHEN e.limits_from <@ jump.since THEN e.limits_from ELSE e.limits_from + jump.by END,
       recorded_at = CASE WHEN e.recorded_at <@ jump.since THEN e.recorded_at ELSE e.recorded_at + jump.by END
  FROM (SELECT %(by)s::interval AS by, %(since)s::tstzrange AS since) AS jump
 WHERE e.id IN (SELECT id FROM execution_execution WHERE status IN ('QUEUED', 'RUNNING')
                   AND (max_duration > 0 OR idle_limit > 0) ORDER BY id FOR NO KEY UPDATE)
"""

# The lease of a node execution that waits ended when its wait began.
_MOVE_TIMERS: Final = """
UPDATE execution_nodeexecution n SET wake_at = n.wake_at + jump.by, lease_until = n.lease_until + jump.by
  FROM (SELECT %(by)s::interval AS by) AS jump
 WHERE n.id IN (SELECT id FROM execution_nodeexecution WHERE status = 'SUSPENDED' AND wake_at IS NOT NULL
                   AND NOT COALESCE(lease_until <@ %(since)s::tstzrange, false) ORDER BY id FOR NO KEY UPDATE)
"""

_RENEW_LEASES: Final = """
UPDATE execution_nodeexecution n SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
 WHERE n.id IN (SELECT id FROM execution_nodeexecution WHERE status = 'RUNNING'
                 ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
"""


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """The database's clock, read between two moments (seconds) of this machine's."""

    now: datetime
    began: float
    ended: float


class ClockWatch:
    """What one process has seen of the database's clock."""

    def __init__(self) -> None:
        self._last: _Reading | None = None
        # How far the clock has jumped, and how much of that was corrected before this process looked.
        self._jumped = 0.0
        self._corrected_before = 0.0
        self._since: tuple[datetime, datetime | None] | None = None

    def look(self) -> bool:
        """Read the clock; if it has jumped and nobody has corrected that yet, do it. Return whether this did."""
        began = time.clock_gettime(time.CLOCK_BOOTTIME)
        with connection.cursor() as cursor:
            cursor.execute(_READ)
            now, corrected = cursor.fetchone()
        self._note(_Reading(now=now, began=began, ended=time.clock_gettime(time.CLOCK_BOOTTIME)), corrected)
        if abs(self._find_uncorrected(corrected)) < JUMP_SECONDS:
            return False
        return self._correct()

    def _note(self, reading: _Reading, corrected: float) -> None:
        last, self._last = self._last, reading
        if last is None:
            self._corrected_before = corrected
            return
        passed = (reading.now - last.now).total_seconds()
        least, most = reading.began - last.ended, reading.ended - last.began
        jump = passed - most if passed > most else min(0.0, passed - least)
        if abs(jump) < JUMP_SECONDS:
            return
        self._jumped += jump
        # When it jumped nobody knows: at any moment since the last look.
        forward = (last.now + timedelta(seconds=most), None)
        back = (reading.now - timedelta(seconds=most), reading.now)
        self._since = forward if jump > 0 else back

    def _find_uncorrected(self, corrected: float) -> float:
        return self._jumped - (corrected - self._corrected_before)

    def _correct(self) -> bool:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_LOCK)
            (corrected,) = cursor.fetchone()
            seconds = self._find_uncorrected(corrected)
            if abs(seconds) < JUMP_SECONDS or self._since is None:
                return False
            begin, end = self._since
            since = f"[{begin.isoformat()},{end.isoformat() if end else ''}]"
            moved = {"by": f"{seconds} seconds", "since": since}
            cursor.execute(_MOVE_RUNS, moved)
            cursor.execute(_MOVE_TIMERS, moved)
            cursor.execute(_NOTE, [seconds])
        # Everybody who lives gets the time to renew; who holds a row at this moment does so, or ends it.
        with connection.cursor() as cursor:
            cursor.execute(_RENEW_LEASES, {"lease": settings.LEASE_SECONDS})
        logger.warning("the database's clock has jumped", seconds=round(seconds, 1))
        return True
