"""Real processes die at bad moments, and the run ends as if nothing had happened."""

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from kombu import Connection
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, Output, PastAttempt, RunOutput
from execution.queues import both_of
from execution.services import start_execution
from execution.workers import WorkerProcesses
from graphs.services import import_graph
from tests.config.processes import wait_until
from tests.conftest import worker_environment
from tests.execution.failing_blocks import ASYNC_GATE, DEADLY, GATE, MODULES
from tests.execution.small_graphs import OUTPUT, draw

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = {
    "LEASE_SECONDS": "1.5",
    "MESSAGE_PATIENCE_SECONDS": "0.6",
    "PROBE_SECONDS": "0.3",
    "SHUTDOWN_GRACE_SECONDS": "0.5",
}
DEADLINE = 20.0
REDIS_ONLY = pytest.mark.skipif(not settings.CELERY_BROKER_URL.startswith("redis"), reason="looks into Redis")
GATES = pytest.mark.parametrize(("block", "kind"), [(GATE, "cpu"), (ASYNC_GATE, "io")])


@pytest.fixture(autouse=True)
def failing_blocks(settings: Settings) -> None:
    settings.BLOCK_MODULES = MODULES


class Crew:
    """Workers that can be started one by one, and killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._workers: list[WorkerProcesses] = []

    def hire(self, *kinds: str, **environment: str) -> WorkerProcesses:
        """Start a worker of each kind, with one process."""
        number = len(self._workers)
        workers = WorkerProcesses(
            concurrency=1,
            kinds=kinds or ("cpu",),
            environment={**worker_environment(), **QUICK, **environment},
            log_folder=self._folder / str(number),
        )
        workers.__enter__()
        self._workers.append(workers)
        return workers

    def dismiss(self) -> None:
        """End all."""
        for workers in self._workers:
            for process in workers.processes:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGCONT)
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def logs(self) -> str:
        return "\n".join(workers.logs() for workers in self._workers)


@pytest.fixture
def crew(tmp_path: Path, broker: Connection) -> Iterator[Crew]:
    """Workers, of which none is left after the test."""
    crew = Crew(tmp_path / "workers")
    yield crew
    crew.dismiss()


class Gated:
    """A run whose block waits for a file. `attempts` are the processes that have run it."""

    def __init__(self, user: User, folder: Path, block: str) -> None:
        self._mark, self._gate = folder / "mark", folder / "gate"
        constants = {"value": 7, "mark": str(self._mark), "gate": str(self._gate)}
        self.run = start(user, block, constants)

    def open(self) -> None:
        self._gate.touch()

    @property
    def attempts(self) -> list[int]:
        return [int(line.split()[0]) for line in self._mark.read_text().splitlines()] if self._mark.exists() else []

    def await_attempts(self, count: int) -> list[int]:
        """Wait until the block has been begun so often, and what it emitted is recorded."""
        assert wait_until(lambda: len(self.attempts) >= count, seconds=DEADLINE)
        assert wait_until(lambda: Output.objects.filter(pin="before").exists(), seconds=DEADLINE)
        return self.attempts

    @property
    def node(self) -> NodeExecution:
        return NodeExecution.objects.get(execution=self.run, ordinal=0, outputs__pin="before")


def start(user: User, block: str, constants: Mapping[str, Any]) -> Execution:
    document = draw(
        {
            "block": (block, dict(constants)),
            "before": (OUTPUT, {"name": "before"}),
            "after": (OUTPUT, {"name": "after"}),
            "error": (OUTPUT, {"name": "error"}),
        },
        ["block.before -> before.value", "block.after -> after.value", "block.error -> error.value"],
    )
    version = import_graph(owner=user, document=document).version
    return start_execution(user=user, version=version, input_data={})


def outputs_of_ended(run: Execution, crew: Crew, *, seconds: float = DEADLINE) -> dict[str, Any]:
    """Wait for a run's end and return {name: value}; it must have completed, each output once."""

    def has_ended() -> bool:
        run.refresh_from_db()
        return run.ended_at is not None

    assert wait_until(has_ended, seconds=seconds), crew.logs()
    assert run.status == Status.COMPLETED
    rows = list(RunOutput.objects.filter(execution=run).values_list("name", "value"))
    assert len(rows) == len(dict(rows))
    return dict(rows)


