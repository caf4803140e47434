"""What a block's time limit doesn't count: recording what it emits, and whatever that waits for."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from kombu import Connection
from pytest_django import Settings

from execution import attempts, runner
from execution.attempts import ask_patiently
from execution.coroutines import Leash
from execution.engine.statuses import Status
from execution.interruptions import interrupt, run_open
from execution.models import NodeExecution, Output
from execution.store.recording import Recorded, record
from execution.time_limits import OVERDUE_SECONDS, TimeLimitError, alarm_after, alarm_held_back
from execution.workers import WorkerProcesses
from graphs.blocks.contract import Block
from tests.config.processes import wait_until
from tests.conftest import worker_environment
from tests.execution.blocks import AsyncPauseBlock, PlainPauseBlock
from tests.execution.drain import Drain
from tests.execution.failing_blocks import ASYNC_DRIP, DRIP
from tests.execution.lock_waits import lock_run, session_beside
from tests.execution.small_graphs import ASK
from tests.execution.test_time_limits import DEADLINE, await_end, start

pytestmark = pytest.mark.django_db(transaction=True)

# Much more than the blocks take.
LIMIT = 2.0


@pytest.fixture(autouse=True)
def _blocks_of_tests(settings: Settings, broker: Connection) -> None:
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.blocks", "tests.execution.failing_blocks"]


@pytest.fixture
def workers(broker_server: str, tmp_path: Path) -> Iterator[WorkerProcesses]:
    with WorkerProcesses(
        concurrency=1, environment=worker_environment(), log_folder=tmp_path / "workers", grace_seconds=2
    ) as running:
        yield running


@pytest.mark.parametrize("block", [PlainPauseBlock, AsyncPauseBlock])
def test_a_database_that_is_away_for_longer_than_the_limit_makes_no_block_fail(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch, block: type[Block[Any]]
) -> None:
    first_tries: list[float] = []

    def be_away(*arguments: Any, **options: Any) -> Recorded:
        first_tries.append(time.monotonic())
        if time.monotonic() < first_tries[0] + LIMIT + 0.5:
            raise OperationalError("the database system is shutting down")
        return record(*arguments, **options)

    monkeypatch.setattr(attempts, "record", be_away)
    run = start(user, block.id, metadata={"time_limit": LIMIT}, seconds=0.05)

    drain.run()

    run.refresh_from_db()
    assert (run.status, run.node_error_count) == (Status.COMPLETED, 0)
    assert list(Output.objects.order_by("position").values_list("pin", flat=True)) == ["before", "after"]
    # Nor does its user pay for that.
    assert NodeExecution.objects.get().walltime < LIMIT


@pytest.mark.parametrize("block", [DRIP, ASYNC_DRIP])
def test_nobody_ends_a_block_while_what_it_emits_waits_to_be_recorded(
    user: User, workers: WorkerProcesses, tmp_path: Path, block: str
) -> None:
    mark, gate = tmp_path / "mark", tmp_path / "gate"
    run = start(user, block, metadata={"time_limit": LIMIT}, mark=str(mark), gate=str(gate))
    assert wait_until(mark.exists, seconds=DEADLINE), workers.logs()

    with session_beside() as session:
        lock_run(session, run)
        gate.touch()
        too_late = time.monotonic() + LIMIT + OVERDUE_SECONDS + 1
        assert wait_until(lambda: time.monotonic() > too_late)

    await_end(run)
    node = NodeExecution.objects.get(execution=run)
    pins = list(Output.objects.filter(node_execution=node).order_by("position").values_list("pin", flat=True))
    assert (node.status, node.attempt, pins) == (Status.COMPLETED, 1, ["before", "before", "before", "after"])
    assert "killed a block" not in workers.logs()


def test_a_question_that_is_never_answered_doesn_t_keep_a_block_from_ending(
    user: User, broker_server: str, tmp_path: Path
) -> None:
    run = start(user, ASK, metadata={"time_limit": 0.5}, name="?", data=1)
    environment = {**worker_environment(), "LEASE_SECONDS": "60", "RECORD_PATIENCE_SECONDS": "0.2"}
    folder = tmp_path / "workers"

    with session_beside() as session:
        session.execute("LOCK TABLE execution_review")
        with WorkerProcesses(concurrency=1, environment=environment, log_folder=folder, grace_seconds=2) as workers:
            await_end(run)
            assert "killed a block that took too long" in workers.logs()

    assert NodeExecution.objects.get(execution=run).status == Status.FAILED


def test_the_time_goes_on_after_what_doesn_t_count() -> None:
    limit = timedelta(seconds=0.3)

    with pytest.raises(TimeLimitError), alarm_after(limit):
        with alarm_held_back(), alarm_held_back():
            pass
        run_open(time.sleep, DEADLINE)


def test_the_time_of_a_coroutine_goes_on_too() -> None:
    leash, limit, began = Leash(uuid4()), 0.1, time.monotonic()
    leash.deadline = time.monotonic() + limit

    async def hang() -> None:
        async with asyncio.timeout(limit) as timer:
            with leash.at_ease(timer):
                await asyncio.sleep(2 * limit)
            await asyncio.sleep(DEADLINE)

    with pytest.raises(TimeoutError):
        asyncio.run(hang())

    assert began + 3 * limit <= leash.deadline <= time.monotonic() < began + DEADLINE


def test_the_time_of_a_coroutine_stands_still_for_so_long_and_no_longer_from_when_that_begins() -> None:
    leash = Leash(uuid4())
    leash.deadline = time.monotonic() + LIMIT

    async def ask() -> tuple[float, float]:
        async with asyncio.timeout(LIMIT) as timer:
            with leash.at_ease(timer):
                work = leash.within(DEADLINE, lambda: leash.deadline)
                return leash.deadline, work()

    before, after = asyncio.run(ask())

    assert before == float("inf")
    assert time.monotonic() + DEADLINE - 1 < after < time.monotonic() + DEADLINE + 2


def test_reading_patiently_what_a_block_waits_for_doesn_t_count() -> None:
    limit = timedelta(seconds=0.1)
    ended_at = time.monotonic() + 2 * limit.total_seconds()

    with alarm_after(limit):
        ask_patiently(lambda: wait_until(lambda: time.monotonic() > ended_at))
        run_open(lambda: None)


def test_an_alarm_that_rings_when_the_block_is_done_means_nothing(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ring_at_the_end(step: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return run_open(step, *arguments)
        except StopIteration:
            interrupt(TimeLimitError(timedelta(seconds=LIMIT)))
            raise

    monkeypatch.setattr(runner, "run_open", ring_at_the_end)
    run = start(user, PlainPauseBlock.id, seconds=0)

    drain.run()

    run.refresh_from_db()
    assert (run.status, run.node_error_count) == (Status.COMPLETED, 0)
