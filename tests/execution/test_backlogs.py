"""Small runs pass the messages of large ones, which go by a queue of their own."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.utils import timezone
from kombu import Connection
from kombu.exceptions import ChannelError
from pytest_django import Settings

from execution.broker import MEMORY_KEY, BrokerWatch
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, QueueProbe
from execution.queues import ALL_QUEUES, CPU_QUEUE, backlog_of, both_of
from execution.services import resume_execution, stop_execution
from execution.store.claims import claim
from execution.store.messages import due_probes, take_lost
from execution.tasks import probe, send, send_probe
from execution.workers import WorkerProcesses
from tests.config.processes import wait_until
from tests.conftest import worker_environment
from tests.execution.blocks import PlainPauseBlock
from tests.execution.drain import Drain
from tests.execution.families import make_family
from tests.execution.small_graphs import CALCULATOR, INPUT, OUTPUT, STEP, draw
from tests.execution.small_runs import ended, start

pytestmark = pytest.mark.django_db(transaction=True)

WINDOW = 8
PATIENCE = timedelta(seconds=10)
SMALL = draw(
    {"in": (INPUT, {"name": "in", "value": 1}), "add": (CALCULATOR, {"operation": "Add", "b": 1})},
    ["in.result -> add.a"],
)


@pytest.fixture(autouse=True)
def small_window(settings: Settings) -> None:
    settings.RUN_WINDOW = {"cpu": WINDOW, "io": WINDOW}
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.blocks"]


def fan_out(items: int) -> dict[str, Any]:
    return draw(
        {"step": (STEP, {"items": list(range(items))}), "out": (OUTPUT, {"name": "out"})}, ["step.item -> out.value"]
    )


def messages(broker: Connection) -> list[int]:
    """Return how many messages wait for plain blocks, in front and in the backlog."""
    return [_count(broker, name) for name in both_of(CPU_QUEUE)]


def _count(broker: Connection, name: str) -> int:
    channel: Any
    with broker.channel() as channel:
        try:
            return int(channel.queue_declare(name, passive=True).message_count)
        except ChannelError:
            return 0


@pytest.mark.parametrize(("items", "backlog"), [(WINDOW - 1, 0), (40, WINDOW)])
def test_what_fills_its_runs_window_goes_to_the_backlog(
    user: User, drain: Drain, broker: Connection, items: int, backlog: int
) -> None:
    start(user, fan_out(items))
    drain.run_one(drain.waiting.pop(0))

    send(drain.waiting)

    assert messages(broker) == [len(drain.waiting) - backlog, backlog]


def test_a_tree_of_runs_that_does_not_fill_its_window_is_no_backlog(user: User, drain: Drain) -> None:
    """Though what a sub-run makes ready is always held back first."""
    run = start(user, make_family())
    sent = []

    while drain.waiting:
        sent.append(drain.waiting.pop(0))
        drain.run_one(sent[-1])

    assert ended(run).status == Status.COMPLETED
    assert not any(ready.is_backlog for ready in sent)


@pytest.fixture
def one_worker(broker: Connection, tmp_path: Path) -> Iterator[WorkerProcesses]:
    """A worker with one process that gets a message for each node execution."""
    environment = {**worker_environment(), "RUN_IN_PLACE_SECONDS": "0", "RUN_WINDOW_CPU": str(WINDOW)}
    with WorkerProcesses(concurrency=1, environment=environment, log_folder=tmp_path, kinds=["cpu"]) as running:
        yield running


@pytest.mark.usefixtures("one_worker")
def test_a_small_run_does_not_wait_for_the_messages_of_a_large_one(user: User) -> None:
    nodes: dict[str, Any] = {
        "step": (STEP, {"items": list(range(200))}),
        "pause": (PlainPauseBlock.id, {"seconds": 0.05}),
    }
    large = start(user, draw(nodes, ["step.item -> pause.value"]))
    begun = NodeExecution.objects.filter(execution=large, claimed_at__isnull=False)
    assert wait_until(lambda: begun.count() > WINDOW)

    small = start(user, SMALL)
    assert wait_until(lambda: Execution.objects.filter(pk=small.pk, ended_at__isnull=False).exists())

    small = ended(small)
    meanwhile = begun.filter(claimed_at__range=(small.created_at, small.ended_at)).count()
    # One that runs and, where a worker reserves its next message, that, for each of the small run's two.
    assert meanwhile <= 4


@pytest.mark.parametrize("lost_from", both_of(CPU_QUEUE))
def test_a_queue_and_its_backlog_are_probed_each_by_itself(user: User, drain: Drain, lost_from: str) -> None:
    start(user, SMALL)
    start(user, fan_out(40))
    drain.run_one(drain.waiting.pop())
    in_queue = NodeExecution.objects.filter(status=Status.QUEUED, held_back=False)
    assert set(in_queue.values_list("is_backlog", flat=True)) == {False, True}
    now = timezone.now()
    in_queue.update(queued_at=now - timedelta(minutes=2))
    QueueProbe.objects.create(queue=lost_from, sent_at=now, passed=now - timedelta(minutes=1), passed_at=now - PATIENCE)

    lost = take_lost(patience=1, limit=100)

    assert {ready.id for ready in lost} == set(
        in_queue.filter(is_backlog=lost_from != CPU_QUEUE).values_list("pk", flat=True)
    )
    assert {ready.is_backlog for ready in lost} == {lost_from != CPU_QUEUE}


def test_a_probe_goes_where_something_waits(user: User, drain: Drain, broker: Connection) -> None:
    start(user, fan_out(40))
    drain.run_one(drain.waiting.pop())
    ((name, sent_at),) = due_probes(ALL_QUEUES, patience=0, interval=0)
    assert name == backlog_of(CPU_QUEUE)

    send_probe(name, sent_at=sent_at)
    assert messages(broker) == [0, 1]

    probe(name, sent_at.isoformat())
    assert QueueProbe.objects.get().passed == sent_at


def test_one_that_is_claimed_is_no_backlog_any_more(user: User, drain: Drain) -> None:
    start(user, fan_out(40))
    drain.run_one(drain.waiting.pop())
    ready = drain.waiting.pop()

    claim(ready.id, lease_seconds=60)

    assert not NodeExecution.objects.get(pk=ready.id).is_backlog


def test_what_is_sent_when_its_runs_turn_comes_is_counted_where_it_goes(
    user: User, drain: Drain, settings: Settings
) -> None:
    """Whatever queue it was sent to before its run was stopped."""
    settings.MAX_CONCURRENT_RUNS_PER_USER = 1
    large = start(user, fan_out(40))
    drain.run_one(drain.waiting.pop())
    stop_execution(execution_id=large.pk)
    other = start(user, SMALL)
    resume_execution(execution_id=large.pk)
    drain.waiting.clear()

    stop_execution(execution_id=other.pk)

    sent = {ready.id: ready.is_backlog for ready in drain.waiting}
    in_queue = NodeExecution.objects.filter(status=Status.QUEUED, held_back=False)
    assert len(sent) == WINDOW
    assert dict(in_queue.values_list("pk", "is_backlog")) == sent


@pytest.mark.skipif(not current_app.conf.broker_url.startswith("redis"), reason="RabbitMQ forgets nothing")
@pytest.mark.parametrize("filled", both_of(CPU_QUEUE))
def test_a_broker_that_forgot_everything_but_one_queue_has_lost_the_others(
    broker: Connection, db: None, filled: str
) -> None:
    channel: Any = broker.default_channel
    channel.client.delete(MEMORY_KEY)
    channel.client.lpush(filled, "a message")

    BrokerWatch(current_app).look()

    assert set(QueueProbe.objects.values_list("queue", flat=True)) == ALL_QUEUES.keys() - {filled}