UNDISTURBED = {"before": 7, "after": 7}


def test_a_child_that_is_killed_in_the_middle_of_a_block_costs_one_attempt(
    user: User, tmp_path: Path, crew: Crew
) -> None:
    crew.hire("cpu")
    gated = Gated(user, tmp_path, GATE)
    (pid,) = gated.await_attempts(1)

    os.kill(pid, signal.SIGKILL)
    gated.await_attempts(2)
    gated.open()

    assert outputs_of_ended(gated.run, crew) == UNDISTURBED
    assert (gated.node.attempt, gated.node.losses) == (2, 1)
    assert PastAttempt.objects.get().outcome == "LOST"
    assert PastAttempt.objects.get().worker.endswith(f":{pid}")


@GATES
def test_a_worker_that_is_killed_is_replaced_by_another(
    user: User, tmp_path: Path, crew: Crew, block: str, kind: str
) -> None:
    first = crew.hire(kind, "cpu") if kind == "io" else crew.hire("cpu")
    gated = Gated(user, tmp_path, block)
    gated.await_attempts(1)

    for process in first.processes:
        os.killpg(process.pid, signal.SIGKILL)
    crew.hire(*{kind, "cpu"})
    gated.await_attempts(2)
    gated.open()

    assert outputs_of_ended(gated.run, crew) == UNDISTURBED
    assert gated.node.losses == 1


def test_a_block_that_kills_its_worker_three_times_fails_and_the_run_goes_on(user: User, crew: Crew) -> None:
    crew.hire("cpu")

    run = start(user, DEADLY, {"value": 7, "failures": 99})

    assert outputs_of_ended(run, crew, seconds=40)["error"].startswith("Its worker died 3 times")
    assert run.node_error_count == 1
    assert PastAttempt.objects.filter(outcome="LOST").count() == 3


def test_a_worker_that_was_thought_dead_changes_nothing_when_it_wakes(user: User, tmp_path: Path, crew: Crew) -> None:
    first = crew.hire("cpu").processes[0]
    gated = Gated(user, tmp_path, GATE)
    (pid,) = gated.await_attempts(1)

    os.killpg(first.pid, signal.SIGSTOP)
    crew.hire("cpu")
    gated.await_attempts(2)
    gated.open()
    assert outputs_of_ended(gated.run, crew) == UNDISTURBED
    rows = list(NodeExecution.objects.order_by("pk").values())
    os.killpg(first.pid, signal.SIGCONT)

    # It takes a new task, so it is done with the old one.
    later = Gated(user, _folder(tmp_path, "later"), GATE)
    later.open()
    other = Gated(user, _folder(tmp_path, "other"), GATE)
    other.open()
    assert outputs_of_ended(later.run, crew) == outputs_of_ended(other.run, crew) == UNDISTURBED
    assert wait_until(lambda: "stopping a block" in crew.logs() or "claim lost" in crew.logs(), seconds=DEADLINE)
    assert list(NodeExecution.objects.filter(execution=gated.run).order_by("pk").values()) == rows
    assert outputs_of_ended(gated.run, crew) == UNDISTURBED
    assert pid != gated.attempts[1]


@GATES
def test_a_worker_that_is_told_to_stop_hands_back_what_does_not_end(
    user: User, tmp_path: Path, crew: Crew, block: str, kind: str
) -> None:
    first = crew.hire(kind, LEASE_SECONDS="1000").processes[0]
    gated = Gated(user, tmp_path, block)
    gated.await_attempts(1)
    crew.hire(*{kind, "cpu"}, LEASE_SECONDS="1000")

    first.terminate()
    gated.await_attempts(2)
    gated.open()

    assert outputs_of_ended(gated.run, crew) == UNDISTURBED
    assert (gated.node.attempt, gated.node.losses) == (1, 0)
    assert PastAttempt.objects.get().outcome == "HANDED_BACK"
    assert wait_until(lambda: first.poll() is not None, seconds=DEADLINE)
    assert first.poll() == 0


