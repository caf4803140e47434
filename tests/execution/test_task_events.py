"""Flower hears of every node execution as of a task, whether it came by a message or was gone on with in place."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery.events import EventReceiver
from django.contrib.auth.models import User

from config.celery import app
from execution.models import NodeExecution
from execution.services import start_execution
from graphs.services import import_graph
from tests.config.processes import wait_until
from tests.execution.small_graphs import CALCULATOR, INPUT, draw

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("workers")]

LENGTH = 30
CHAIN = draw(
    {
        "in": (INPUT, {"name": "in", "value": 1}),
        **{f"add {number}": (CALCULATOR, {"operation": "Add", "b": 1}) for number in range(LENGTH)},
    },
    ["in.result -> add 0.a", *(f"add {n}.result -> add {n + 1}.a" for n in range(LENGTH - 1))],
)


@pytest.fixture
def heard() -> Iterator[list[dict[str, Any]]]:
    """The events that the workers tell of while the test lasts."""
    events: list[dict[str, Any]] = []
    listening = threading.Event()

    class Receiver(EventReceiver):
        def on_consume_ready(self, *arguments: Any, **options: Any) -> None:
            listening.set()

    with app.connection_for_read() as connection:
        receiver = Receiver(connection, app=app, handlers={"*": events.append})
        thread = threading.Thread(target=lambda: receiver.capture(wakeup=False))
        thread.start()
        assert listening.wait(10)
        yield events
        receiver.should_stop = True
        thread.join(10)


def test_every_node_execution_is_a_task_with_its_blocks_name(user: User, heard: list[dict[str, Any]]) -> None:
    version = import_graph(owner=user, document=CHAIN).version
    run = start_execution(user=user, version=version, input_data={})

    def ended() -> dict[str, dict[str, Any]]:
        return {event["uuid"]: event for event in list(heard) if event["type"] == "task-succeeded"}

    def keys() -> set[str]:
        return {str(key) for key in NodeExecution.objects.filter(execution=run).values_list("pk", flat=True)}

    # What the workers had to do for others before may be heard, too.
    assert wait_until(lambda: len(keys()) == LENGTH + 1 and keys() <= ended().keys(), seconds=60)

    received = {event["uuid"]: event for event in heard if event["type"] == "task-received"}
    assert keys() <= received.keys()
    assert {received[key]["name"] for key in keys()} == {"AgentInputBlock", "CalculatorBlock"}
    assert all(event["hostname"].startswith("cpu-") for key, event in ended().items() if key in keys())
    assert all(0 < event["runtime"] < 60 for event in ended().values())
    assert all(received[key]["timestamp"] <= ended()[key]["timestamp"] <= time.time() for key in keys())
