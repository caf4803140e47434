"""A schedule that can't run is kept and says why, its owner hears of it, and it mends by itself."""

from collections.abc import Collection
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from credits.exceptions import FundsLackingError
from graphs.services import get_graph, replace_graph
from scheduling.checking import check_wanted, mark
from scheduling.firing import UNREADABLE_REST, fire_due
from scheduling.models import Schedule
from scheduling.signals import schedule_troubled
from scheduling.store import read_clock
from tests.execution.small_graphs import CALCULATOR, OUTPUT, draw
from tests.scheduling.making import ADDING, BROKEN, make_schedule, states

pytestmark = pytest.mark.django_db


def break_graph(schedule: Schedule) -> None:
    replace_graph(graph=get_graph(user=schedule.user, graph_id=str(schedule.graph_id)), document=BROKEN)


def test_a_graph_that_changes_marks_its_schedules_and_their_owner_hears_of_it(
    user: User, django_capture_on_commit_callbacks: Any
) -> None:
    schedule, pinned, other = make_schedule(user), make_schedule(user, graph_version=1), make_schedule(user)
    Schedule.objects.filter(pk=pinned.pk).update(graph_id=schedule.graph_id)
    heard = []

    def hear(schedule: Schedule, reason: str, **_others: Any) -> None:
        heard.append((schedule.pk, reason))

    schedule_troubled.connect(hear)
    break_graph(schedule)
    with django_capture_on_commit_callbacks(execute=True):
        check_wanted(limit=10)
        check_wanted(limit=10)
    schedule_troubled.disconnect(hear)

    for each in (schedule, pinned, other):
        each.refresh_from_db()
    assert "can't run" in schedule.problem
    assert schedule.problem_since
    assert schedule.is_enabled
    assert (pinned.problem, other.problem) == ("", "")
    assert heard == [(schedule.pk, schedule.problem)]


def test_each_new_reason_is_told_once(user: User) -> None:
    schedule, now = make_schedule(user), read_clock()
    heard: list[str] = []

    def hear(reason: str, **_others: Any) -> None:
        heard.append(reason)

    schedule_troubled.connect(hear)
    poor, poorer = (str(FundsLackingError(balance=balance, owed=7, needed=8 - balance)) for balance in (0, -1))
    for reason in (
        poor,
        poorer,
        "Version 3 is gone.",
        "Version 3 is gone.",
        "",
        "Version 3 is gone.",
        "Version 4 is gone.",
    ):
        mark(schedule, problem=reason, now=now)
    schedule_troubled.disconnect(hear)

    assert heard == [poor, "Version 3 is gone.", "Version 3 is gone.", "Version 4 is gone."]


def test_a_schedule_that_can_not_run_is_tried_again_each_time_and_mends_by_itself(user: User) -> None:
    schedule = make_schedule(user)
    break_graph(schedule)
    assert schedule.next_due

    fire_due(limit=10, now=schedule.next_due)
    schedule.refresh_from_db()
    refused = schedule.problem
    replace_graph(graph=get_graph(user=user, graph_id=str(schedule.graph_id)), document=ADDING)
    fire_due(limit=10, now=schedule.next_due)

    schedule.refresh_from_db()
    assert states(schedule) == ["REFUSED", "STARTED"]
    assert refused
    assert schedule.occurrences.get(state="REFUSED").reason == refused
    assert (schedule.problem, schedule.problem_since) == ("", None)


def test_a_schedule_outlives_its_graph(user: User) -> None:
    schedule = make_schedule(user)
    graph = get_graph(user=user, graph_id=str(schedule.graph_id))
    graph.delete()

    check_wanted(limit=10)

    schedule.refresh_from_db()
    assert "Its graph is gone" in schedule.problem
    assert schedule.next_due
    fire_due(limit=10, now=schedule.next_due)
    assert states(schedule) == ["REFUSED"]


def test_a_schedule_of_an_account_that_is_switched_off_does_not_run(user: User) -> None:
    schedule = make_schedule(user)
    User.objects.update(is_active=False)
    assert schedule.next_due

    fire_due(limit=10, now=schedule.next_due)

    assert schedule.occurrences.get().reason == "The account of its owner is switched off."


def test_a_schedule_whose_row_can_not_be_read_says_so_and_is_tried_again(user: User) -> None:
    schedule = make_schedule(user)
    Schedule.objects.update(timezone="Europe/Atlantis", needs_check=True)
    due = schedule.next_due
    assert due

    fire_due(limit=10, now=due)
    check_wanted(limit=10)

    schedule.refresh_from_db()
    assert "Europe/Atlantis" in schedule.problem
    assert (schedule.next_due, states(schedule)) == (due, [])
    assert schedule.next_start == due + UNREADABLE_REST
    assert fire_due(limit=10, now=due) == 0
    Schedule.objects.update(timezone="UTC")
    fire_due(limit=10, now=schedule.next_start)
    schedule.refresh_from_db()
    assert (schedule.problem, states(schedule)) == ("", ["MISSED", "STARTED"])


def test_a_schedule_whose_expression_can_not_be_read_is_still_shown(user: User, client: APIClient) -> None:
    schedule = make_schedule(user)
    Schedule.objects.update(cron="never")

    fire_due(limit=10, now=schedule.next_due)
    shown = client.get("/v1/schedules").json()["results"]

    assert [(each["cron"], each["description"], bool(each["problem"])) for each in shown] == [("never", "never", True)]


def test_inputs_that_a_graph_does_not_have_any_more_are_a_problem(user: User) -> None:
    schedule = make_schedule(user, input_data={"Number": 1})
    without = draw({"add": (CALCULATOR, {"operation": "Add", "a": 1, "b": 2}), "out": (OUTPUT, {"name": "Sum"})})
    replace_graph(graph=get_graph(user=user, graph_id=str(schedule.graph_id)), document=without)

    check_wanted(limit=10)

    schedule.refresh_from_db()
    assert "no input named Number" in schedule.problem


def test_without_credits_a_schedule_is_kept_and_says_so(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def lack(user_ids: Collection[int]) -> dict[int, FundsLackingError]:
        return {user_id: FundsLackingError(balance=0, owed=0, needed=1) for user_id in user_ids}

    with monkeypatch.context() as poor:
        poor.setattr("scheduling.checking.find_lacking_funds", lack)
        schedule = make_schedule(user)
        assert schedule.next_due
        fire_due(limit=10, now=schedule.next_due)
    schedule.refresh_from_db()
    assert "The balance is 0 credits" in schedule.problem
    fire_due(limit=10, now=schedule.next_due)

    schedule.refresh_from_db()
    assert (states(schedule), schedule.problem) == (["REFUSED", "STARTED"], "")
