"""Starting what is due: one run for each time, and the policies."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from execution.models import Execution
from execution.services import stop_execution
from graphs.services import get_graph, replace_graph
from scheduling import firing
from scheduling.firing import fire_due, start_waiting
from scheduling.models import Occurrence, Schedule
from scheduling.services import pause_schedule, resume_schedule, run_now
from scheduling.settling import settle_ended
from scheduling.signals import schedule_paused
from scheduling.timing import MOST_LISTED
from tests.execution.drain import Drain
from tests.scheduling.making import ADDING, FAILING, HOUR, MINUTE, WAITING, fire, make_schedule, runs, states

pytestmark = pytest.mark.django_db
transactional = pytest.mark.django_db(transaction=True)


@transactional
def test_what_is_due_runs_with_its_inputs(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, input_data={"Number": 8})

    due = fire(schedule)
    drain.run()

    (run,) = runs(schedule)
    assert (run.status, run.user, run.input_data) == ("COMPLETED", user, {"Number": 8})
    assert run.schedule_id == schedule.pk
    assert schedule.occurrences.get().due_at == due
    schedule.refresh_from_db()
    assert (schedule.last_due, schedule.next_due) == (due, due + HOUR)


def test_what_is_not_due_does_not_run(user: User, drain: Drain) -> None:
    schedule = make_schedule(user)
    assert schedule.next_start

    assert fire_due(limit=10, now=schedule.next_start - timedelta(microseconds=1)) == 0
    assert fire_due(limit=10) == 0
    assert states(schedule) == []


def test_a_clock_that_steps_back_starts_nothing_again(user: User, drain: Drain) -> None:
    schedule = make_schedule(user)
    due = fire(schedule)

    for step in (timedelta(0), -MINUTE, -24 * HOUR):
        assert fire_due(limit=10, now=due + step) == 0
    resume_schedule(schedule=pause_schedule(schedule=schedule))
    schedule.refresh_from_db()

    assert schedule.next_due == due + HOUR
    assert len(runs(schedule)) == 1


def test_a_time_that_was_decided_about_is_not_due_again(user: User, drain: Drain) -> None:
    schedule = make_schedule(user)
    due = fire(schedule)
    Schedule.objects.update(next_due=due, next_start=due)

    fire(schedule)

    schedule.refresh_from_db()
    assert len(runs(schedule)) == 1
    assert schedule.next_due == due + HOUR


def test_the_database_takes_one_occurrence_for_each_time(user: User, drain: Drain) -> None:
    schedule = make_schedule(user)
    due = fire(schedule)

    with pytest.raises(IntegrityError, match="one_occurrence_per_due_time"), transaction.atomic():
        Occurrence.objects.create(schedule=schedule, due_at=due, state="SKIPPED", decided_at=due)


@transactional
def test_run_and_occurrence_come_together_or_not_at_all(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = make_schedule(user)
    assert schedule.next_start
    before = schedule.next_due

    def die(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(firing, "note_runs", die)
    with pytest.raises(KeyboardInterrupt):
        fire_due(limit=10, now=schedule.next_start)

    schedule.refresh_from_db()
    assert (schedule.next_due, states(schedule), Execution.objects.count()) == (before, [], 0)
    assert drain.waiting == []


def test_a_paused_schedule_rests_and_makes_up_for_nothing(user: User, drain: Drain) -> None:
    schedule = pause_schedule(schedule=make_schedule(user))
    assert schedule.next_start

    assert fire_due(limit=10, now=schedule.next_start + 5 * HOUR) == 0
    resumed = resume_schedule(schedule=schedule)

    assert resumed.next_due == schedule.next_due
    assert states(schedule) == []


def test_one_time_is_run_once_and_then_there_is_no_next(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, run_at=datetime.fromisoformat("2900-01-01T00:00+00:00"))

    fire(schedule)

    schedule.refresh_from_db()
    assert (states(schedule), schedule.next_due) == (["STARTED"], None)
    assert fire_due(limit=10, now=datetime.fromisoformat("2950-01-01T00:00+00:00")) == 0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"misfire": "skip"}, ["MISSED", "MISSED", "MISSED"]),
        ({"misfire": "fire_once"}, ["MISSED", "MISSED", "STARTED"]),
        ({"misfire": "fire_once", "misfire_grace": 60}, ["MISSED", "MISSED", "MISSED"]),
        ({"misfire": "fire_all"}, ["STARTED", "STARTED", "STARTED"]),
        ({"misfire": "fire_all", "misfire_limit": 2}, ["MISSED", "STARTED", "STARTED"]),
        ({"misfire": "fire_all", "misfire_grace": 7200}, ["MISSED", "STARTED", "STARTED"]),
    ],
)
def test_what_was_missed_is_known_and_treated_as_asked(
    user: User, drain: Drain, fields: dict[str, Any], expected: list[str]
) -> None:
    schedule = make_schedule(user, overlap="allow", **fields)

    due = fire(schedule, late=2 * HOUR + 30 * MINUTE)

    schedule.refresh_from_db()
    assert states(schedule) == expected
    assert [each.due_at for each in schedule.occurrences.order_by("id")] == [due, due + HOUR, due + 2 * HOUR]
    assert schedule.next_due == due + 3 * HOUR


def test_nothing_is_missed_behind_a_time_with_more_jitter(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, cron="* * * * *", jitter=600, misfire="skip", overlap="allow")
    begin = schedule.next_due
    assert begin

    for step in range(60):
        fire_due(limit=10, now=begin + step * timedelta(seconds=30))

    assert set(states(schedule)) == {"STARTED"}
    assert len(states(schedule)) > 10


def test_a_long_outage_of_a_busy_schedule_is_told_in_short(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, cron="* * * * *")

    fire(schedule, late=24 * HOUR)

    told = list(schedule.occurrences.order_by("due_at"))
    assert len(told) == MOST_LISTED
    assert told[-1].state == "STARTED"
    assert "So were 1,341 times before it, since" in told[0].reason
    assert told[1].reason == "Nobody was there to start it in time."


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("allow", ["STARTED", "STARTED", "STARTED"]),
        ("skip", ["STARTED", "SKIPPED", "SKIPPED"]),
        ("queue_one", ["STARTED", "WAITING", "SKIPPED"]),
    ],
)
def test_what_overlaps_is_treated_as_asked(user: User, drain: Drain, overlap: str, expected: list[str]) -> None:
    schedule = make_schedule(user, WAITING, overlap=overlap)

    for _ in range(3):
        fire(schedule)

    assert states(schedule) == expected
    reasons = [each.reason for each in schedule.occurrences.filter(state="SKIPPED").order_by("due_at")]
    if overlap == "skip":
        assert str(runs(schedule)[0].pk) in reasons[0]


@transactional
def test_what_runs_is_cancelled_for_the_next(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, WAITING, overlap="cancel_running")

    fire(schedule)
    drain.run()
    fire(schedule)

    assert [run.status for run in runs(schedule)] == ["TERMINATED", "QUEUED"]
    settle_ended(limit=10)
    assert states(schedule) == ["TERMINATED", "STARTED"]


def test_what_waits_is_started_when_the_run_before_it_has_ended(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, WAITING, overlap="queue_one")
    fire(schedule)
    fire(schedule)

    settle_ended(limit=10)
    assert start_waiting(limit=10) == 0
    stop_execution(execution_id=runs(schedule)[0].pk)
    settle_ended(limit=10)
    start_waiting(limit=10)

    assert states(schedule) == ["TERMINATED", "STARTED"]
    assert start_waiting(limit=10) == 0


def test_what_waits_for_a_paused_schedule_is_left_out(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, WAITING, overlap="queue_one")
    fire(schedule)
    fire(schedule)

    pause_schedule(schedule=schedule)
    stop_execution(execution_id=runs(schedule)[0].pk)
    settle_ended(limit=10)
    start_waiting(limit=10)

    assert states(schedule) == ["TERMINATED", "SKIPPED"]


def test_a_run_that_has_ended_does_not_overlap_before_it_is_accounted_for(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, WAITING)
    fire(schedule)
    stop_execution(execution_id=runs(schedule)[0].pk)

    fire(schedule)

    assert states(schedule) == ["STARTED", "STARTED"]


@transactional
def test_too_many_failures_pause_it_and_its_owner_hears_of_it(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, FAILING, pause_after_failures=2)
    heard = []

    def hear(schedule: Schedule, reason: str, **_others: Any) -> None:
        heard.append((schedule.pk, reason))

    schedule_paused.connect(hear)
    for _ in range(2):
        fire(schedule)
        drain.run()
        settle_ended(limit=10)
    schedule_paused.disconnect(hear)

    schedule.refresh_from_db()
    assert states(schedule) == ["FAILED", "FAILED"]
    assert (schedule.is_enabled, schedule.periodic_task.enabled) == (False, False)
    assert schedule.pause_reason == "Its last 2 runs failed."
    assert heard == [(schedule.pk, "Its last 2 runs failed.")]
    resumed = resume_schedule(schedule=schedule)
    assert (resumed.is_enabled, resumed.failures, resumed.pause_reason) == (True, 0, "")


@transactional
def test_failures_count_at_the_next_time_even_if_nobody_looked(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, FAILING, pause_after_failures=1)
    fire(schedule)
    drain.run()

    fire(schedule)

    assert states(schedule) == ["FAILED"]


@transactional
def test_failures_of_runs_by_hand_do_not_count(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, FAILING, pause_after_failures=1)
    run_now(schedule=schedule)
    drain.run()

    settle_ended(limit=10)

    schedule.refresh_from_db()
    assert (states(schedule), schedule.failures, schedule.is_enabled) == (["FAILED"], 0, True)


@transactional
def test_only_failures_in_a_row_count(user: User, drain: Drain) -> None:
    schedule = make_schedule(user, pause_after_failures=2)
    Schedule.objects.update(failures=1)

    fire(schedule)
    drain.run()
    settle_ended(limit=10)

    schedule.refresh_from_db()
    assert (schedule.failures, schedule.is_enabled) == (0, True)


@transactional
def test_a_run_that_was_deleted_is_accounted_for(user: User, drain: Drain) -> None:
    schedule = make_schedule(user)
    fire(schedule)
    drain.run()
    Execution.objects.all().delete()

    settle_ended(limit=10)

    assert states(schedule) == ["GONE"]


def test_the_pages_of_beat_show_that_it_ran(user: User, drain: Drain) -> None:
    schedule = make_schedule(user)

    due = fire(schedule)

    schedule.periodic_task.refresh_from_db()
    assert schedule.periodic_task.total_run_count == 1
    assert schedule.periodic_task.last_run_at == due + timedelta(seconds=1)


def test_the_version_it_asks_for_runs(user: User, drain: Drain) -> None:
    pinned, active = make_schedule(user, graph_version=1), make_schedule(user)
    for schedule in (pinned, active):
        replace_graph(graph=get_graph(user=user, graph_id=str(schedule.graph_id)), document=ADDING)

    fire(active)

    assert [run.graph_version.version for run in [*runs(pinned), *runs(active)]] == [1, 2]
