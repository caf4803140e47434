"""What a user can do with schedules, and that beat's rows stay in step."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django_celery_beat.models import PeriodicTask

from execution.exceptions import InputsUnknownError
from execution.models import Execution
from graphs.exceptions import GraphInvalidError, GraphNotFoundError
from scheduling.exceptions import CronInvalidError, SchedulingError, TimeZoneUnknownError, TimingInvalidError
from scheduling.models import Schedule
from scheduling.services import change_schedule, create_schedule, delete_schedule, pause_schedule, run_now
from scheduling.store import read_clock
from tests.scheduling.making import BROKEN, make_schedule, runs, save_graph

pytestmark = pytest.mark.django_db

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


def test_errors_are_one_family() -> None:
    assert issubclass(CronInvalidError, SchedulingError)
