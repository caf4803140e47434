"""A schedule of one time that does not run then: it says so, and its owner hears of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from config.models import Notice
from graphs.services import get_graph
from scheduling.aiming import aim_anew
from scheduling.checking import check_wanted
from scheduling.firing import WAS_ONCE, fire_due
from scheduling.models import Schedule
from scheduling.services import change_schedule
from scheduling.store import read_clock
from tests.execution.drain import Drain
from tests.scheduling.making import HOUR, make_schedule, states

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("rule", [{"misfire": "skip"}, {"misfire_grace": 60}])
def test_one_that_was_missed_says_so(user: User, drain: Drain, rule: dict[str, Any]) -> None:
    schedule = make_schedule(user, run_at=read_clock() + HOUR, **rule)

    fire_due(limit=10, now=read_clock() + 3 * HOUR)
    Schedule.objects.update(needs_check=True)
    check_wanted(limit=10)

    schedule.refresh_from_db()
    assert (states(schedule), schedule.next_due, schedule.needs_check) == (["MISSED"], None, False)
    assert schedule.problem.startswith("Nobody was there to start it in time, at ")
    assert schedule.problem.endswith(WAS_ONCE)
    assert [each.text for each in Notice.objects.all()] == [f"“Sums” can't run. {schedule.problem}"]


def test_one_that_was_refused_is_not_said_to_be_tried_again(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, run_at=read_clock() + HOUR)
    get_graph(user=user, graph_id=str(schedule.graph_id)).delete()

    fire_due(limit=10, now=read_clock() + HOUR + timedelta(seconds=1))

    schedule.refresh_from_db()
    assert states(schedule) == ["REFUSED"]
    assert "Its graph is gone" in schedule.problem
    assert schedule.problem.endswith(WAS_ONCE)


@pytest.mark.parametrize("how", ["changed", "clock set back"])
def test_with_a_new_time_there_is_no_problem_any_more(user: User, drain: Drain, how: str) -> None:
    schedule = make_schedule(user, run_at=read_clock() + HOUR, misfire="skip")
    fire_due(limit=10, now=read_clock() + 3 * HOUR)

    if how == "changed":
        schedule.refresh_from_db()
        change_schedule(schedule=schedule, fields={"run_at": read_clock() + 5 * HOUR})
    else:
        aim_anew(limit=10)
    check_wanted(limit=10)

    schedule.refresh_from_db()
    assert (schedule.problem, schedule.problem_since) == ("", None)
    assert schedule.next_due
