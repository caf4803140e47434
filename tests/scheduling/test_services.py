"""What a user can do with schedules, and that beat's rows stay in step."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django_celery_beat.models import PeriodicTask
from rest_framework.test import APIClient

from credits.exceptions import FundsLackingError
from execution.exceptions import InputsUnknownError
from execution.models import Execution
from graphs.exceptions import GraphInvalidError, GraphNotFoundError
from graphs.services import get_graph, replace_graph
from scheduling.checking import check_wanted, mark
from scheduling.exceptions import CronInvalidError, SchedulingError, TimeZoneUnknownError, TimingInvalidError
from scheduling.firing import UNREADABLE_REST, fire_due
from scheduling.models import Schedule
from scheduling.services import change_schedule, create_schedule, delete_schedule, pause_schedule, run_now
from scheduling.signals import schedule_troubled
from scheduling.store import read_clock
from tests.execution.small_graphs import CALCULATOR, OUTPUT, draw
from tests.scheduling.making import ADDING, make_schedule, runs, save_graph, states

pytestmark = pytest.mark.django_db

BROKEN = draw({"add": (CALCULATOR, {"operation": "Add", "b": 1})})
LATER = datetime(2900, 1, 1, tzinfo=UTC)


def test_a_schedule_is_a_periodic_task_too(user: User) -> None:
    schedule = make_schedule(user, cron="0 9 * * 1-5", timezone="Europe/Berlin")

    task = PeriodicTask.objects.get(graph_schedule=schedule)
    assert (task.task, task.enabled) == ("scheduling.fire", True)
    assert str(schedule.pk) in task.kwargs
    assert str(task.crontab) == "0 9 * * 1-5 (m/h/dM/MY/d) Europe/Berlin"


def test_what_celery_reads_otherwise_is_written_out_for_beat(user: User) -> None:
    crontab = make_schedule(user, cron="5/20 */6 * jan-mar fri-sun").periodic_task.crontab

    assert crontab
    assert (crontab.minute, crontab.hour, crontab.month_of_year, crontab.day_of_week) == (
        *("5,25,45", "*/6", "1,2,3", "0,5,6"),
    )
    assert crontab.schedule


def test_schedules_of_the_same_times_share_a_crontab(user: User) -> None:
    one, other = make_schedule(user), make_schedule(user)

    assert one.periodic_task.crontab_id == other.periodic_task.crontab_id


def test_one_time_is_a_clock_for_beat(user: User) -> None:
    task = make_schedule(user, run_at=LATER).periodic_task

    assert (task.clocked.clocked_time, task.one_off, task.crontab) == (LATER, True, None)


def test_changes_reach_the_periodic_task(user: User) -> None:
    schedule = make_schedule(user)

    change_schedule(schedule=schedule, fields={"name": "Other", "cron": "30 4 * * *", "is_enabled": False})

    task = PeriodicTask.objects.get(graph_schedule=schedule)
    assert (task.name, task.enabled, task.crontab.hour) == (f"Other ({schedule.pk})", False, "4")


def test_a_periodic_task_goes_with_its_schedule_and_not_before(user: User) -> None:
    schedule = make_schedule(user)

    with pytest.raises(ProtectedError), transaction.atomic():
        schedule.periodic_task.delete()
    delete_schedule(schedule=schedule)
    assert not PeriodicTask.objects.filter(name__contains=str(schedule.pk)).exists()


def test_schedules_go_with_their_owner(user: User) -> None:
    make_schedule(user)

    user.delete()

    assert not Schedule.objects.exists()
    assert not PeriodicTask.objects.exists()


def test_the_zone_is_the_users_if_none_is_given(user: User) -> None:
    profile = user.profile
    profile.chosen_time_zone = "Asia/Kolkata"
    profile.save()

    assert make_schedule(user, cron="0 9 * * *").timezone == "Asia/Kolkata"


def test_the_zone_is_the_installations_if_the_user_has_none(user: User, settings: Any) -> None:
    settings.TIME_ZONE = "America/New_York"

    assert make_schedule(user).timezone == "America/New_York"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"cron": "61 * * * *"}, CronInvalidError),
        ({"timezone": "Mars/Olympus"}, TimeZoneUnknownError),
        ({"cron": ""}, TimingInvalidError),
        ({"cron": "@daily", "run_at": LATER}, TimingInvalidError),
        ({"run_at": datetime(2020, 1, 1, tzinfo=UTC)}, TimingInvalidError),
        ({"run_at": datetime(3500, 1, 1, tzinfo=UTC)}, TimingInvalidError),
        ({"run_at": LATER, "ends_at": LATER}, TimingInvalidError),
        ({"starts_at": LATER, "ends_at": LATER - timedelta(days=1)}, TimingInvalidError),
        ({"ends_at": datetime(2020, 1, 1, tzinfo=UTC)}, TimingInvalidError),
        ({"input_data": {"Nunber": 1}}, InputsUnknownError),
        ({"graph_version": 7}, GraphNotFoundError),
        ({"nodes_input_masks": {str(uuid4()): {"a": 1}}}, GraphInvalidError),
    ],
)
def test_what_can_not_be_is_refused(user: User, fields: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error), transaction.atomic():
        make_schedule(user, **fields)

    assert not Schedule.objects.exists()
    assert not PeriodicTask.objects.exists()


def test_a_graph_that_can_not_run_is_not_scheduled(user: User) -> None:
    with pytest.raises(GraphInvalidError) as caught, transaction.atomic():
        make_schedule(user, BROKEN)

    assert "a" in next(iter(caught.value.node_errors.values()))


def test_a_schedule_is_tried_out_without_a_trace(user: User) -> None:
    make_schedule(user)

    assert not Execution.objects.exists()


def test_somebody_elses_graph_is_not_there(user: User) -> None:
    graph = save_graph(User.objects.create_user("mallory")).graph_id

    with pytest.raises(GraphNotFoundError):
        create_schedule(user=user, graph_id=graph, fields={"name": "x", "cron": "@daily"})


def test_a_change_of_its_times_aims_it_anew(user: User) -> None:
    schedule = make_schedule(user, cron="@yearly")

    changed = change_schedule(schedule=schedule, fields={"cron": "* * * * *", "jitter": 30})

    assert changed.next_due
    assert changed.next_start
    assert read_clock() < changed.next_due <= read_clock() + timedelta(minutes=1)
    assert changed.next_due <= changed.next_start < changed.next_due + timedelta(seconds=30)


def test_a_change_of_its_name_leaves_its_times(user: User) -> None:
    schedule = make_schedule(user)
    Schedule.objects.update(next_due=LATER, next_start=LATER)

    assert change_schedule(schedule=schedule, fields={"name": "Other"}).next_due == LATER


def test_it_is_run_now_paused_or_not(user: User) -> None:
    schedule = pause_schedule(schedule=make_schedule(user, input_data={"Number": 3}))

    occurrence = run_now(schedule=schedule)
    run_now(schedule=schedule)

    assert [run.input_data for run in runs(schedule)] == [{"Number": 3}] * 2
    assert occurrence.is_manual
    schedule.refresh_from_db()
    assert not schedule.is_enabled


LAWLESS: list[dict[str, Any]] = [
    *({"run_at": LATER}, {"cron": ""}, {"next_due": None}, {"next_start": None}, {"next_due": LATER}),
    *({"problem": "?"}, {"overlap": "?"}, {"misfire": "?"}, {"graph": None}),
]


def test_the_law_is_in_the_database(user: User) -> None:
    schedule = make_schedule(user)

    for change in LAWLESS:
        with pytest.raises(IntegrityError), transaction.atomic():
            Schedule.objects.filter(pk=schedule.pk).update(**change)


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


def test_errors_are_one_family() -> None:
    assert issubclass(CronInvalidError, SchedulingError)
