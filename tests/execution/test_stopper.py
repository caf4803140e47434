"""Whoever runs something of a run that ends hears of it from the database, and does not have to look."""

import math
from collections.abc import Iterator
from uuid import UUID

import pytest
from django.contrib.auth.models import User

from execution import stopper
from execution.places import Running
from execution.services import stop_execution
from execution.stopper import Stopper
from execution.store.claims import claim
from tests.config.processes import wait_until
from tests.execution.drain import Drain
from tests.execution.small_graphs import INPUT, draw
from tests.execution.small_runs import start

pytestmark = pytest.mark.django_db(transaction=True)


class Stubborn:
    """A workplace with one attempt, which ends only when it is killed."""

    def __init__(self, running: Running) -> None:
        self.looks = 0
        self.interrupted: list[UUID] = []
        self._running = {running.token: running}

    def find_running(self) -> dict[UUID, Running]:
        self.looks += 1
        return dict(self._running)

    def find_overdue(self) -> dict[UUID, Running]:
        return {}

    def interrupt(self, token: UUID) -> None:
        self.interrupted.append(token)

    def kill(self, token: UUID) -> bool:
        return self._running.pop(token, None) is not None

    def end_processes(self) -> list[int]:
        return []


@pytest.fixture
def place(user: User, drain: Drain) -> Stubborn:
    start(user, draw({"in": (INPUT, {"name": "in", "value": 1})}))
    claimed = claim(drain.waiting.pop().id, lease_seconds=1000)
    assert claimed is not None
    return Stubborn(Running(node_execution_id=claimed.id, execution_id=claimed.execution_id, token=claimed.token))


@pytest.fixture
def listening(place: Stubborn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stopper]:
    """One that has looked at everything once, and never will again."""
    monkeypatch.setattr(stopper, "CHECK_SECONDS", math.inf)
    running = Stopper([place], end_overdue=lambda _running: None)
    running.start()
    assert wait_until(lambda: place.looks > 1)
    yield running
    running.stop()


@pytest.mark.usefixtures("listening")
def test_a_run_that_is_stopped_has_its_code_asked_to_end_and_then_killed(place: Stubborn) -> None:
    (running,) = place.find_running().values()

    stop_execution(execution_id=running.execution_id)

    assert wait_until(lambda: not place.find_running())
    assert place.interrupted == [running.token]


@pytest.mark.usefixtures("listening")
def test_a_run_that_goes_on_is_left_alone_while_another_is_stopped(place: Stubborn, user: User, drain: Drain) -> None:
    other = start(user, draw({"in": (INPUT, {"name": "in", "value": 1})}))
    looks = place.looks

    stop_execution(execution_id=other.pk)

    assert wait_until(lambda: place.looks > looks)
    assert place.interrupted == []
