"""Looking at schedules whose graph has changed: one that can't be looked at doesn't keep others from it."""

from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DataError, OperationalError
from structlog.testing import capture_logs

from config.models import Notice
from execution.store.starting import Order
from scheduling import checking
from scheduling.checking import OUR_FAULT, check_wanted, order_run
from scheduling.models import Schedule
from scheduling.tasks import look_after
from tests.scheduling.making import make_schedule

pytestmark = pytest.mark.django_db


def raise_error(order: Order) -> Order:
    raise RuntimeError("It is not its day.")


def spoil(order: Order) -> Order:
    # What no check knows of, and the database can't take.
    return replace(order, max_cost=-(2**63) - 1)


def lose_database(order: Order) -> Order:
    raise OperationalError("the connection is closed")


def let_one_meet(monkeypatch: pytest.MonkeyPatch, trouble: Any) -> None:
    def order(schedule: Schedule, **options: Any) -> Order:
        ordered = order_run(schedule, **options)
        return trouble(ordered) if schedule.name == "poor" else ordered

    monkeypatch.setattr(checking, "order_run", order)


@pytest.mark.parametrize("trouble", [raise_error, spoil])
def test_one_that_meets_an_error_says_so_and_the_others_are_looked_at(
    user: User, monkeypatch: pytest.MonkeyPatch, trouble: Any
) -> None:
    poor, other, sound = (make_schedule(user, name=name) for name in ("poor", "other", "sound"))
    Schedule.objects.filter(pk=other.pk).update(input_data={"Nothing": 1})
    Schedule.objects.update(needs_check=True)
    let_one_meet(monkeypatch, trouble)

    with capture_logs() as logs:
        assert check_wanted(limit=10) == 3
        assert check_wanted(limit=10) == 0

    for each in (poor, other, sound):
        each.refresh_from_db()
    assert (poor.problem, sound.problem) == (OUR_FAULT, "")
    assert "no input named Nothing" in other.problem
    assert [each["schedule"] for each in logs if "exc_info" in each] == [str(poor.pk)]
    assert Notice.objects.filter(text__contains=OUR_FAULT).count() == 1


def test_a_database_that_is_away_is_not_the_schedules_fault(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    poor = make_schedule(user, name="poor")
    Schedule.objects.update(needs_check=True)
    let_one_meet(monkeypatch, lose_database)

    look_after()

    poor.refresh_from_db()
    assert (poor.problem, poor.needs_check) == ("", True)


def test_a_step_that_fails_does_not_keep_the_others_from_going_on(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    make_schedule(user)
    Schedule.objects.update(needs_check=True)

    def fail(**_options: Any) -> int:
        raise DataError("a value out of range")

    monkeypatch.setattr("scheduling.tasks.settle_ended", fail)
    with capture_logs() as logs:
        look_after()

    assert not Schedule.objects.get().needs_check
    assert [each["event"] for each in logs if each["log_level"] == "error"] == [
        "a step of looking after schedules failed"
    ]
