"""A process that goes on with what it made ready itself, step by step."""

from typing import Any

from execution.attempts import Attempt
from execution.beginning import begin
from execution.engine.statuses import Status
from execution.store.parts import End
from execution.store.taking import Taker
from tests.execution.drain import Drain

COMPLETED = End(status=Status.COMPLETED)


def begin_first(drain: Drain) -> Attempt:
    attempt = begin(drain.waiting.pop(0).id, publish=drain.send)
    assert attempt is not None
    return attempt


def take_next(attempt: Attempt, *, pin: str = "result", value: Any = 1, end: End = COMPLETED) -> Taker:
    """Record the end of an attempt that has emitted just this, and take what comes of it."""
    taker = Taker(attempt.claimed, lease_seconds=1000)
    attempt.emit(pin, value)
    attempt.end(end, taker=taker)
    return taker
