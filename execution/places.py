"""Who runs what in a worker's pool of processes: a table in shared memory that the worker reads and its children write.

Each child has a place and writes into it which attempt it runs. It does so under a lock, and the worker decides under
the same lock whether to interrupt or to kill the child: what it decides about is what the child runs at that moment.
The lock is the kernel's: it is let go when its holder dies.
"""

import fcntl
import mmap
import os
import signal
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Final
from uuid import UUID

from execution.interruptions import AttemptStoppedError, forget_interruption, interrupt

# Ignored by a process that doesn't expect it.
STOP_SIGNAL: Final = signal.SIGURG
MAX_PLACES: Final = 1024
DEATH_SECONDS: Final = 1.0

# The child's process id, how often it asked to be spared, the ids of what it runs and of what it should stop, and when
# that should have ended (seconds of the clock that all processes share; 0: whenever it likes).
_PLACE: Final = struct.Struct("=iI16s16s16s16sd")
_NOTHING: Final = UUID(int=0)


@dataclass(frozen=True, kw_only=True)
class Running:
    """An attempt that runs in this worker, as its claim knows it."""

    node_execution_id: UUID
    execution_id: UUID
    token: UUID


@dataclass(kw_only=True)
class _Content:
    pid: int = 0
    spared: int = 0
    running: Running | None = None
    to_stop: UUID = _NOTHING
    deadline: float = 0.0


class Places:
    """The table. Made by the worker before it starts its children, which inherit it.

    `replace_dead` has the pool look for children that have died.
    """

    def __init__(self, replace_dead: Callable[[], object]) -> None:
        self._replace_dead = replace_dead
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the table
        self._file.truncate(MAX_PLACES * _PLACE.size)
        self._memory = mmap.mmap(self._file.fileno(), MAX_PLACES * _PLACE.size)
        self._threads = threading.Lock()

    def inherit(self) -> None:
        """Begin to use the table in a child: a thread of the worker may have held a lock when the child was made."""
        self._threads = threading.Lock()

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
        self._file.close()

    @contextmanager
    def lock(self, number: int) -> Iterator[None]:
        """Hold the lock of a place against other processes, and other threads: they share those of the kernel."""
        with self._threads:
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, number)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, number)

    def read(self, number: int) -> _Content:
        """Return what stands in a place. Hold its lock."""
        pid, spared_, *ids, deadline = _PLACE.unpack_from(self._memory, number * _PLACE.size)
        node_execution, execution, token, to_stop = ids
        running = None
        if any(token):
            running = Running(
                node_execution_id=UUID(bytes=node_execution),
                execution_id=UUID(bytes=execution),
                token=UUID(bytes=token),
            )
        return _Content(pid=pid, spared=spared_, running=running, to_stop=UUID(bytes=to_stop), deadline=deadline)

    def write(self, number: int, content: _Content) -> None:
        """Write a place. Hold its lock."""
        running = content.running or Running(node_execution_id=_NOTHING, execution_id=_NOTHING, token=_NOTHING)
        _PLACE.pack_into(
            self._memory,
            number * _PLACE.size,
            content.pid,
            content.spared,
            running.node_execution_id.bytes,
            running.execution_id.bytes,
            running.token.bytes,
            content.to_stop.bytes,
            content.deadline,
        )

    def find_running(self) -> dict[UUID, Running]:
        """Return what the children run, by token."""
        found = {}
        for number in self._taken():
            with self.lock(number):
                running = self.read(number).running
            if running is not None:
                found[running.token] = running
        return found

    def find_overdue(self) -> dict[UUID, Running]:
        """Return what the children run although it should have ended, by token."""
        found, now = {}, time.monotonic()
        for number in self._taken():
            with self.lock(number):
                content = self.read(number)
            if content.running is not None and 0.0 < content.deadline < now:
                found[content.running.token] = content.running
        return found

    def find_at_work(self) -> set[UUID]:
        """Return what living children run that still have time for it, by token; not what is between two blocks."""
        found, now = set(), time.monotonic()
        for number in self._taken():
            with self.lock(number):
                content = self.read(number)
            if content.running is not None and content.deadline > now and _goes_on(content.pid):
                found.add(content.running.token)
        return found

    def interrupt(self, token: UUID) -> None:
        """Have the child that runs the attempt raise `AttemptStoppedError` in it."""
        with self._holder(token) as number:
            if number is not None:
                content = self.read(number)
                content.to_stop = token
                self.write(number, content)
                with suppress(ProcessLookupError):
                    os.kill(content.pid, STOP_SIGNAL)

    def kill(self, token: UUID) -> bool:
        """Kill the child that runs the attempt, unless it has asked to be spared; return whether that was done."""
        with self._holder(token) as number:
            if number is None:
                return False
            content = self.read(number)
            if content.spared:
                return False
            with suppress(ProcessLookupError):
                os.kill(content.pid, signal.SIGKILL)
            self.write(number, _Content(pid=content.pid))
        _await_death(content.pid)
        self._replace_dead()
        return True

    def end_processes(self) -> list[int]:
        """Kill all children that are left; return their process ids."""
        killed = []
        for number in self._taken():
            pid = self.read(number).pid
            # Who ended but was not waited for yet keeps its id; who was waited for is no child any more.
            with suppress(ChildProcessError):
                if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
        return killed

    @contextmanager
    def _holder(self, token: UUID) -> Iterator[int | None]:
        """Find the place of an attempt, and keep its child from going on to another one."""
        for number in self._taken():
            with self.lock(number):
                running = self.read(number).running
                if running is not None and running.token == token:
                    yield number
                    return
        yield None

    def _taken(self) -> Iterator[int]:
        """Yield the places that children have: they are given away from the first one on."""
        for number in range(MAX_PLACES):
            (pid,) = struct.unpack_from("=i", self._memory, number * _PLACE.size)
            if not pid:
                return
            yield number


