"""A clock that was ahead, for a tick or for longer, and is set back: each time has its run, and one."""

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User

from scheduling.aiming import aim_anew
from scheduling.firing import fire_due
from scheduling.models import Schedule
from scheduling.services import change_schedule, create_schedule, pause_schedule, resume_schedule, run_now
from scheduling.store import look_for_work, read_clock
from tests.execution.drain import Drain
from tests.scheduling.making import HOUR, MINUTE, make_schedule, runs, save_graph, states

pytestmark = pytest.mark.django_db

YEAR = timedelta(days=365)


def begin(schedule: Schedule) -> datetime:
    assert schedule.next_due
    return schedule.next_due


def test_a_clock_that_is_ahead_for_one_tick_silences_nothing(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, cron="* * * * *", overlap="allow")
    now = read_clock()
    fire_due(limit=10, now=now + YEAR)
    assert look_for_work(most=10).has_other

    assert aim_anew(limit=10) == 1

    schedule.refresh_from_db()
    assert begin(schedule) - now < 2 * MINUTE
    assert (look_for_work(most=10).has_other, aim_anew(limit=10)) == (False, 0)
    fire_due(limit=10, now=begin(schedule))
    assert states(schedule) == ["STARTED", "STARTED"]


@pytest.mark.parametrize("how", ["cron", "resume"])
def test_what_its_owner_does_brings_it_back_as_well(user: User, drain: Drain, how: str) -> None:
    schedule = make_schedule(user, cron="* * * * *")
    now = read_clock()
    fire_due(limit=10, now=now + YEAR)

    if how == "cron":
        changed = change_schedule(schedule=schedule, fields={"cron": "*/2 * * * *"})
    else:
        changed = resume_schedule(schedule=pause_schedule(schedule=schedule))

    assert begin(changed) - now < 3 * MINUTE


def test_what_a_clock_that_was_ahead_called_missed_comes_in_its_time_and_what_ran_does_not_run_again(
    user: User, drain: Drain
) -> None:
    schedule = make_schedule(user, overlap="allow")
    first = begin(schedule)
    fire_due(limit=10, now=first)
    fire_due(limit=10, now=first + 3 * HOUR + MINUTE / 2)
    assert states(schedule) == ["STARTED", "MISSED", "MISSED", "STARTED"]

    # It shows the true time again.
    aim_anew(limit=10, now=first + MINUTE)
    for hour in range(6):
        fire_due(limit=10, now=first + hour * HOUR)

    due = list(schedule.occurrences.order_by("due_at").values_list("due_at", "state"))
    assert due == [(first + hour * HOUR, "STARTED") for hour in range(6)]
    assert len(runs(schedule)) == 6


@pytest.mark.django_db(transaction=True)
def test_what_a_clock_that_was_ahead_left_out_or_refused_comes_in_its_time(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, poor = make_schedule(user), make_schedule(user)
    run_now(schedule=busy)
    Schedule.objects.filter(pk=poor.pk).update(graph_version=7)
    fire_due(limit=10, now=begin(busy))
    assert (states(busy), states(poor)) == (["STARTED", "SKIPPED"], ["REFUSED"])

    # It shows the true time again, an hour earlier; meanwhile the run ends and the version is there.
    aim_anew(limit=10, now=begin(busy) - HOUR)
    Schedule.objects.filter(pk=poor.pk).update(graph_version=1)
    drain.run()
    fire_due(limit=10, now=begin(busy))

    assert (states(busy)[1:], states(poor)) == (["STARTED"], ["STARTED"])


def test_a_clock_that_is_set_back_again_and_again_starts_one_run_for_each_time(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, cron="* * * * *", misfire="fire_all", misfire_limit=100, overlap="allow")
    first = clock = begin(schedule)

    for step in [3, -2, 1, 1, 5, -7, -1, 4, 0, 6, -3, 5, 2]:
        clock += step * MINUTE
        aim_anew(limit=10, now=clock)
        fire_due(limit=10, now=clock)

    last = max(schedule.occurrences.values_list("due_at", flat=True))
    due = list(schedule.occurrences.order_by("due_at").values_list("due_at", "state"))
    assert due == [(first + number * MINUTE, "STARTED") for number in range(int((last - first) / MINUTE) + 1)]


def test_one_time_that_was_missed_by_a_clock_that_was_ahead_comes_after_all(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, run_at=read_clock() + 3 * HOUR, misfire="skip")
    fire_due(limit=10, now=read_clock() + YEAR)
    assert states(schedule) == ["MISSED"]

    aim_anew(limit=10)

    schedule.refresh_from_db()
    assert (begin(schedule), states(schedule)) == (schedule.run_at, [])
    fire_due(limit=10, now=begin(schedule))
    assert states(schedule) == ["STARTED"]


def test_one_that_was_made_while_the_clock_was_ahead_is_aimed_anew(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph_id, now = save_graph(user).graph_id, read_clock()
    with monkeypatch.context() as ahead:
        ahead.setattr("scheduling.services.read_clock", lambda: now + YEAR)
        schedule = create_schedule(user=user, graph_id=graph_id, fields={"name": "Sums", "cron": "@hourly"})
    assert begin(schedule) > now + YEAR

    assert (aim_anew(limit=10), aim_anew(limit=10)) == (1, 0)

    schedule.refresh_from_db()
    assert begin(schedule) - now <= HOUR


def test_one_that_can_not_be_read_does_not_keep_others_from_being_aimed_anew(user: User, drain: Drain) -> None:
    poor, other = make_schedule(user), make_schedule(user)
    now = read_clock()
    fire_due(limit=10, now=now + YEAR)
    Schedule.objects.filter(pk=poor.pk).update(timezone="Europe/Atlantis")

    assert (aim_anew(limit=10), aim_anew(limit=10)) == (2, 0)

    other.refresh_from_db()
    assert begin(other) - now <= HOUR
