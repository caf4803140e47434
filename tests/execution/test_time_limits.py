"""Blocks that take too long in a way that no exception gets through: what runs them is ended, and they fail in time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from kombu import Connection
from pytest_django import Settings

from execution.endings import end_overdue
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, Output, PastAttempt
from execution.places import Running
from execution.services import start_execution
from execution.store.claims import claim
from execution.store.losses import lose
from execution.workers import WorkerProcesses
from graphs.blocks.contract import Block
from graphs.services import import_graph
from tests.config.processes import wait_until
from tests.conftest import worker_environment
from tests.execution.blocks import AsyncPauseBlock, EndlessAsyncBlock, EndlessBlock, PlainPauseBlock
from tests.execution.drain import Drain
from tests.execution.small_graphs import draw

pytestmark = pytest.mark.django_db(transaction=True)

DEADLINE = 30.0
TOO_LONG = "The block took longer than its limit of 0.5 s."
STUBBORN = pytest.mark.parametrize(
    ("block", "how"), [(EndlessBlock, "c_call"), (EndlessBlock, "stubborn"), (EndlessAsyncBlock, "stubborn")]
)


@pytest.fixture(autouse=True)
def _blocks_of_tests(settings: Settings, broker: Connection) -> None:
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.blocks"]


@pytest.fixture(scope="module")
def workers(
    django_db_setup: None, broker_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcesses]:
    """One process for plain blocks, one for coroutines; what they lose is noticed too late for a test."""
    with WorkerProcesses(
        concurrency=1,
        environment={**worker_environment(), "LEASE_SECONDS": "60"},
        log_folder=tmp_path_factory.mktemp("workers"),
        grace_seconds=2,
    ) as running:
        yield running


def start(user: User, block_id: str, *, metadata: dict[str, Any] | None = None, **constants: Any) -> Execution:
    document = draw({"node": (block_id, constants)})
    document["nodes"][0]["metadata"].update(metadata or {})
    return start_execution(user=user, version=import_graph(owner=user, document=document).version, input_data={})


def await_end(run: Execution) -> Execution:
    def has_ended() -> bool:
        run.refresh_from_db()
        return run.ended_at is not None

    assert wait_until(has_ended, seconds=DEADLINE)
    return run


@STUBBORN
def test_a_block_that_lets_no_exception_through_fails_at_its_time_limit(
    user: User, workers: WorkerProcesses, tmp_path: Path, block: type[Block[Any]], how: str
) -> None:
    endless = start(user, block.id, metadata={"time_limit": 0.5}, how=how, mark=str(tmp_path / "mark"))
    next_one = start(user, (AsyncPauseBlock if block is EndlessAsyncBlock else PlainPauseBlock).id, seconds=0)

    assert await_end(endless).node_error_count == 1
    node = NodeExecution.objects.get(execution=endless)
    assert (node.status, node.attempt, node.losses) == (Status.FAILED, 1, 0)
    assert list(Output.objects.filter(node_execution=node).values_list("pin", "value")) == [("error", TOO_LONG)]
    assert await_end(next_one).status == Status.COMPLETED, workers.logs()
    assert "killed a block that took too long" in workers.logs()


def test_it_is_tried_again_as_its_node_asks(user: User, workers: WorkerProcesses, tmp_path: Path) -> None:
    metadata = {"time_limit": 0.5, "retry": {"max_attempts": 2, "first_delay": 0.1}}

    endless = await_end(start(user, EndlessBlock.id, metadata=metadata, how="c_call", mark=str(tmp_path / "mark")))

    (past,) = PastAttempt.objects.filter(node_execution__execution=endless)
    assert (past.outcome, past.error, past.number) == ("FAILED", TOO_LONG, 1)
    assert (past.ended_at - past.began_at).total_seconds() > 0.5
    assert NodeExecution.objects.get(execution=endless).attempt == 2


def test_what_may_cost_something_is_ended_like_the_rest(user: User, drain: Drain) -> None:
    run = start(user, PlainPauseBlock.id, metadata={"time_limit": 0.5}, seconds=0)
    NodeExecution.objects.update(is_paid=True)
    (ready,) = drain.waiting
    claimed = claim(ready.id, lease_seconds=10)
    assert claimed is not None
    running = Running(node_execution_id=claimed.id, execution_id=claimed.execution_id, token=claimed.token)

    end_overdue(running, publish=drain.send)
    end_overdue(running, publish=drain.send)

    run.refresh_from_db()
    assert (run.status, run.node_error_count) == (Status.COMPLETED, 1)
    assert list(Output.objects.values_list("pin", "value")) == [("error", TOO_LONG)]


@pytest.mark.parametrize("is_paid", [False, True])
def test_an_attempt_that_was_queued_again_does_not_fail_for_the_one_before(
    user: User, drain: Drain, is_paid: bool
) -> None:
    run = start(user, PlainPauseBlock.id, metadata={"time_limit": 0.5}, seconds=0)
    NodeExecution.objects.update(is_paid=is_paid)
    (ready,) = drain.waiting
    claimed = claim(ready.id, lease_seconds=10)
    assert claimed is not None
    running = Running(node_execution_id=claimed.id, execution_id=claimed.execution_id, token=claimed.token)
    assert lose(running, error="Its process was killed.", most_losses=3, lease_seconds=10)

    end_overdue(running, publish=drain.send)

    node = NodeExecution.objects.get(execution=run)
    assert (node.status, node.attempt, node.losses) == (Status.QUEUED, 1, 1)
    assert not Output.objects.exists()
