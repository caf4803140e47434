"""Ending blocks whose attempts no longer count, or take too long.

Their run has ended, or another worker has the node execution. The rows have stopped them already: what they record is
refused. This only makes their code end soon. The database says when a run ends (a hint); whether an attempt still holds
its claim is read from its row (the truth). Now and then all attempts are looked at, so a hint that is lost costs
seconds. What goes wrong in one look is logged, and the next one goes on.
"""

import selectors
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from typing import Any, Final, Protocol
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, close_old_connections, connections
from django.db import Error as DjangoDatabaseError
from psycopg import Connection
from psycopg import Error as DatabaseError

from execution.places import Running
from execution.store.claims import find_held, renew_leases
from execution.store.sessions import open_session
from execution.store.trees import ENDED_CHANNEL

# A block gets this long (seconds) to end by itself once it was interrupted.
KILL_AFTER: Final = 0.4
LOOK_SECONDS: Final = 0.05
# A claim may be made just before its run ends, and come to its place just after that.
ON_THE_WAY_SECONDS: Final = 0.3
CHECK_SECONDS: Final = 3.0
OVERDUE_LOOK_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 1.0

logger = structlog.get_logger(__name__)


class Workplace(Protocol):
    """Where attempts of this worker run. All of these may be called from any thread."""

    def find_running(self) -> dict[UUID, Running]:
        """Return the attempts that run, by token."""

    def find_overdue(self) -> dict[UUID, Running]:
        """Return the attempts that run although their time limit has passed, by token."""

    def interrupt(self, token: UUID) -> None:
        """Ask an attempt to end; nothing happens if it has ended."""

    def kill(self, token: UUID) -> bool:
        """End an attempt that goes on all the same; return whether that was done (now)."""

    def end_processes(self) -> list[int]:
        """Kill the processes that it has beside the worker's own; return their ids."""


class Stopper:
    """A thread that ends what should not run any more."""

    def __init__(self, workplaces: Sequence[Workplace], *, end_overdue: Callable[[Running], None]) -> None:
        """`end_overdue` records that an attempt took too long, when its code was ended for that."""
        self._workplaces = workplaces
        self._end_overdue = end_overdue
        self._told: dict[UUID, float] = {}
        # Runs that have ended, and until when their attempts are looked for: some may be on their way to their places.
        self._ended: dict[str, float] = {}
        # Attempts that were ended for their time, which is not recorded yet, and until when that is tried.
        self._unrecorded: dict[UUID, tuple[Running, float]] = {}
        self._checked_at = float("-inf")
        self._stopping = threading.Event()
        self._bell, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._loop, name="stopper", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._stopping.set()
        self._waker.send(b"!")
        self._thread.join(timeout=5)
        self._waker.close()

    def _loop(self) -> None:
        with closing(self._bell):
            while not self._stopping.is_set():
                try:
                    with closing(open_session()) as session:
                        self._watch(session)
                except (DatabaseError, DjangoDatabaseError) as error:
                    logger.warning("stopper can't reach the database", error=str(error))
                    self._stopping.wait(RETRY_SECONDS)
                except Exception:  # without this thread nothing is ended any more, and nobody would notice
                    logger.exception("a look at what runs failed")
                    self._stopping.wait(RETRY_SECONDS)
        connections[DEFAULT_DB_ALIAS].close()

    def _watch(self, session: "Connection[Any]") -> None:
        session.execute(f"LISTEN {ENDED_CHANNEL}")
        # Whatever ended while nobody listened is found by looking at everything.
        self._checked_at = float("-inf")
        with selectors.DefaultSelector() as selector:
            selector.register(session.fileno(), selectors.EVENT_READ)
            selector.register(self._bell, selectors.EVENT_READ)
            while not self._stopping.is_set():
                self._look(ended={notice.payload for notice in session.notifies(timeout=0)})
                close_old_connections()
                selector.select(LOOK_SECONDS if self._told or self._ended else OVERDUE_LOOK_SECONDS)

    def _look(self, *, ended: Collection[str]) -> None:
        """End what no longer counts. `ended` are the ids of runs that have ended since the last look."""
        self._ended |= dict.fromkeys(ended, time.monotonic() + ON_THE_WAY_SECONDS)
        found = [(place, place.find_running()) for place in self._workplaces]
        places = {token: place for place, attempts in found for token in attempts}
        running = {token: each for _place, attempts in found for token, each in attempts.items()}
        now = time.monotonic()
        if now >= self._checked_at + CHECK_SECONDS:
            self._checked_at = now
            suspects = running
        else:
            suspects = {token: each for token, each in running.items() if str(each.execution_id) in self._ended}
        for token in self._find_lost(suspects) - self._told.keys():
            logger.info("stopping a block", node_execution=str(running[token].node_execution_id))
            self._told[token] = now
            places[token].interrupt(token)
        self._ended = {key: until for key, until in self._ended.items() if until > now}
        self._told = {token: at for token, at in self._told.items() if token in running}
        for token, at in self._told.items():
            if now >= at + KILL_AFTER and places[token].kill(token):
                logger.warning("killed a block", node_execution=str(running[token].node_execution_id))

        self._end_what_is_overdue()
        self._record_ends()

    def _end_what_is_overdue(self) -> None:
        for place in self._workplaces:
            for token, each in place.find_overdue().items():
                if place.kill(token):
                    logger.warning("killed a block that took too long", node_execution=str(each.node_execution_id))
                    self._unrecorded[token] = each, time.monotonic() + settings.RECORD_PATIENCE_SECONDS

    def _record_ends(self) -> None:
        """Record what was ended for its time. What can't be recorded keeps its claim for as long as that is tried."""
        if not self._unrecorded:
            return
        held = renew_leases(self._unrecorded.keys(), lease_seconds=settings.LEASE_SECONDS)
        self._unrecorded = {token: each for token, each in self._unrecorded.items() if token in held}
        for token, (running, until) in self._unrecorded.copy().items():
            try:
                self._end_overdue(running)
            except Exception:  # whatever it is, others must not wait for this one
                name, gives_up = str(running.node_execution_id), time.monotonic() > until
                logger.exception("can't record a time limit", node_execution=name, gives_up=gives_up)
                if not gives_up:
                    continue
            del self._unrecorded[token]

    def _find_lost(self, suspects: Mapping[UUID, Running]) -> set[UUID]:
        if not suspects:
            return set()
        return suspects.keys() - find_held({each.node_execution_id: token for token, each in suspects.items()})
