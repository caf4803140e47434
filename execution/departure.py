"""A worker that is told to stop: what it runs may end within a grace period; what has not ended is handed back."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from execution.places import Running
from execution.stopper import KILL_AFTER, Workplace
from execution.store.losses import hand_back
from execution.store.ready import Ready

LOOK_SECONDS: Final = 0.05
# After the grace period, and once nothing runs any more, the pool's processes get this long (seconds) to end.
LAST_SECONDS: Final = 5.0

logger = structlog.get_logger(__name__)


class Departure:
    """A thread that waits for the worker's end and sees to what runs then. The process ends without waiting for it."""

    def __init__(self, workplaces: Sequence[Workplace], send: Callable[[Sequence[Ready]], None]) -> None:
        self._workplaces = workplaces
        self._send = send
        self._begun = threading.Event()
        self._stopping = threading.Event()
        self._handed_back: dict[UUID, float] = {}
        self._idle_since = 0.0
        self._thread = threading.Thread(target=self._loop, name="departure", daemon=True)

    def start(self) -> None:
        """Begin to wait."""
        self._thread.start()

    def begin(self) -> None:
        """Let the grace period begin. May be called from a signal handler."""
        self._begun.set()

    def stop(self) -> None:
        """There is nothing left to see to."""
        self._stopping.set()
        self._begun.set()
        self._thread.join(timeout=5)

    def _loop(self) -> None:
        self._begun.wait()
        self._stopping.wait(settings.SHUTDOWN_GRACE_SECONDS)
        self._idle_since = time.monotonic()
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self._take_turn()
            except Exception:  # without this thread the worker might never end
                logger.exception("a look at what runs failed")
                close_old_connections()
        connection.close()

    def _take_turn(self) -> None:
        ready = [each for place, running in self._running() for each in self._see_off(place, running)]
        # All is handed back before anything is sent: while the broker can't be reached, that takes seconds.
        if ready:
            self._send(ready)
        if self._running():
            self._idle_since = time.monotonic()
        elif time.monotonic() > self._idle_since + LAST_SECONDS:
            self._end_processes()

    def _end_processes(self) -> None:
        """Kill what is left of the pool: the worker waits for it, without a limit, and one that is stuck never ends."""
        for place in self._workplaces:
            if killed := place.end_processes():
                logger.warning("killed processes that didn't end", processes=killed)

    def _running(self) -> list[tuple[Workplace, Running]]:
        return [(place, each) for place in self._workplaces for each in place.find_running().values()]

    def _see_off(self, place: Workplace, running: Running) -> list[Ready]:
        """Hand back an attempt, then end its code: at first in a friendly way. Return what became QUEUED by it."""
        now = time.monotonic()
        handed_back_at = self._handed_back.get(running.token)
        if handed_back_at is None:
            self._handed_back[running.token] = now
            ready = self._hand_back(running)
            place.interrupt(running.token)
            return ready
        if now >= handed_back_at + KILL_AFTER:
            place.kill(running.token)
        return []

    def _hand_back(self, running: Running) -> list[Ready]:
        try:
            ready = hand_back(running)
        except DatabaseError as error:
            # Its lease runs out: that counts as a loss, and takes longer.
            logger.warning("can't hand back", node_execution=str(running.node_execution_id), error=str(error).strip())
            close_old_connections()
            return []
        except Exception:  # whatever it is, the others are to be handed back
            logger.exception("can't hand back", node_execution=str(running.node_execution_id))
            return []
        if ready:
            logger.info("handed back", node_execution=str(running.node_execution_id))
        return ready
