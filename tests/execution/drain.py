"""A queue in memory that behaves like the broker and its workers, in this process and in any order."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.db import connections

from execution.beginning import begin, begin_next, begin_with_others
from execution.keeping import Keeper, Kept
from execution.queues import IO_QUEUE
from execution.recovery import sweep
from execution.runner import run_async, run_plain
from execution.store.ready import Ready
from execution.store.waits import seconds_to_next_wake

DEADLINE_SECONDS = 60.0


class Drain:
    """Keeps what is sent until `run` runs it, as workers would. For tests with `django_db(transaction=True)`.

    `goes_on`: as a worker's process does, it goes on with what a node execution has made ready, without a message.
    """

    def __init__(self) -> None:
        self.waiting: list[Ready] = []
        self.goes_on = False

    def send(self, ready: Sequence[Ready]) -> None:
        """Take messages, as `execution.tasks.send` does."""
        self.waiting.extend(ready)

    def run(self, *, order: random.Random | None = None) -> int:
        """Run what waits and what comes of it, timers included; return how many messages that took.

        First in, first out; with `order`, whichever it picks.
        """
        deadline = time.monotonic() + DEADLINE_SECONDS
        count = 0
        while self.waiting or seconds_to_next_wake() is not None:
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(self.waiting)} messages are left after {DEADLINE_SECONDS} seconds.")
            if self.waiting:
                self.run_one(self.waiting.pop(order.randrange(len(self.waiting)) if order else 0))
                count += 1
            else:
                time.sleep(sweep(self.send) if not self.waiting else 0.0)
        return count

    def run_one(self, ready: Ready) -> None:
        """Run one message, and keep what comes of it."""
        if ready.queue == IO_QUEUE:
            self._run_coroutine(ready)
            return
        attempts = begin_with_others(ready.id, publish=self.send)
        while attempts:
            attempts = begin_next(run_plain(attempts, goes_on=lambda: self.goes_on), publish=self.send)

    def _run_coroutine(self, ready: Ready) -> None:
        attempt = begin(ready.id, publish=self.send)
        if attempt is not None:
            with _database_thread() as executor:
                asyncio.run(run_async(attempt, executor=executor))


class KeeperWithoutThread(Keeper):
    """Looks after nothing: it would need a database session that outlives the test."""

    def hold(self, attempt: Kept) -> None:
        """Leave the lease as it is: it is longer than a test."""

    def let_go(self, attempt: Kept) -> None:
        """Have nothing to let go of."""

    def expect(self, moment: float) -> None:
        """Leave it to the attempt to flush what it has gathered."""


@contextmanager
def _database_thread() -> Iterator[ThreadPoolExecutor]:
    """A thread for database work that leaves no connection behind."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield executor
        executor.submit(connections.close_all).result()
