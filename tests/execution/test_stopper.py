"""Whoever runs something of a run that ends hears of it from the database, and does not have to look."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from pytest_django import Settings

from execution import stopper
from execution.models import NodeExecution
from execution.places import Running
from execution.services import stop_execution
from execution.stopper import Stopper
from execution.store.claims import claim, find_held
from execution.store.holding import InputsAwayError
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
        self.is_overdue = False
        self.is_on_its_way = False
        self._running = {running.token: running}

    def find_running(self) -> dict[UUID, Running]:
        self.looks += 1
        return {} if self.is_on_its_way else dict(self._running)

    def find_overdue(self) -> dict[UUID, Running]:
        return dict(self._running) if self.is_overdue else {}

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


@contextmanager
def stopping(place: Stubborn, end_overdue: Callable[[Running], None]) -> Iterator[None]:
    running = Stopper([place], end_overdue=end_overdue)
    running.start()
    try:
        yield
    finally:
        running.stop()


@pytest.fixture
def listening(place: Stubborn, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One that has looked at everything once, and never will again."""
    monkeypatch.setattr(stopper, "CHECK_SECONDS", math.inf)
    with stopping(place, lambda _running: None):
        assert wait_until(lambda: place.looks > 1)
        yield


@pytest.mark.usefixtures("listening")
def test_a_run_that_is_stopped_has_its_code_asked_to_end_and_then_killed(place: Stubborn) -> None:
    (running,) = place.find_running().values()

    stop_execution(execution_id=running.execution_id)

    assert wait_until(lambda: not place.find_running())
    assert place.interrupted == [running.token]


@pytest.mark.usefixtures("listening")
def test_what_was_claimed_just_before_the_stop_is_found_when_it_has_its_place(place: Stubborn) -> None:
    (running,) = place.find_running().values()
    place.is_on_its_way = True
    looks = place.looks

    stop_execution(execution_id=running.execution_id)
    assert wait_until(lambda: place.looks > looks)
    place.is_on_its_way = False

    assert wait_until(lambda: place.interrupted == [running.token])


@pytest.mark.usefixtures("listening")
def test_a_run_that_goes_on_is_left_alone_while_another_is_stopped(place: Stubborn, user: User, drain: Drain) -> None:
    other = start(user, draw({"in": (INPUT, {"name": "in", "value": 1})}))
    looks = place.looks

    stop_execution(execution_id=other.pk)

    assert wait_until(lambda: place.looks > looks)
    assert place.interrupted == []


@pytest.mark.parametrize("error", [InputsAwayError, OperationalError, ValueError])
def test_a_time_limit_that_can_t_be_recorded_at_once_is_recorded_later(
    place: Stubborn, settings: Settings, error: type[Exception]
) -> None:
    (running,) = place.find_running().values()
    settings.LEASE_SECONDS = 5000
    leases: list[datetime | None] = []
    recorded: list[Running] = []

    def end_overdue(ended: Running) -> None:
        leases.append(NodeExecution.objects.get(pk=ended.node_execution_id).lease_until)
        if len(leases) < 3:
            raise error("not now")
        recorded.append(ended)

    before = NodeExecution.objects.get(pk=running.node_execution_id).lease_until
    place.is_overdue = True
    with stopping(place, end_overdue):
        assert wait_until(lambda: recorded == [running])
        looks = place.looks
        assert wait_until(lambda: place.looks > looks + 1)

    # It keeps its claim meanwhile, so that nobody takes it for lost.
    assert len({before, *leases}) == 4
    assert recorded == [running]


def test_it_is_not_tried_for_ever(place: Stubborn, settings: Settings) -> None:
    settings.RECORD_PATIENCE_SECONDS = 0
    tried: list[Running] = []

    def fail(running: Running) -> None:
        tried.append(running)
        raise InputsAwayError("not now")

    place.is_overdue = True
    with stopping(place, fail):
        assert wait_until(lambda: tried != [])
        looks = place.looks
        assert wait_until(lambda: place.looks > looks + 1)

    assert len(tried) == 1


def test_one_who_has_met_what_nobody_expects_goes_on_to_stop_what_should_not_run(
    place: Stubborn, monkeypatch: pytest.MonkeyPatch
) -> None:
    (running,) = place.find_running().values()
    failures = iter([ValueError("unexpected")])

    def fail_once(claims: dict[UUID, UUID]) -> set[UUID]:
        for error in failures:
            raise error
        return find_held(claims)

    monkeypatch.setattr("execution.stopper.find_held", fail_once)
    stop_execution(execution_id=running.execution_id)
    with stopping(place, lambda _running: None):
        assert wait_until(lambda: not place.find_running())

    assert place.interrupted == [running.token]
