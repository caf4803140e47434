"""Async blocks that don't let go of the event loop: their worker is replaced, and everybody else goes on."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from kombu import Connection
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.loop_watch import SHORTEST_LIFE
from execution.models import Execution, NodeExecution, Output, PastAttempt
from execution.services import start_execution, stop_execution
from execution.workers import WorkerProcesses
from graphs.services import import_graph
from tests.config.processes import wait_until
from tests.conftest import worker_environment
from tests.execution.blocks import AsyncPauseBlock, EndlessAsyncBlock
from tests.execution.small_graphs import draw

pytestmark = pytest.mark.django_db(transaction=True)

# Less than the worker's patience with blocks that nobody has stopped.
DEADLINE = 30.0


@pytest.fixture(autouse=True)
def _blocks_of_tests(settings: Settings, broker: Connection) -> None:
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.blocks"]


@pytest.fixture(scope="module")
def worker(
    django_db_setup: None, broker_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcesses]:
    with WorkerProcesses(
        kinds=["io"],
        environment={**worker_environment(), "LOOP_PATIENCE_SECONDS": "3", "MAX_LOSSES": "2"},
        log_folder=tmp_path_factory.mktemp("worker"),
        grace_seconds=3,
    ) as running:
        yield running


def start(user: User, block_id: str, **constants: Any) -> Execution:
    version = import_graph(owner=user, document=draw({"node": (block_id, constants)})).version
    return start_execution(user=user, version=version, input_data={})


def start_blocking(user: User, mark: Path, how: str) -> Execution:
    """Start a run and return when its block runs."""
    run = start(user, EndlessAsyncBlock.id, how=how, mark=str(mark))
    assert wait_until(lambda: mark.exists() and mark.read_text() != "", seconds=DEADLINE)
    return run


def await_end(run: Execution) -> Execution:
    def has_ended() -> bool:
        run.refresh_from_db()
        return run.ended_at is not None

    assert wait_until(has_ended, seconds=DEADLINE)
    return run


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def attempts_of(run: Execution) -> list[tuple[str, str]]:
    rows = PastAttempt.objects.filter(node_execution__execution=run)
    return [(outcome, error.partition(" for ")[0]) for outcome, error in rows.values_list("outcome", "error")]


@pytest.mark.parametrize("how", ["sleep", "loop", "c_call"])
def test_a_stopped_block_that_holds_up_the_loop_ends_soon(
    user: User, worker: WorkerProcesses, tmp_path: Path, how: str
) -> None:
    mark = tmp_path / "mark"
    blocking = start_blocking(user, mark, how)
    following = start(user, AsyncPauseBlock.id, seconds=0)

    stop_execution(execution_id=blocking.pk)

    assert wait_until(lambda: is_gone(int(mark.read_text())))
    assert await_end(following).status == Status.COMPLETED
    blocking.refresh_from_db()
    assert (blocking.status, attempts_of(blocking)) == (Status.TERMINATED, [])


def test_the_worker_is_replaced_and_everybody_goes_on(user: User, worker: WorkerProcesses, tmp_path: Path) -> None:
    neighbour = start(user, AsyncPauseBlock.id, value=1, seconds=1.5)
    assert wait_until(lambda: Output.objects.filter(node_execution__execution=neighbour).exists(), seconds=DEADLINE)

    blocking = start_blocking(user, tmp_path / "mark", "once")

    assert await_end(blocking).status == Status.COMPLETED
    assert await_end(neighbour).status == Status.COMPLETED
    assert attempts_of(blocking) == [("LOST", "It held up the event loop of its worker")]
    assert attempts_of(neighbour) == [("HANDED_BACK", "Another block held up the event loop of its worker.")]
    assert NodeExecution.objects.get(execution=neighbour).attempt == 1
    node = str(NodeExecution.objects.get(execution=blocking).pk)
    (told,) = [line for line in worker.logs().splitlines() if "held up the event loop" in line and node in line]
    assert "EndlessAsyncBlock" in told
    assert worker.processes[0].poll() is None


@pytest.mark.parametrize("how", ["sleep", "c_call"])
def test_a_block_that_always_does_it_fails_with_that_reason(
    user: User, worker: WorkerProcesses, tmp_path: Path, how: str
) -> None:
    blocking = start_blocking(user, tmp_path / "mark", how)

    assert await_end(blocking).node_error_count == 1
    node = NodeExecution.objects.get(execution=blocking)
    assert (node.status, node.losses) == (Status.FAILED, 2)
    error = Output.objects.get(node_execution=node, pin="error").value
    assert error.startswith("It held up the event loop of its worker for")
    assert "It has lost 2 workers" in error
    assert await_end(start(user, AsyncPauseBlock.id, seconds=0)).status == Status.COMPLETED


def test_a_worker_that_was_killed_is_replaced_too(user: User, worker: WorkerProcesses) -> None:
    (watcher,) = worker.processes
    assert wait_until(lambda: any(age(pid) > SHORTEST_LIFE for pid in children_of(watcher.pid)), seconds=DEADLINE)
    (killed,) = children_of(watcher.pid)

    os.kill(killed, signal.SIGKILL)

    assert wait_until(lambda: children_of(watcher.pid) not in ([], [killed]), seconds=DEADLINE)
    assert await_end(start(user, AsyncPauseBlock.id, seconds=0)).status == Status.COMPLETED


def age(pid: int) -> float:
    """Return for how long (seconds) a process has been there."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
