"""The admin shows schedules, and lets people pause, resume and run them; on beat's own pages, too."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from graphs.services import get_graph
from scheduling.models import Schedule
from scheduling.services import pause_schedule, run_now
from tests.scheduling.making import make_schedule, states

SCHEDULES = "/admin/scheduling/schedule/"
TASKS = "/admin/django_celery_beat/periodictask/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def read(client: Client, address: str, **query: str) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200
    return answer.content.decode()


def act(client: Client, address: str, action: str, *rows: Schedule | PeriodicTask) -> str:
    answer = client.post(address, {"action": action, "_selected_action": [row.pk for row in rows]}, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_list_shows_next_and_last_run(client: Client, user: User) -> None:
    schedule = make_schedule(user, name="Each hour")
    occurrence = run_now(schedule=schedule)

    page = read(client, SCHEDULES)

    assert "Each hour" in page
    assert "Every hour (@hourly, UTC)" in page
    assert f"{occurrence.decided_at:%Y-%m-%d %H:%M:%S} STARTED" in page
    assert str(occurrence.execution_id) in page


def test_the_page_of_a_schedule_shows_its_history(client: Client, user: User) -> None:
    schedule = make_schedule(user, input_data={"Number": 77})
    occurrence = run_now(schedule=schedule)

    page = read(client, f"{SCHEDULES}{schedule.pk}/change/")

    assert "{&quot;Number&quot;: 77}" in page
    assert "by hand STARTED" in page
    assert f"/admin/execution/execution/{occurrence.execution_id}/change/" in page


def test_a_schedule_whose_graph_is_gone_is_shown(client: Client, user: User) -> None:
    schedule = make_schedule(user)
    get_graph(user=user, graph_id=str(schedule.graph_id)).delete()

    assert f"{schedule.graph_id} (gone)" in read(client, SCHEDULES)
    assert f"{schedule.graph_id} (gone)" in read(client, f"{SCHEDULES}{schedule.pk}/change/")


def test_schedules_are_found_by_what_people_know_of_them(client: Client, user: User) -> None:
    schedule, other = make_schedule(user, name="Sums"), make_schedule(User.objects.create_user("bob"), name="Others")

    for term in ("sum", "ADA", str(schedule.pk), str(schedule.graph_id)):
        page = read(client, SCHEDULES, q=term)
        assert (str(schedule.pk) in page, str(other.pk) in page) == (True, False), term


def test_actions_pause_resume_and_run(client: Client, user: User) -> None:
    one, other = make_schedule(user), make_schedule(user)

    assert "Paused: 2." in act(client, SCHEDULES, "pause", one, other)
    assert list(Schedule.objects.values_list("is_enabled", flat=True)) == [False, False]
    assert "Resumed: 1." in act(client, SCHEDULES, "resume", one)
    assert "Started: 1." in act(client, SCHEDULES, "run", other)

    one.refresh_from_db()
    assert one.is_enabled
    assert (states(one), states(other)) == ([], ["STARTED"])


def test_what_can_not_run_is_told(client: Client, user: User) -> None:
    schedule = make_schedule(user)
    get_graph(user=user, graph_id=str(schedule.graph_id)).delete()

    assert "Its graph is gone" in act(client, SCHEDULES, "run", schedule)


def test_who_may_only_look_is_offered_no_actions(client: Client, user: User) -> None:
    schedule = make_schedule(user)
    looker = User.objects.create_user("looker", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_schedule"))
    client.force_login(looker)

    assert 'value="pause"' not in read(client, SCHEDULES)
    act(client, SCHEDULES, "pause", schedule)

    schedule.refresh_from_db()
    assert schedule.is_enabled


def test_the_list_takes_as_many_queries_however_long_it_is(client: Client, user: User) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            read(client, SCHEDULES)
        return len(queries)

    run_now(schedule=make_schedule(user))
    count()
    of_one = count()
    for number in range(5):
        run_now(schedule=make_schedule(User.objects.create_user(f"user{number}")))

    assert count() == of_one


def test_beats_page_shows_a_schedules_task_and_does_not_change_it(client: Client, user: User) -> None:
    task = make_schedule(user, name="Each hour").periodic_task

    assert "Each hour" in read(client, TASKS)
    page = read(client, f"{TASKS}{task.pk}/change/")
    assert 'name="_save"' not in page
    assert client.post(f"{TASKS}{task.pk}/change/", {"name": "x"}).status_code == 403
    assert client.post(f"{TASKS}{task.pk}/delete/", {"post": "yes"}).status_code == 403


def test_beats_actions_do_to_a_schedule_what_they_say(client: Client, user: User) -> None:
    schedule, paused = make_schedule(user), pause_schedule(schedule=make_schedule(user))
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="days")
    own = PeriodicTask.objects.create(name="own", task="scheduling.look_after", interval=every)

    act(client, TASKS, "toggle_tasks", schedule.periodic_task, paused.periodic_task, own)
    assert [task.enabled for task in PeriodicTask.objects.order_by("id")] == [False, True, False]
    schedule.refresh_from_db()
    paused.refresh_from_db()
    assert (schedule.is_enabled, paused.is_enabled) == (False, True)
    act(client, TASKS, "disable_tasks", paused.periodic_task)
    act(client, TASKS, "enable_tasks", schedule.periodic_task, own)
    act(client, TASKS, "run_tasks", schedule.periodic_task)

    schedule.refresh_from_db()
    paused.refresh_from_db()
    own.refresh_from_db()
    assert (schedule.is_enabled, paused.is_enabled, own.enabled) == (True, False, True)
    assert states(schedule) == ["STARTED"]


def test_the_other_pages_of_beat_work_as_they_did(client: Client) -> None:
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="days")
    own = PeriodicTask.objects.create(name="own", task="scheduling.look_after", interval=every)

    assert 'name="_save"' in read(client, f"{TASKS}{own.pk}/change/")
