"""Starting what is due of many schedules: together, and in spite of one that can't."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from execution.models import Execution
from execution.planning import load_plan
from execution.store.starting import Order
from graphs.services import _sound
from scheduling import firing
from scheduling.checking import order_run
from scheduling.models import Schedule
from scheduling.services import create_schedule
from tests.execution.drain import Drain
from tests.scheduling.making import fire, make_schedule, states

pytestmark = pytest.mark.django_db


def test_one_schedule_that_meets_an_error_does_not_keep_others_waiting(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    poor, other = make_schedule(user, name="poor"), make_schedule(user, name="other")

    def fail(schedule: Schedule, **options: Any) -> Order:
        if schedule.name == "poor":
            raise RuntimeError("It is not its day.")
        return order_run(schedule, **options)

    monkeypatch.setattr(firing, "order_run", fail)
    fire(poor)

    assert (states(poor), states(other)) == (["REFUSED"], ["STARTED"])
    poor.refresh_from_db()
    assert "not yours" in poor.problem


def test_one_run_that_cannot_be_written_does_not_keep_others_from_starting(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    poor, other = make_schedule(user, name="poor"), make_schedule(user, name="other")

    def spoil(schedule: Schedule, **options: Any) -> Order:
        order = order_run(schedule, **options)
        # What no check knows of.
        return replace(order, max_cost=-(2**63) - 1) if schedule.name == "poor" else order

    monkeypatch.setattr(firing, "order_run", spoil)
    fire(poor)

    assert (states(poor), states(other)) == (["REFUSED"], ["STARTED"])
    assert [run.status for run in Execution.objects.all()] == ["QUEUED"]
    poor.refresh_from_db()
    assert "not yours" in poor.problem


def test_however_many_are_due_it_takes_as_many_queries(
    user: User, drain: Drain, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    first = make_schedule(user, overlap="allow")
    make_schedule(user, overlap="allow")
    fire(first)
    with CaptureQueriesContext(connection) as few:
        fire(first)

    # Some of one graph, some each of its own, of several users.
    for number in range(4):
        create_schedule(user=user, graph_id=UUID(str(first.graph_id)), fields={"name": "Sums", "cron": "@hourly"})
        make_schedule(User.objects.create_user(f"user{number}"), graph_version=number % 2 or None)
    # Workers don't know yet what was found out when these were made.
    load_plan.cache_clear()
    _sound.clear()
    with django_assert_num_queries(len(few)):
        fire(first)

    assert Execution.objects.count() == 14