class _Seat:
    """The place of this process, if it is a pool's child."""

    def __init__(self) -> None:
        self.places: Places | None = None
        self.number = -1
        self.token = _NOTHING
        # As it stands in the place: nobody else writes it.
        self.deadline = 0.0
        self.has_deadlines = True


_seat = _Seat()


def take_place(places: Places, number: int) -> None:
    """Begin to use a place, and to listen to what the worker says."""
    if number >= MAX_PLACES:
        return
    places.inherit()
    _seat.places, _seat.number = places, number
    with places.lock(number):
        places.write(number, _Content(pid=os.getpid()))
    signal.signal(STOP_SIGNAL, _hear)


@contextmanager
def stoppable(running: Running, *, has_deadlines: bool = True) -> Iterator[None]:
    """Let the worker interrupt or kill this process while the block of code lasts; for its time only if asked to."""
    if _seat.places is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    _write_seat(running)
    _seat.has_deadlines = has_deadlines
    try:
        yield
    finally:
        _write_seat(None)
        _seat.has_deadlines = True
        forget_interruption()


def set_deadline(moment: float) -> float:
    """Let the worker kill this process if what it runs has not ended at `moment` (monotonic seconds; 0: never).

    Return what was set before.
    """
    if _seat.places is None or _seat.token == _NOTHING or not _seat.has_deadlines or moment == _seat.deadline:
        return _seat.deadline
    with _seat.places.lock(_seat.number):
        content = _seat.places.read(_seat.number)
        before, content.deadline = content.deadline, moment
        _seat.places.write(_seat.number, content)
        _seat.deadline = moment
    return before


@contextmanager
def spared() -> Iterator[None]:
    """Keep the worker from killing this process while the block of code lasts."""
    if _seat.token == _NOTHING or threading.current_thread() is not threading.main_thread():
        yield
        return
    _spare(1)
    try:
        yield
    finally:
        _spare(-1)


def _goes_on(pid: int) -> bool:
    """Whether a child is neither dead nor frozen. Nothing is taken from whoever waits for it."""
    with suppress(ChildProcessError):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT | os.WNOHANG) is None
    return False


def _await_death(pid: int) -> None:
    """Wait until a killed child can be reaped, but leave that to the pool.

    The pool hears of a child's end a moment before that, doesn't find it dead, and would look again seconds later.
    """
    deadline = time.monotonic() + DEATH_SECONDS
    with suppress(ChildProcessError):
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None and time.monotonic() < deadline:
            time.sleep(0.001)


def _write_seat(running: Running | None) -> None:
    if _seat.places is not None:
        with _seat.places.lock(_seat.number):
            _seat.places.write(_seat.number, _Content(pid=os.getpid(), running=running))
            _seat.token, _seat.deadline = running.token if running else _NOTHING, 0.0


def _spare(change: int) -> None:
    if _seat.places is not None:
        with _seat.places.lock(_seat.number):
            content = _seat.places.read(_seat.number)
            content.spared += change
            _seat.places.write(_seat.number, content)


def _hear(_number: int, _frame: FrameType | None) -> None:
    """Stop if what runs now is what should be stopped: the signal may have been on its way for long."""
    if _seat.places is None or _seat.token == _NOTHING:
        return
    if _seat.places.read(_seat.number).to_stop == _seat.token:
        interrupt(AttemptStoppedError())
