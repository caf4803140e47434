"""An `io` worker whose process dies by itself: whoever it was fails in the end, and its neighbours count no loss."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from kombu import Connection
from pytest_django import Settings

from execution import loop_watch
from execution.engine.statuses import Status
from execution.loop_board import LoopBoard
from execution.models import NodeExecution, Output, PastAttempt
from execution.places import Running
from execution.store.ready import Ready
from execution.workers import WorkerProcesses
from tests.conftest import worker_environment
from tests.execution.blocks import AsyncPauseBlock, EndlessAsyncBlock
from tests.execution.test_blocked_loops import attempts_of, await_end, start

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _blocks_of_tests(settings: Settings, broker: Connection) -> None:
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.blocks"]


@pytest.fixture(scope="module")
def worker(
    django_db_setup: None, broker_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcesses]:
    with WorkerProcesses(
        kinds=["io"],
        environment={**worker_environment(), "MAX_LOSSES": "3"},
        log_folder=tmp_path_factory.mktemp("worker"),
        grace_seconds=3,
    ) as running:
        yield running


@pytest.mark.parametrize("how", ["crash", "crash_in_thread"])
def test_a_block_that_kills_its_process_fails_and_its_neighbours_lose_nothing(
    user: User, worker: WorkerProcesses, tmp_path: Path, how: str
) -> None:
    neighbours = [start(user, AsyncPauseBlock.id, value=number, seconds=1.0) for number in range(4)]
    killer = start(user, EndlessAsyncBlock.id, how=how, mark=str(tmp_path / "mark"))

    assert await_end(killer).node_error_count == 1
    assert [await_end(neighbour).status for neighbour in neighbours] == [Status.COMPLETED] * 4

    node = NodeExecution.objects.get(execution=killer)
    assert (node.status, node.losses) == (Status.FAILED, 3)
    error = Output.objects.get(node_execution=node, pin="error").value
    assert error.startswith("The process of its worker died while it ran (signal")
    assert "It has lost 3 workers" in error
    for neighbour in neighbours:
        assert NodeExecution.objects.get(execution=neighbour).losses == 0
        assert {outcome for outcome, _ in attempts_of(neighbour)} <= {PastAttempt.Outcome.HANDED_BACK}
    suspicions = NodeExecution.objects.get(execution=killer).suspicions
    assert suspicions == (0 if how == "crash" else 1)
    assert worker.processes[0].poll() is None


def test_whoever_watches_a_loop_gets_over_what_nobody_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_running: Running, **_how: object) -> list[Ready]:
        raise ValueError("unexpected")

    shown, key = LoopBoard(), uuid4()
    shown.show(Running(node_execution_id=key, execution_id=key, token=key))
    monkeypatch.setattr(loop_watch, "hand_back", fail)

    assert loop_watch.LoopWatch(shown).clear_up_after_death(1)
