"""Changing a schedule's times while one of them has come: what is due stays due, what was missed is not made up for."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from scheduling.firing import fire_due
from scheduling.models import Schedule
from scheduling.services import change_schedule, pause_schedule, resume_schedule
from scheduling.store import read_clock
from tests.execution.drain import Drain
from tests.scheduling.making import HOUR, make_schedule, states

pytestmark = pytest.mark.django_db


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what sets the clock by which schedules are changed."""

    def to(moment: datetime) -> None:
        monkeypatch.setattr("scheduling.services.read_clock", lambda: moment)

    return to


def wait_for_its_start(schedule: Schedule) -> tuple[datetime, datetime]:
    """Return a schedule's next time, and a moment between that and the start, which its jitter puts off."""
    assert schedule.next_due
    assert schedule.next_start
    return schedule.next_due, schedule.next_due + (schedule.next_start - schedule.next_due) / 2


@pytest.mark.parametrize("change", ["jitter", "ends_at", "cron"])
def test_a_time_that_has_come_and_that_the_new_ones_have_too_is_not_lost(
    user: User, drain: Drain, set_clock: Any, change: str
) -> None:
    schedule = make_schedule(user, jitter=3000)
    due, now = wait_for_its_start(schedule)
    set_clock(now)

    changes: dict[str, Any] = {"jitter": 0, "ends_at": now, "cron": "0 * * * *"}
    changed = change_schedule(schedule=schedule, fields={change: changes[change]})  # type: ignore[misc]

    assert changed.next_due == due
    fire_due(limit=10, now=schedule.next_start)
    assert list(schedule.occurrences.values_list("due_at", "state")) == [(due, "STARTED")]


def test_a_time_that_the_next_tick_would_have_found_is_not_lost(user: User, set_clock: Any) -> None:
    schedule = make_schedule(user)
    assert schedule.next_due
    set_clock(schedule.next_due + timedelta(milliseconds=300))

    changed = change_schedule(schedule=schedule, fields={"starts_at": read_clock()})

    assert changed.next_due == schedule.next_due


def test_a_time_that_the_new_ones_do_not_have_goes_with_the_old(user: User, set_clock: Any) -> None:
    schedule = make_schedule(user, jitter=3000)
    due, now = wait_for_its_start(schedule)
    set_clock(now)

    changed = change_schedule(schedule=schedule, fields={"cron": f"{(due.minute + 59) % 60} * * * *"})

    assert changed.next_due == due + HOUR - timedelta(minutes=1)


def test_what_was_missed_is_not_made_up_for_by_new_times(user: User, set_clock: Any) -> None:
    schedule = make_schedule(user)
    assert schedule.next_due
    set_clock(schedule.next_due + 2 * HOUR + timedelta(seconds=1))

    changed = change_schedule(schedule=schedule, fields={"jitter": 1})

    assert changed.next_due == schedule.next_due + 3 * HOUR


def test_what_was_due_during_a_pause_stays_left_out(user: User, set_clock: Any) -> None:
    schedule = pause_schedule(schedule=make_schedule(user, jitter=3000))
    due, now = wait_for_its_start(schedule)
    set_clock(now)

    change_schedule(schedule=schedule, fields={"jitter": 2000})
    resumed = resume_schedule(schedule=schedule)

    assert resumed.next_due == due + HOUR


def test_the_same_times_again_change_nothing(user: User, drain: Drain, set_clock: Any) -> None:
    schedule = make_schedule(user)
    assert schedule.next_due
    set_clock(schedule.next_due + 2 * HOUR)

    names = ("cron", "run_at", "timezone", "starts_at", "ends_at", "jitter")
    fields: Any = {"name": "Other"} | {name: getattr(schedule, name) for name in names}
    changed = change_schedule(schedule=schedule, fields=fields)

    assert (changed.name, changed.next_due) == ("Other", schedule.next_due)


def test_one_time_that_is_over_can_be_sent_back_as_it_is(user: User, drain: Drain, set_clock: Any) -> None:
    schedule = make_schedule(user, run_at=read_clock() + HOUR)
    assert schedule.run_at
    fire_due(limit=10, now=schedule.run_at)
    set_clock(schedule.run_at + HOUR)

    changed = change_schedule(schedule=schedule, fields={"name": "Other", "run_at": schedule.run_at})

    assert (changed.name, changed.next_due, states(schedule)) == ("Other", None, ["STARTED"])