@GATES
def test_a_worker_that_is_told_to_stop_lets_blocks_end(
    user: User, tmp_path: Path, crew: Crew, block: str, kind: str
) -> None:
    first = crew.hire(kind, SHUTDOWN_GRACE_SECONDS="60").processes[0]
    gated = Gated(user, tmp_path, block)
    gated.await_attempts(1)

    first.terminate()
    assert wait_until(lambda: "shutdown" in crew.logs(), seconds=DEADLINE)
    for _ in range(2):
        lease_until = gated.node.lease_until
        assert wait_until(lambda seen=lease_until: gated.node.lease_until != seen, seconds=DEADLINE)  # type: ignore[misc]
    gated.open()

    assert wait_until(lambda: first.poll() is not None, seconds=DEADLINE)
    assert gated.node.status == Status.COMPLETED
    assert not PastAttempt.objects.exists()


def test_a_worker_that_is_told_to_stop_ends_although_a_process_of_its_pool_does_not(
    user: User, tmp_path: Path, crew: Crew
) -> None:
    worker = crew.hire("cpu").processes[0]
    gated = Gated(user, tmp_path, GATE)
    (pid,) = gated.await_attempts(1)
    gated.open()
    assert outputs_of_ended(gated.run, crew) == UNDISTURBED

    os.kill(pid, signal.SIGSTOP)
    worker.terminate()

    assert wait_until(lambda: worker.poll() is not None, seconds=DEADLINE)
    assert "killed processes" in crew.logs()


@REDIS_ONLY
def test_messages_that_the_broker_forgot_are_sent_again(
    user: User, tmp_path: Path, crew: Crew, broker: Connection
) -> None:
    crew.hire("cpu", MESSAGE_PATIENCE_SECONDS="1", PROBE_SECONDS="1000")
    blocking = Gated(user, _folder(tmp_path, "blocking"), GATE)
    blocking.await_attempts(1)
    waiting = [Gated(user, _folder(tmp_path, str(number)), GATE) for number in range(5)]
    for gated in waiting:
        gated.open()

    client_of(broker).flushdb()
    blocking.open()

    for gated in (blocking, *waiting):
        assert outputs_of_ended(gated.run, crew) == UNDISTURBED
    assert "has lost what it knew" in crew.logs()


def test_one_message_that_is_lost_is_sent_again(
    user: User, tmp_path: Path, crew: Crew, broker: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    crew.hire("cpu")
    first = Gated(user, _folder(tmp_path, "first"), GATE)
    first.open()
    assert outputs_of_ended(first.run, crew) == UNDISTURBED

    with monkeypatch.context() as losing:
        losing.setattr("execution.services.send", lambda _ready: None)
        lost = Gated(user, _folder(tmp_path, "lost"), GATE)
    lost.open()

    assert outputs_of_ended(lost.run, crew) == UNDISTURBED
    assert PastAttempt.objects.count() == 0


@REDIS_ONLY
def test_what_waits_behind_a_long_block_is_not_sent_again(
    user: User, tmp_path: Path, crew: Crew, broker: Connection
) -> None:
    crew.hire("cpu")
    blocking = Gated(user, _folder(tmp_path, "blocking"), GATE)
    blocking.await_attempts(1)
    waiting = [Gated(user, _folder(tmp_path, str(number)), GATE) for number in range(5)]
    queued = dict(NodeExecution.objects.filter(status=Status.QUEUED).values_list("pk", "queued_at"))

    def probes() -> int:
        messages = (each for queue in both_of("cpu") for each in client_of(broker).lrange(queue, 0, -1))
        return sum(b"execution.probe" in each for each in messages)

    assert wait_until(lambda: probes() >= 6, seconds=DEADLINE)

    assert dict(NodeExecution.objects.filter(status=Status.QUEUED).values_list("pk", "queued_at")) == queued
    for gated in (*waiting, blocking):
        gated.open()
    for gated in (*waiting, blocking):
        assert outputs_of_ended(gated.run, crew) == UNDISTURBED
    assert "messages lost" not in crew.logs()


def client_of(broker: Connection) -> Any:
    """Return redis-py's client of a connection."""
    channel: Any = broker.default_channel
    return channel.client


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
