"""How soon code ends whose run is stopped: `python -m pytest -s tests/execution/measure_stopping.py` (some minutes).

Not part of the suite: a busy machine would fail it. Times begin with the moment at which the run was TERMINATED in the
database. For plain blocks they end when the same (single) process has begun the next task, for coroutines when the
block's `finally` has run, or, if it doesn't let itself be cancelled, with the last thing that it did.
"""

import math
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from execution.models import Execution, NodeExecution
from execution.services import stop_execution
from tests.config.processes import wait_until
from tests.execution.blocks import EndlessAsyncBlock, EndlessBlock, PlainPauseBlock
from tests.execution.test_stopping import (
    _blocks_of_tests,
    await_end,
    is_still,
    save,
    silent_server,
    silent_socket,
    single_workers,
    start,
    start_endless,
)

__all__ = ["_blocks_of_tests", "silent_server", "silent_socket", "single_workers"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("single_workers")]

TIMES = 40
LIMIT_SECONDS = 1.0


def stop_plain(user: User, mark: Path, *, how: str, address: str) -> float:
    """Stop a plain block and return how long (seconds) its process took to begin the next one."""
    endless = start_endless(user, EndlessBlock.id, mark, how=how)
    following = start(user, save(user, PlainPauseBlock.id, seconds=0))
    stop_execution(execution_id=endless.pk)
    await_end(following)
    (began,) = NodeExecution.objects.filter(execution=following).values_list("started_at", flat=True)
    assert began is not None
    return began.timestamp() - _stopped_at(endless)


def stop_async(user: User, mark: Path, *, how: str, address: str) -> float:
    """Stop a coroutine and return how long (seconds) it took to end."""
    endless = start_endless(user, EndlessAsyncBlock.id, mark, how=how, address=address)
    stop_execution(execution_id=endless.pk)
    sign = Path(f"{mark}.beats" if how == "stubborn" else f"{mark}.ended")
    assert wait_until(sign.exists)
    assert how != "stubborn" or wait_until(partial(is_still, sign))
    return max(0.0, sign.stat().st_mtime - _stopped_at(endless))


def stop_blocking(user: User, mark: Path, *, how: str, address: str) -> float:
    """Stop a coroutine that holds up the event loop, and return how long (seconds) its process was still there."""
    endless = start_endless(user, EndlessAsyncBlock.id, mark, how=how, address=address)
    stop_execution(execution_id=endless.pk)
    process = Path(f"/proc/{mark.read_text()}")
    assert wait_until(lambda: not process.exists())
    return max(0.0, time.time() - _stopped_at(endless))


def _stopped_at(run: Execution) -> float:
    run.refresh_from_db()
    assert run.ended_at is not None
    return run.ended_at.timestamp()


@pytest.mark.parametrize(
    ("stop", "how"),
    [
        *((stop_plain, how) for how in ("sleep", "loop", "c_call", "stubborn")),
        *((stop_async, how) for how in ("wait", "http", "stubborn")),
        *((stop_blocking, how) for how in ("sleep", "loop", "c_call")),
    ],
)
def test_code_ends_within_a_second(
    user: User,
    silent_server: str,
    tmp_path: Path,
    stop: Callable[..., float],
    how: str,
) -> None:
    took = sorted(stop(user, tmp_path / f"mark{number}", how=how, address=silent_server) for number in range(TIMES))

    p50, p95 = (took[math.ceil(TIMES * share / 100) - 1] for share in (50, 95))
    sys.stdout.write(f"\n{stop.__name__} {how}: p50 {p50:.3f} s, p95 {p95:.3f} s, max {took[-1]:.3f} s of {TIMES}\n")
    assert p95 < LIMIT_SECONDS
