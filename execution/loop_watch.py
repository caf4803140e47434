"""An `io` worker runs under the eyes of its parent process, which replaces it when a block holds up its event loop.

Nothing in the worker can be relied on for that: a C call may hold the interpreter's lock, so that no thread of it runs.
The block that held up the loop has lost a worker; its neighbours are handed back, and the next worker sends them. So it
is when the worker dies by itself. If nobody can tell in whose code, all that ran are suspects: they are handed back,
too, and run one at a time from then on, so that the next death tells.
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connections

from execution.loop_board import LoopBoard, board
from execution.models import NodeExecution
from execution.places import Running
from execution.planning import load_plan
from execution.recovery import give_up
from execution.store.claims import find_held
from execution.store.losses import hand_back, lose
from execution.store.ready import Ready
from execution.workers import die_with_parent

LOOK_SECONDS: Final = 0.1
# From then on it is asked whether the block should be running at all.
SUSPICIOUS_SECONDS: Final = 0.3
# A block that should not run gets so long to let go of the loop, and be cancelled.
UNWANTED_SECONDS: Final = 0.2
# A worker that dies sooner than that (seconds) after its start would only die again: a supervisor takes its time.
SHORTEST_LIFE: Final = 5.0
SIGNAL_BASE: Final = 128

# What code that does something wrong gets itself, in the middle of it.
_OWN_FAULTS: Final = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT)

_FORWARDED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1)
_HEARD: Final = (signal.SIGCHLD, *_FORWARDED)

logger = structlog.get_logger(__name__)

_left_behind: list[Ready] = []


def take_left_behind() -> list[Ready]:
    """Return what the worker before this one left QUEUED, and nobody has sent."""
    ready = _left_behind.copy()
    _left_behind.clear()
    return ready


def run_watched(work: Callable[[], int]) -> int:
    """Run `work` in a child process, again and again if that has to be replaced; return the exit code.

    Returns in the child, too. Call it before there are threads.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    while True:
        connections.close_all()
        board.clear()
        child = os.fork()
        if child == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
            die_with_parent(signal.SIGKILL)
            return work()
        _left_behind.clear()
        code = _watch(child)
        if code is not None:
            return code


def _watch(child: int) -> int | None:
    """Return the exit code of the worker; None if another one should take its place."""
    watch, born, is_told_to_stop = LoopWatch(board), time.monotonic(), False
    while True:
        is_told_to_stop |= _forward(signal.sigtimedwait(_HEARD, LOOK_SECONDS), child)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            had_work = code != 0 and watch.clear_up_after_death(code)
            was_killed = code < 0 and not is_told_to_stop
            if was_killed and (had_work or time.monotonic() > born + SHORTEST_LIFE):
                logger.warning("the worker was killed, another one takes its place", signal=-code)
                return None
            return code if code >= 0 else SIGNAL_BASE - code
        if watch.is_blocked():
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            watch.clear_up()
            return 0 if is_told_to_stop else None


def _forward(heard: Any, child: int) -> bool:
    """Pass a signal on to the worker; return whether it tells it to stop."""
    if heard is None or heard.si_signo not in _FORWARDED:
        return False
    # What the terminal sends (it has no process id) goes to the whole group.
    if heard.si_pid:
        os.kill(child, heard.si_signo)
    return bool(heard.si_signo != signal.SIGUSR1)


class LoopWatch:
    """Tells by a worker's board whether its event loop stands still."""

    def __init__(self, shown: LoopBoard) -> None:
        self._board = shown
        self._beats = 0
        self._looked_at = time.monotonic()
        self._still = self._unwanted = 0.0

    def is_blocked(self) -> bool:
        """Look again: whether the loop stands still for too long, or in code that should not run any more."""
        now = time.monotonic()
        # Time in which this process was frozen or waited itself doesn't count.
        passed = min(now - self._looked_at, 2 * LOOK_SECONDS)
        self._looked_at, beats, last = now, self._board.beats, self._beats
        self._beats = beats
        if beats == 0 or beats != last:
            self._still = self._unwanted = 0.0
            return False
        self._still += passed
        if self._still < SUSPICIOUS_SECONDS:
            return False
        self._unwanted = self._unwanted + passed if self._is_unwanted() else 0.0
        return self._unwanted >= UNWANTED_SECONDS or self._still >= settings.LOOP_PATIENCE_SECONDS

    def clear_up(self) -> None:
        """Take back what the killed worker ran."""
        told = f"It held up the event loop of its worker for {self._still:.1f} s."
        neighbours = "Another block held up the event loop of its worker."
        self._take_back(self._board.current, told, neighbours, hint="does it compute without await?")

    def clear_up_after_death(self, code: int) -> bool:
        """Take back what ran in a worker that died by itself; return whether there was anything."""
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        told = f"The process of its worker died while it ran ({how})."
        # The code in which it died; who ended it from elsewhere (a thread, the kernel for want of memory) is told by
        # the suspect, which runs apart from others for that.
        culprit = (self._board.current if -code in _OWN_FAULTS else None) or self._board.suspect
        neighbours = f"The process of its worker died ({how})."
        return self._take_back(culprit, told, neighbours, hint="does it crash, or take too much memory?")

    def _take_back(self, culprit: UUID | None, told: str, told_neighbours: str, *, hint: str) -> bool:
        """Count a loss for the culprit and hand the others back. If nobody can be named, all are suspects.

        Return whether anything ran. What became QUEUED is left behind for the next worker to send. Where the database
        can't be reached, the leases run out.
        """
        running = self._board.find_running()
        guilty = running.pop(culprit, None) if culprit else None
        try:
            for neighbour in running.values():
                _left_behind.extend(hand_back(neighbour, reason=told_neighbours, is_suspect=guilty is None))
            if guilty:
                _left_behind.extend(self._lose(guilty, told, hint))
        except DatabaseError as error:
            logger.warning("can't take back what a dead worker ran", error=str(error).strip())
        except Exception:  # whatever it is, another worker is to take its place
            logger.exception("can't take back what a dead worker ran")
        return bool(running) or guilty is not None

    def _is_unwanted(self) -> bool:
        """Whether the code that the loop is in belongs to an attempt that has lost its claim: its run was stopped."""
        token = self._board.current
        running = self._board.find_running().get(token) if token else None
        if token is None or running is None:
            return False
        try:
            return token not in find_held({running.node_execution_id: token})
        except DatabaseError as error:
            logger.warning("can't ask about a block that holds up the event loop", error=str(error).strip())
            connections.close_all()
            return False

    def _lose(self, running: Running, error: str, hint: str) -> list[Ready]:
        logger.error(
            "a block has cost its worker, which is replaced",
            node_execution=str(running.node_execution_id),
            reason=error,
            **_name(running.node_execution_id),
        )
        lost = lose(running, error=error, most_losses=settings.MAX_LOSSES, lease_seconds=settings.LEASE_SECONDS)
        if isinstance(lost, list):
            return lost
        return list(give_up(lost, error=f"{error} It has lost {settings.MAX_LOSSES} workers: {hint}"))


def _name(node_execution_id: UUID) -> dict[str, str]:
    """Return what to call a node execution in the log."""
    rows = NodeExecution.objects.filter(pk=node_execution_id).values_list("node_id", "execution__graph_version_id")
    for node_id, version_id in rows:
        spec = load_plan(version_id).specs[node_id]
        return {"block": spec.name, "node": spec.plan.name, "node_id": str(node_id)}
    return {}
