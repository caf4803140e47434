"""Runs end when their time is up."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.recovery import sweep
from tests.execution.drain import Drain
from tests.execution.losing import start
from tests.execution.small_graphs import ASK, draw

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick_recovery(settings: Settings) -> None:
    settings.LEASE_SECONDS = 0.002  # a session must be half as old before it calls anybody lost
    settings.MESSAGE_PATIENCE_SECONDS = 3


def ends(run: Execution) -> tuple[str, str]:
    run.refresh_from_db()
    return run.status, run.error


def wait_in_review(user: User, drain: Drain, **limits: Any) -> Execution:
    run = start(user, draw({"ask": (ASK, {"name": "?", "data": 1})}, **limits))
    drain.run()
    return run


def pass_time(run: Execution, seconds: float, *columns: str) -> None:
    for column in columns:
        Execution.objects.filter(pk=run.pk).update(**{column: F(column) - timedelta(seconds=seconds)})


@pytest.mark.parametrize(
    ("limits", "columns", "error"),
    [
        ({"max_duration": 50}, ("started_at",), "The run took longer than its limit of 50 s (max_duration)."),
        (
            {"idle_limit": 50},
            ("started_at", "recorded_at"),
            "Nothing happened in the run for 50 s (idle_limit).",
        ),
    ],
)
def test_a_run_ends_when_its_time_is_up(
    user: User, drain: Drain, limits: dict[str, float], columns: Sequence[str], error: str
) -> None:
    run = wait_in_review(user, drain, **limits)

    pass_time(run, 49, *columns)
    sweep(drain.send)
    assert ends(run) == (Status.RUNNING, "")

    pass_time(run, 2, *columns)
    sweep(drain.send)
    assert ends(run) == (Status.FAILED, error)
    assert NodeExecution.objects.get().status == Status.TERMINATED


def test_a_run_in_which_something_happens_is_not_idle(user: User, drain: Drain) -> None:
    run = wait_in_review(user, drain, idle_limit=50)

    pass_time(run, 100, "started_at")
    sweep(drain.send)

    assert ends(run) == (Status.RUNNING, "")


def test_a_run_may_be_given_its_time_at_the_start(user: User, drain: Drain) -> None:
    run = start(user, draw({"ask": (ASK, {"name": "?", "data": 1})}, max_duration=1000), max_duration=50)
    drain.run()

    pass_time(run, 51, "started_at")
    sweep(drain.send)

    assert ends(run)[0] == Status.FAILED
