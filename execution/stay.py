"""How long a process goes on with a tree of runs in place, without messages."""

import time
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings

from execution.queues import CPU_QUEUE
from execution.store.queues import do_others_wait

# While nobody waits it may be so many times as long. A worker that is told to stop waits for it.
LONGEST: Final = 10

logger = structlog.get_logger(__name__)


class Stay:
    """The time that a process has for a tree of runs: `RUN_IN_PLACE_SECONDS`, again and again while nobody waits."""

    def __init__(self, tree_id: UUID, *, since: float) -> None:
        """`since` (monotonic seconds) the process has had a message's time."""
        self._tree_id = tree_id
        self._until = since + settings.RUN_IN_PLACE_SECONDS
        self._at_most = since + LONGEST * settings.RUN_IN_PLACE_SECONDS

    def goes_on(self) -> bool:
        """Whether the process is still to take what it makes ready. Asks the database once each time it has run out."""
        now = time.monotonic()
        if now < self._until:
            return True
        if now >= self._at_most or self._others_wait():
            self._at_most = now  # it has left, and doesn't come back
            return False
        self._until = min(now + settings.RUN_IN_PLACE_SECONDS, self._at_most)
        return True

    def _others_wait(self) -> bool:
        try:
            return do_others_wait(CPU_QUEUE, tree_id=self._tree_id)
        except Exception as error:  # noqa: BLE001 - who asks is about to record what has ended: nothing may keep it from that
            logger.warning("can't see who waits", error=f"{type(error).__name__}: {error}".strip())
            return True
