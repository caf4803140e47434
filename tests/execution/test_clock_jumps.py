"""The database's clock jumps, and every run takes as long as it would have taken, and ends the same."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.models import ClockCorrection, Execution, NodeExecution, PastAttempt
from execution.recovery import sweep
from execution.store.claims import claim
from execution.store.clock import ClockWatch
from execution.store.waits import seconds_to_next_wake
from tests.execution.drain import Drain
from tests.execution.shifted_clock import shifted_clock
from tests.execution.small_graphs import ASK, OUTPUT, TIMER, draw
from tests.execution.small_runs import ended, outputs_of, start

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = 3600.0
Jump = Callable[[float], None]


@pytest.fixture
def jump(settings: Settings) -> Iterator[Jump]:
    settings.LEASE_SECONDS = 10
    with shifted_clock() as jump:
        yield jump


@pytest.fixture
def watch(jump: Jump) -> ClockWatch:
    watch = ClockWatch()
    watch.look()
    return watch


def run_ready(drain: Drain) -> None:
    while drain.waiting:
        drain.run_one(drain.waiting.pop(0))


def read_clock() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    assert isinstance(now, datetime)
    return now


def make_timer(seconds: float) -> dict[str, Any]:
    return draw(
        {
            "timer": (TIMER, {"input_message": "late", "seconds": seconds, "repeat": 1}),
            "out": (OUTPUT, {"name": "out"}),
        },
        ["timer.output_message -> out.value"],
    )


@pytest.mark.parametrize("seconds", [HOUR, -HOUR, 30.0, -30.0])
def test_a_timer_rings_after_as_long_as_it_was_set_to(
    user: User, drain: Drain, jump: Jump, watch: ClockWatch, seconds: float
) -> None:
    start(user, make_timer(600))
    run_ready(drain)
    watch.look()
    before = seconds_to_next_wake()

    jump(seconds)
    assert watch.look()

    after = seconds_to_next_wake()
    assert before is not None and after is not None
    assert before - 3.0 < after <= before + 0.5
    assert not watch.look()


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_run_ends_as_if_nothing_had_been(
    user: User, drain: Drain, jump: Jump, watch: ClockWatch, seconds: float
) -> None:
    run = start(user, make_timer(1))
    run_ready(drain)

    jump(seconds)
    watch.look()
    drain.run()

    assert ended(run).status == Status.COMPLETED
    assert outputs_of(run) == {"out": ["late"]}


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_run_keeps_the_time_that_it_may_take(
    user: User, drain: Drain, jump: Jump, watch: ClockWatch, seconds: float
) -> None:
    run = start(user, draw({"ask": (ASK, {"name": "?", "data": 1})}, max_duration=300, idle_limit=300))
    run_ready(drain)
    watch.look()

    jump(seconds)
    sweep(drain.send, before_limits=watch.look)

    run.refresh_from_db()
    assert run.status == Status.RUNNING
    assert run.started_at is not None
    assert abs(read_clock() - run.started_at) < timedelta(seconds=30)


def test_nobody_is_lost_because_the_clock_is_set_forward(
    user: User, drain: Drain, jump: Jump, watch: ClockWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("execution.recovery.PATIENCE_OF_LEASE", 0)
    start(user, draw({"out": (OUTPUT, {"name": "out", "value": 1})}))
    assert claim(drain.waiting.pop().id, lease_seconds=10) is not None

    jump(HOUR)
    watch.look()
    sweep(drain.send)

    assert NodeExecution.objects.get().status == Status.RUNNING
    assert not PastAttempt.objects.exists()


def test_what_was_set_after_the_jump_is_left_alone_and_only_one_corrects(
    user: User, drain: Drain, jump: Jump, watch: ClockWatch
) -> None:
    other = ClockWatch()
    other.look()
    start(user, make_timer(600))
    run_ready(drain)
    jump(HOUR)
    start(user, make_timer(600))
    run_ready(drain)

    assert [watch.look(), other.look(), ClockWatch().look()] == [True, False, False]

    now = read_clock()
    waits = [(wake_at - now).total_seconds() for wake_at in _wake_times()]
    assert len(waits) == 2
    assert all(590 < seconds <= 601 for seconds in waits)
    assert abs(ClockCorrection.objects.get().seconds - HOUR) < 1
    assert Execution.objects.filter(ended_at=None).count() == 2


def _wake_times() -> list[datetime]:
    times = NodeExecution.objects.filter(status=Status.SUSPENDED).values_list("wake_at", flat=True)
    return [time for time in times if time is not None]


def test_who_is_lost_is_found_although_the_clock_was_set_back(
    user: User, drain: Drain, jump: Jump, watch: ClockWatch, settings: Settings
) -> None:
    settings.LEASE_SECONDS = 0.002
    start(user, draw({"out": (OUTPUT, {"name": "out", "value": 1})}))
    node = drain.waiting.pop()
    jump(-HOUR)
    watch.look()
    assert claim(node.id, lease_seconds=-1) is not None

    sweep(drain.send)

    assert [ready.id for ready in drain.waiting] == [node.id]
    assert PastAttempt.objects.get().outcome == PastAttempt.Outcome.LOST
