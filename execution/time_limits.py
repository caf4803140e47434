"""How long a plain block may take: an alarm that interrupts the thread it runs in."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Final

from execution.interruptions import forget_interruption, interrupt
from execution.places import STOP_SIGNAL, set_deadline, spared

# How long (seconds) a block may go on after its limit before whatever runs it is ended.
OVERDUE_SECONDS: Final = 1.0


class TimeLimitError(Exception):
    """A block took longer than it may; the text says how long."""

    def __init__(self, limit: timedelta) -> None:
        super().__init__(f"The block took longer than its limit of {limit.total_seconds():g} s.")


@contextmanager
def alarm_after(limit: timedelta) -> Iterator[None]:
    """Raise `TimeLimitError` in the block that runs inside once `limit` has passed.

    Where no exception comes through (a C call, a block that catches all), the worker kills the process a while later.
    Works in the main thread of a process, which is where a pool's child runs its tasks; elsewhere nobody interrupts.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        interrupt(TimeLimitError(limit))

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit.total_seconds())
    set_deadline(time.monotonic() + limit.total_seconds() + OVERDUE_SECONDS)
    try:
        yield
    finally:
        set_deadline(0.0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        forget_interruption()


@contextmanager
def alarm_held_back() -> Iterator[None]:
    """Let nobody interrupt or kill this block of code: a transaction must not be torn apart, nor what is sent after.

    It doesn't count towards the limit of the block in the middle of which it is done.
    """
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, STOP_SIGNAL})
    try:
        with spared(), alarm_stopped():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


@contextmanager
def alarm_stopped(*, at_most: float | None = None) -> Iterator[None]:
    """Let the time of the block stand still while this block of code lasts, which is not the block's.

    What takes longer than `at_most` (seconds) hangs, and is ended like a block that takes too long.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    since = time.monotonic()
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    deadline = set_deadline(0.0)
    if at_most is not None:
        set_deadline(since + at_most + OVERDUE_SECONDS)
    try:
        yield
    finally:
        # An alarm that has rung rings no more, but whoever didn't hear it is killed all the same.
        if left:
            signal.setitimer(signal.ITIMER_REAL, left)
        set_deadline(deadline + time.monotonic() - since if deadline else 0.0)
