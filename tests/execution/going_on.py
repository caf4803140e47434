"""A process that goes on with what it made ready itself, step by step."""

from collections.abc import Sequence
from typing import Any

from execution.attempts import Attempt
from execution.beginning import begin, begin_next
from execution.engine.statuses import Status
from execution.recovery import sweep
from execution.runner import run_plain
from execution.store.parts import End
from execution.store.taking import Taker
from tests.execution.drain import Drain

COMPLETED = End(status=Status.COMPLETED)


def always() -> bool:
    """The process goes on in place, however long it has."""
    return True


def begin_first(drain: Drain) -> Attempt:
    attempt = begin(drain.waiting.pop(0).id, publish=drain.send)
    assert attempt is not None
    return attempt


def begin_several(drain: Drain, items: Sequence[Any]) -> list[Attempt]:
    """Let the node execution whose message is the first emit `items`, and begin with all that comes of it at once."""
    attempt = begin_first(drain)
    taker = Taker(attempt.claimed, lease_seconds=1000)
    for item in items:
        attempt.emit("item", item)
    attempt.end(COMPLETED, taker=taker)
    attempts = begin_next(taker, publish=drain.send)
    assert len(attempts) == len(items)
    return attempts


def run_on(attempts: Sequence[Attempt], drain: Drain) -> None:
    """Run attempts, and go on with what comes of them, as a worker's process does."""
    while attempts:
        attempts = begin_next(run_plain(attempts, goes_on=always), publish=drain.send)


def take_next(attempt: Attempt, *, pin: str = "result", value: Any = 1, end: End = COMPLETED) -> Taker:
    """Record the end of an attempt that has emitted just this, and take what comes of it."""
    taker = Taker(attempt.claimed, lease_seconds=1000)
    attempt.emit(pin, value)
    attempt.end(end, taker=taker)
    return taker


def sweep_until_quiet(drain: Drain) -> None:
    """Run what waits, and what the sweeper finds, until nothing is left to do."""
    drain.run()
    sweep(drain.send)
    while drain.waiting:
        drain.run()
        sweep(drain.send)
