"""Small runs pass the messages of large ones, which go by a queue of their own."""

from collections.abc import Iterator
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
from execution.queues import CPU_QUEUE, backlog_of, both_of
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


def test_a_probe_goes_through_the_backlog_and_the_queue(broker: Connection, db: None) -> None:
    sent_at = timezone.now()
    send_probe(CPU_QUEUE, sent_at=sent_at)
    assert messages(broker) == [0, 1]

    probe(CPU_QUEUE, sent_at.isoformat(), backlog_of(CPU_QUEUE))
    assert messages(broker) == [1, 1]
    assert not QueueProbe.objects.exists()

    probe(CPU_QUEUE, sent_at.isoformat())
    assert QueueProbe.objects.get().passed == sent_at


@pytest.mark.skipif(not current_app.conf.broker_url.startswith("redis"), reason="RabbitMQ forgets nothing")
@pytest.mark.parametrize("filled", [0, 1])
def test_a_broker_that_forgot_everything_but_a_backlog_is_probed(broker: Connection, db: None, filled: int) -> None:
    channel: Any = broker.default_channel
    channel.client.delete(MEMORY_KEY)
    channel.client.lpush(both_of(CPU_QUEUE)[filled], "a message")

    BrokerWatch(current_app).look()

    assert not QueueProbe.objects.filter(queue=CPU_QUEUE).exists()
    assert QueueProbe.objects.filter(queue="io", passed__isnull=False).exists()
