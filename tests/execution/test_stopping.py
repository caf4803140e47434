"""Stopped runs with real workers: code that runs ends soon, whatever it does, and the worker goes on with the next."""

import select
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from kombu import Connection
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, Output
from execution.services import resume_execution, start_execution, stop_execution
from execution.workers import WorkerProcesses
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.config.processes import wait_until
from tests.conftest import worker_environment
from tests.execution.blocks import AsyncPauseBlock, EndlessAsyncBlock, EndlessBlock, PlainPauseBlock
from tests.execution.small_graphs import draw

pytestmark = pytest.mark.django_db(transaction=True)

BRIEF_SECONDS = 0.01


@pytest.fixture(autouse=True)
def _blocks_of_tests(settings: Settings, broker: Connection) -> None:
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.blocks"]


@pytest.fixture(scope="module")
def single_workers(
    django_db_setup: None, broker_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcesses]:
    """Workers that run one plain block at a time."""
    folder = tmp_path_factory.mktemp("workers")
    with WorkerProcesses(
        concurrency=1, environment=worker_environment(), log_folder=folder, grace_seconds=2
    ) as running:
        yield running


@pytest.fixture
def silent_socket() -> Iterator[socket.socket]:
    """A socket to which one can connect, and where nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def silent_server(silent_socket: socket.socket) -> str:
    """The address of a server that takes connections and says nothing."""
    return f"http://127.0.0.1:{silent_socket.getsockname()[1]}/"


def save(user: User, block_id: str, **constants: Any) -> GraphVersion:
    return import_graph(owner=user, document=draw({"node": (block_id, constants)})).version


def start(user: User, version: GraphVersion) -> Execution:
    return start_execution(user=user, version=version, input_data={})


def start_endless(user: User, block_id: str, mark: Path, **constants: Any) -> Execution:
    """Start a run and return when its block runs."""
    run = start(user, save(user, block_id, mark=str(mark), **constants))
    assert wait_until(lambda: mark.exists() and mark.read_text() != "", seconds=20)
    return run


def await_end(run: Execution) -> Execution:
    def has_ended() -> bool:
        run.refresh_from_db()
        return run.ended_at is not None

    assert wait_until(has_ended, seconds=20)
    return run


@pytest.mark.parametrize(("how", "is_killed"), [("sleep", 0), ("loop", 0), ("c_call", 1), ("stubborn", 1)])
def test_a_worker_whose_block_is_stopped_takes_the_next_task_at_once(
    user: User, single_workers: WorkerProcesses, tmp_path: Path, how: str, is_killed: int
) -> None:
    endless = start_endless(user, EndlessBlock.id, tmp_path / "mark", how=how)
    following = start(user, save(user, PlainPauseBlock.id, seconds=0))

    receipt = stop_execution(execution_id=endless.pk)

    assert (receipt.status, receipt.stopped) == (Status.TERMINATED, {Status.RUNNING: 1})
    assert await_end(following).status == Status.COMPLETED
    (node_execution,) = receipt.runs[0].interrupted
    logs = [line for line in single_workers.logs().splitlines() if str(node_execution) in line]
    assert sum("killed a block" in line for line in logs) == is_killed


@pytest.mark.usefixtures("single_workers")
@pytest.mark.parametrize("how", ["wait", "http"])
def test_a_stopped_coroutine_is_cancelled(
    user: User, tmp_path: Path, silent_socket: socket.socket, silent_server: str, how: str
) -> None:
    mark, ended = tmp_path / "mark", tmp_path / "mark.ended"
    endless = start_endless(user, EndlessAsyncBlock.id, mark, how=how, address=silent_server)
    if how == "http":
        # Until it connects its client is made, which holds up the loop: who is stopped then may lose the process.
        assert select.select([silent_socket], [], [], 20)[0]
    neighbour = start(user, save(user, AsyncPauseBlock.id, seconds=0.5))

    stop_execution(execution_id=endless.pk)

    assert wait_until(ended.exists)
    assert await_end(neighbour).status == Status.COMPLETED


def test_a_coroutine_that_will_not_be_cancelled_never_runs_again(
    user: User, single_workers: WorkerProcesses, tmp_path: Path
) -> None:
    beats = tmp_path / "mark.beats"
    endless = start_endless(user, EndlessAsyncBlock.id, tmp_path / "mark", how="stubborn")
    assert wait_until(lambda: beats.exists() and beats.stat().st_size > 2, seconds=20)

    stop_execution(execution_id=endless.pk)

    assert wait_until(lambda: is_still(beats))


def is_still(beats: Path) -> bool:
    """Whether nothing was written for as long as several beats take."""
    size = beats.stat().st_size
    return not wait_until(lambda: beats.stat().st_size != size, seconds=0.5)


def test_stops_that_come_when_blocks_end_hurt_nobody_else(user: User, single_workers: WorkerProcesses) -> None:
    version = save(user, PlainPauseBlock.id, seconds=BRIEF_SECONDS)
    runs = [start(user, version) for _ in range(200)]

    stopped = set()
    for run in runs[::2]:
        assert wait_until(partial(has_begun, run), seconds=20)
        if not stop_execution(execution_id=run.pk).had_ended:
            stopped.add(run.pk)

    for run in runs:
        expected = Status.TERMINATED if run.pk in stopped else Status.COMPLETED
        assert await_end(run).status == expected
        if expected == Status.COMPLETED:
            assert Output.objects.filter(node_execution__execution=run).count() == 2


def has_begun(run: Execution) -> bool:
    return NodeExecution.objects.filter(execution=run, started_at__isnull=False).exists()


def test_a_block_whose_node_execution_was_given_to_another_worker_is_ended_too(
    user: User, single_workers: WorkerProcesses, tmp_path: Path
) -> None:
    endless = start_endless(user, EndlessBlock.id, tmp_path / "mark", how="sleep")
    following = start(user, save(user, PlainPauseBlock.id, seconds=0))

    NodeExecution.objects.filter(execution=endless).update(token="00000000-0000-4000-8000-000000000000")

    assert await_end(following).status == Status.COMPLETED
    stop_execution(execution_id=endless.pk)


def test_stopping_waits_for_a_database_that_was_away(
    user: User, single_workers: WorkerProcesses, tmp_path: Path
) -> None:
    endless = start_endless(user, EndlessBlock.id, tmp_path / "mark", how="loop")
    following = start(user, save(user, PlainPauseBlock.id, seconds=0))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )

    stop_execution(execution_id=endless.pk)

    assert await_end(following).status == Status.COMPLETED


def test_revoked_messages_are_dropped_and_do_not_harm_a_resumed_run(
    user: User, single_workers: WorkerProcesses, tmp_path: Path
) -> None:
    endless = start_endless(user, EndlessBlock.id, tmp_path / "mark", how="sleep")
    queued = start(user, save(user, PlainPauseBlock.id, seconds=0))
    (node_execution,) = NodeExecution.objects.filter(execution=queued)

    stop_execution(execution_id=queued.pk)
    resume_execution(execution_id=queued.pk)
    stop_execution(execution_id=endless.pk)

    assert await_end(queued).status == Status.COMPLETED
    assert single_workers.logs().count(f"Discarding revoked task: PlainPauseBlock[{node_execution.pk}]") == 1


def test_a_run_stopped_while_it_ran_is_resumed_by_the_same_worker(
    user: User, single_workers: WorkerProcesses, tmp_path: Path
) -> None:
    run = start(user, save(user, PlainPauseBlock.id, value=7, seconds=1))
    assert wait_until(lambda: Output.objects.filter(node_execution__execution=run).exists(), seconds=20)

    stop_execution(execution_id=run.pk)
    resume_execution(execution_id=run.pk)

    assert await_end(run).status == Status.COMPLETED
    outputs = Output.objects.filter(node_execution__execution=run).order_by("position")
    assert list(outputs.values_list("pin", "value")) == [("before", 7), ("after", 7)]
