"""The attempts that run on the event loop of this process, and how they are stopped: cancelled at their next await."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, TypeVar
from uuid import UUID

from execution.loop_board import board
from execution.places import Running
from execution.time_limits import OVERDUE_SECONDS

T = TypeVar("T")


class Leash:
    """Holds the coroutine of a block. One that is cancelled and goes on all the same is let go of: it never runs again.

    What it was waiting for may still happen, but nobody tells the block.
    """

    def __init__(self, token: UUID) -> None:
        self.is_cut = False
        self.token = token.bytes
        # When it should have ended (monotonic seconds).
        self.deadline = float("inf")
        self._kept: list[Any] = []

    async def hold(self, step: Awaitable[T]) -> T:
        """Await a step of the block."""
        return await _Held(self, step)

    @contextmanager
    def at_ease(self, timer: asyncio.Timeout) -> Iterator[None]:
        """Let the block's time stand still, and with it the timer: what is awaited inside is not the block's."""
        since, rings_at = time.monotonic(), timer.when()
        deadline, self.deadline = self.deadline, float("inf")
        if not timer.expired():
            timer.reschedule(None)
        try:
            yield
        finally:
            passed = time.monotonic() - since
            self.deadline = deadline + passed
            if rings_at is not None and not timer.expired():
                timer.reschedule(rings_at + passed)

    def within(self, seconds: float, work: Callable[[], T]) -> Callable[[], T]:
        """Return `work` such that what takes longer hangs, and is ended like a block that takes too long.

        To be called at ease. The time counts from when it begins: it may wait for a thread before that.
        """

        def begin() -> T:
            self.deadline = time.monotonic() + seconds + OVERDUE_SECONDS
            return work()

        return begin

    def keep(self, coroutine: Any) -> None:
        """Keep what is left of a block that was let go of: collected as garbage, it would run again."""
        self._kept.append(coroutine)


class _Held(Generic[T]):
    def __init__(self, leash: Leash, step: Awaitable[T]) -> None:
        self._leash = leash
        self._step = step

    def __await__(self) -> Generator[Any, Any, T]:
        step = self._step.__await__()
        try:
            awaited = self._drive(next, step)
            while not self._leash.is_cut:
                try:
                    answer = yield awaited
                except BaseException as error:  # noqa: BLE001 - whatever it is, it is for the block
                    awaited = self._drive(step.throw, error)
                else:
                    awaited = self._drive(step.send, answer)
        except StopIteration as end:
            result: T = end.value
            return result
        self._leash.keep(step)
        raise asyncio.CancelledError

    def _drive(self, move: Callable[[Any], Any], argument: Any) -> Any:
        """Let the block go on to its next await, and show that the loop is in its code."""
        board.enter(self._leash.token)
        try:
            return move(argument)
        finally:
            board.leave()


class Coroutines:
    """The attempts on the loop, by their tokens."""

    def __init__(self) -> None:
        self._entries: dict[UUID, tuple[Running, asyncio.Task[Any], Leash]] = {}
        self._cut: list[Leash] = []
        self._killed: set[UUID] = set()
        self._suspects = asyncio.Lock()

    @contextmanager
    def stoppable(self, running: Running) -> Iterator[Leash]:
        """Let the current task be cancelled while the block of code lasts."""
        task, leash = asyncio.current_task(), Leash(running.token)
        if task is None:
            raise RuntimeError("An attempt on the event loop is a task.")
        self._entries[running.token] = (running, task, leash)
        board.show(running)
        try:
            yield leash
        finally:
            del self._entries[running.token]
            self._killed.discard(running.token)
            board.hide(running.token)
            if leash.is_cut:
                self._cut.append(leash)

    @asynccontextmanager
    async def one_at_a_time(self, token: UUID) -> AsyncIterator[None]:
        """Let one suspect run after the other: if the process dies again, it was that one."""
        async with self._suspects:
            board.begin_suspect(token)
            try:
                yield
            finally:
                board.end_suspect()

    def find_running(self) -> dict[UUID, Running]:
        """Return what runs, by token."""
        return {token: running for token, (running, _task, _leash) in self._entries.copy().items()}

    def find_overdue(self) -> dict[UUID, Running]:
        """Return what should have ended, by token."""
        now = time.monotonic()
        return {token: running for token, (running, _, leash) in self._entries.copy().items() if leash.deadline < now}

    def interrupt(self, token: UUID) -> None:
        """Cancel an attempt at its next await."""
        self._cancel(token, cut=False)

    def kill(self, token: UUID) -> bool:
        """Cancel an attempt, and let go of its block if that goes on all the same.

        A block that holds up the loop is not reached by that: see `execution.loop_watch`.
        """
        return token not in self._killed and self._cancel(token, cut=True)

    def end_processes(self) -> list[int]:
        """There are none."""
        return []

    def _cancel(self, token: UUID, *, cut: bool) -> bool:
        entry = self._entries.get(token)
        if entry is None:
            return False
        _running, task, leash = entry
        if cut:
            self._killed.add(token)

        def cancel() -> None:
            # On the loop: between looking and cancelling, the attempt can't go on.
            if self._entries.get(token) is entry:
                leash.is_cut = leash.is_cut or cut
                task.cancel()

        task.get_loop().call_soon_threadsafe(cancel)
        return True


coroutines = Coroutines()
