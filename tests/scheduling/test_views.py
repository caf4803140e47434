"""The API of schedules."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from config.accounts.keys import make_key
from execution.models import Execution
from graphs.services import get_graph
from scheduling.checking import check_wanted
from scheduling.models import Occurrence, Schedule
from scheduling.services import run_now
from tests.execution.drain import Drain
from tests.execution.small_graphs import CALCULATOR, draw
from tests.scheduling.making import ADDING, make_schedule, save_graph

pytestmark = pytest.mark.django_db

SCHEDULE = {"name": "Each morning", "cron": "0 9 * * mon-fri", "timezone": "Europe/Berlin", "inputs": {"Number": 5}}


def log_in(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def client(user: User) -> APIClient:
    return log_in(user)


def create(client: APIClient, user: User, **others: Any) -> dict[str, Any]:
    answer = client.post(f"/v1/graphs/{save_graph(user).graph_id}/schedules", SCHEDULE | others)
    assert answer.status_code == 201, answer.json()
    created: dict[str, Any] = answer.json()
    return created


def test_a_schedule_is_created_and_read(client: APIClient, user: User) -> None:
    created = create(client, user, overlap="queue_one", jitter_seconds=30, misfire_grace_seconds=3600)

    assert created == client.get(f"/v1/schedules/{created['id']}").json()
    assert (created["name"], created["cron"], created["timezone"]) == (
        *("Each morning", "0 9 * * mon-fri", "Europe/Berlin"),
    )
    assert (created["user_id"], created["graph_version"], created["follows_active_version"]) == (user.pk, 1, True)
    assert (created["description"], created["input_data"]) == ("At 09:00, Monday through Friday", {"Number": 5})
    assert (created["overlap"], created["misfire"], created["is_enabled"]) == ("queue_one", "fire_once", True)
    assert (created["jitter_seconds"], created["misfire_grace_seconds"], created["problem"]) == (30, 3600, "")
    assert datetime.fromisoformat(created["next_run_time"]).utcoffset() is not None


def test_its_runs_cost_what_it_allows(client: APIClient, user: User) -> None:
    created = create(client, user, max_cost=20, on_insufficient_credits="park")
    first = run_now(schedule=Schedule.objects.get(pk=created["id"]))
    changed = client.patch(f"/v1/schedules/{created['id']}", {"max_cost": None}).json()
    second = run_now(schedule=Schedule.objects.get(pk=created["id"]))

    assert (created["max_cost"], created["on_insufficient_credits"]) == (20, "park")
    assert (changed["max_cost"], changed["on_insufficient_credits"]) == (None, "park")
    runs = [Execution.objects.get(pk=str(each.execution_id)) for each in (first, second)]
    assert [(run.max_cost, run.on_insufficient_credits) for run in runs] == [(20, "park"), (None, "park")]


def test_schedules_are_listed_for_a_graph_and_for_all(client: APIClient, user: User) -> None:
    one, other = create(client, user), create(client, user)

    assert client.get("/v1/schedules").json()["results"] == [other, one]
    assert client.get(f"/v1/graphs/{one['graph_id']}/schedules").json()["results"] == [one]


def test_a_schedule_of_a_graph_that_is_gone_is_listed_and_says_so(client: APIClient, user: User) -> None:
    created = create(client, user)
    get_graph(user=user, graph_id=created["graph_id"]).delete()
    check_wanted(limit=10)

    (listed,) = client.get("/v1/schedules").json()["results"]

    assert "Its graph is gone" in listed["problem"]
    assert (listed["graph_id"], listed["graph_version"]) == (created["graph_id"], None)
    assert client.get(f"/v1/schedules/{created['id']}").json() == listed


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("pinned", [None, 1])
def test_a_graph_that_is_deleted_although_it_had_runs_is_gone_as_well(
    client: APIClient, user: User, drain: Drain, pinned: int | None
) -> None:
    created = create(client, user, graph_version=pinned)
    assert (created["graph_version"], bool(created["next_run_time"])) == (1, True)
    client.post(f"/v1/schedules/{created['id']}/run-now")
    drain.run()

    client.delete(f"/v1/graphs/{created['graph_id']}")
    check_wanted(limit=10)

    shown = client.get(f"/v1/schedules/{created['id']}").json()
    assert "Its graph is gone" in shown["problem"]
    assert (shown["graph_version"], shown["next_run_time"]) == (None, None)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"name": "Other"}, {"name": "Other", "cron": "0 9 * * mon-fri"}),
        ({"cron": "@hourly"}, {"cron": "@hourly", "description": "Every hour"}),
        ({"run_at": "2900-01-01T00:00:00Z"}, {"cron": "", "next_run_time": "2900-01-01T00:00:00Z"}),
        ({"inputs": {}}, {"input_data": {}}),
        ({"graph_version": 1}, {"follows_active_version": False}),
        ({"is_enabled": False}, {"is_enabled": False, "next_run_time": None}),
        ({"misfire": "fire_all", "misfire_limit": 3}, {"misfire": "fire_all", "misfire_limit": 3}),
    ],
)
def test_a_schedule_is_changed(client: APIClient, user: User, change: dict[str, Any], shown: dict[str, Any]) -> None:
    created = create(client, user)

    changed = client.patch(f"/v1/schedules/{created['id']}", change)

    assert changed.status_code == 200
    assert {name: changed.json()[name] for name in shown} == shown


def test_a_schedule_is_deleted(client: APIClient, user: User) -> None:
    address = f"/v1/schedules/{create(client, user)['id']}"

    answer = client.delete(address)

    assert (answer.status_code, answer.json()) == (200, {"id": address.rpartition("/")[2]})
    assert client.get(address).status_code == 404
    assert client.delete(address).status_code == 404


def test_a_schedule_is_paused_and_resumed(client: APIClient, user: User) -> None:
    created = create(client, user)
    address = f"/v1/schedules/{created['id']}"

    paused = client.post(f"{address}/pause").json()
    resumed = client.post(f"{address}/resume").json()

    assert (paused["is_enabled"], paused["next_run_time"]) == (False, None)
    assert (resumed["is_enabled"], resumed["next_run_time"]) == (True, created["next_run_time"])


@pytest.mark.parametrize("unreadable", [{"timezone": "Europe/Atlantis"}, {"cron": "never"}])
def test_one_whose_times_can_not_be_read_is_renamed_and_paused_and_mended(
    client: APIClient, user: User, unreadable: dict[str, str]
) -> None:
    created = create(client, user)
    address = f"/v1/schedules/{created['id']}"
    Schedule.objects.update(**unreadable)

    renamed = client.patch(address, {"name": "Other"}, format="json")
    paused = client.post(f"{address}/pause")
    resumed = client.post(f"{address}/resume")
    mended = client.patch(address, {"timezone": "UTC", "cron": "@hourly", "is_enabled": True}, format="json")

    assert (renamed.status_code, renamed.json()["name"]) == (200, "Other")
    assert (paused.status_code, paused.json()["is_enabled"]) == (200, False)
    assert (resumed.status_code, mended.status_code) == (400, 200)
    assert next(iter(unreadable.values())) in resumed.content.decode()
    assert (mended.json()["is_enabled"], bool(mended.json()["next_run_time"])) == (True, True)


def test_a_schedule_is_run_now_and_its_history_shows_the_run(client: APIClient, user: User) -> None:
    address = f"/v1/schedules/{create(client, user)['id']}"

    started = client.post(f"{address}/run-now")
    (shown,) = client.get(f"{address}/occurrences").json()["results"]

    assert started.status_code == 202
    assert started.json() == shown
    assert (shown["state"], shown["is_manual"], shown["graph_exec_status"]) == ("STARTED", True, "QUEUED")
    assert client.get(address).json()["last_graph_exec_id"] == shown["graph_exec_id"]
    assert client.get("/v1/executions").json()["results"][0]["id"] == shown["graph_exec_id"]


def test_a_request_that_is_sent_again_starts_nothing_again(client: APIClient, user: User) -> None:
    address = f"/v1/graphs/{save_graph(user).graph_id}/schedules"

    one, again = (client.post(address, SCHEDULE, headers={"Idempotency-Key": "create"}).json() for _ in range(2))
    run_address = f"/v1/schedules/{one['id']}/run-now"
    started, started_again = (client.post(run_address, headers={"Idempotency-Key": "run"}).json() for _ in range(2))

    assert (one, started) == (again, started_again)
    assert (Schedule.objects.count(), Occurrence.objects.count()) == (1, 1)


def test_what_can_not_run_now_is_told_by_node_and_field(client: APIClient, user: User) -> None:
    created = create(client, user)
    broken = draw({"add": (CALCULATOR, {"operation": "Add", "b": 1})})
    client.put(f"/v1/graphs/{created['graph_id']}", broken)

    answer = client.post(f"/v1/schedules/{created['id']}/run-now")

    assert answer.status_code == 400
    assert answer.json()["node_errors"]
    assert client.get(f"/v1/schedules/{created['id']}/occurrences").json()["results"] == []


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"cron": "61 * * * *"}, "61 is not between 0 and 59"),
        ({"cron": "* * * *"}, "has five fields"),
        ({"cron": ""}, "either a cron expression or one time"),
        ({"run_at": "2900-01-01T00:00:00Z"}, "either a cron expression or one time"),
        ({"timezone": "Mars"}, "no time zone 'Mars'"),
        ({"inputs": {"Nunber": 1}}, "no input named Nunber"),
        ({"graph_version": 9}, "no version 9"),
        ({"ends_at": "2001-01-01T00:00:00Z"}, "No time is due"),
        ({"starts_at": "9999-12-31T23:59:59Z"}, "between the years 1970 and 3000"),
        ({"jitter_seconds": -1}, "content is not valid"),
        ({"overlap": "?"}, "content is not valid"),
        ({"name": ""}, "content is not valid"),
        ({"inputs": {"Number": 1}, "input_data": {"Number": 1}}, "content is not valid"),
    ],
)
def test_what_is_wrong_is_named(client: APIClient, user: User, wrong: dict[str, Any], complaint: str) -> None:
    graph = save_graph(user).graph_id

    answer = client.post(f"/v1/graphs/{graph}/schedules", SCHEDULE | wrong)

    assert answer.status_code in (400, 404)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert complaint in answer.json()["detail"]
    assert not Schedule.objects.exists()


def test_next_times_are_shown_before_anything_is_saved(client: APIClient) -> None:
    answer = client.post(
        "/v1/schedules/preview",
        {"cron": "30 2 29 3 *", "timezone": "Europe/Berlin", "starts_at": "2900-01-01T00:00:00Z", "count": 2},
    ).json()

    assert answer == {
        "description": "At 02:30, on day 29 of the month, only in March",
        "timezone": "Europe/Berlin",
        "next_run_times": [
            {
                "at": "2900-03-29T00:30:00Z",
                "local": "2900-03-29T02:30:00+02:00",
                "in_words": "Monday, 29 March 2900, 02:30 CEST",
            },
            {
                "at": "2901-03-29T00:30:00Z",
                "local": "2901-03-29T02:30:00+02:00",
                "in_words": "Tuesday, 29 March 2901, 02:30 CEST",
            },
        ],
    }
    assert not Schedule.objects.exists()


def test_a_preview_in_the_users_own_zone(client: APIClient, user: User) -> None:
    user.profile.chosen_time_zone = "Asia/Tokyo"
    user.profile.save()

    answer = client.post("/v1/schedules/preview", {"cron": "0 9 * * *"}).json()

    assert answer["timezone"] == "Asia/Tokyo"
    assert len(answer["next_run_times"]) == 5
    assert all(each["in_words"].endswith("09:00 JST") for each in answer["next_run_times"])


@pytest.mark.parametrize(
    "wrong", [{}, {"cron": "x"}, {"cron": "@daily", "count": 101}, {"cron": "@daily", "timezone": "Mars"}]
)
def test_a_preview_of_what_can_not_be_is_refused(client: APIClient, wrong: dict[str, Any]) -> None:
    assert client.post("/v1/schedules/preview", wrong).status_code == 400


def test_what_belongs_to_somebody_else_is_not_there(client: APIClient, user: User) -> None:
    created = create(client, user)
    stranger = log_in(User.objects.create_user("mallory"))
    address = f"/v1/schedules/{created['id']}"

    assert stranger.get("/v1/schedules").json()["results"] == []
    for method, place in [
        *(("get", address), ("patch", address), ("delete", address), ("get", f"{address}/occurrences")),
        *(("post", f"{address}/pause"), ("post", f"{address}/resume"), ("post", f"{address}/run-now")),
        *(("get", f"/v1/graphs/{created['graph_id']}/schedules"), ("get", f"/v1/schedules/{uuid4()}")),
    ]:
        assert getattr(stranger, method)(place).status_code == 404, (method, place)
    assert stranger.post(f"/v1/graphs/{created['graph_id']}/schedules", SCHEDULE).status_code == 404
    assert client.get(address).json() == created
    assert not Occurrence.objects.exists()


def test_nobody_gets_in_without_a_login(client: APIClient, user: User) -> None:
    created = create(client, user)

    assert APIClient().get("/v1/schedules").status_code == 401
    assert APIClient().get(f"/v1/schedules/{created['id']}").status_code == 401
    assert APIClient().post("/v1/schedules/preview", {"cron": "@daily"}).status_code == 401


def test_a_key_needs_the_scope_execute_for_what_decides_when_runs_start(client: APIClient, user: User) -> None:
    created = create(client, user)
    key = make_key(user=user, name="writer", scopes=["read", "write"])
    writer = APIClient(HTTP_AUTHORIZATION=f"Bearer {key.secret}")
    address = f"/v1/schedules/{created['id']}"

    for method, place in [
        *(("post", f"/v1/graphs/{created['graph_id']}/schedules"), ("patch", address)),
        *(("post", f"{address}/run-now"), ("post", f"{address}/pause"), ("post", f"{address}/resume")),
        ("delete", address),
    ]:
        answer = getattr(writer, method)(place, {})
        assert (answer.status_code, "execute" in answer.json()["detail"]) == (403, True), (method, place)
    assert writer.post("/v1/schedules/preview", {"cron": "@daily"}).status_code == 200


def count_queries(client: APIClient, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


def test_lists_take_as_many_queries_however_long_they_are(client: APIClient, user: User) -> None:
    schedule = make_schedule(user)
    run_now(schedule=schedule)
    addresses = ["/v1/schedules", f"/v1/schedules/{schedule.pk}/occurrences"]
    of_one = [count_queries(client, address) for address in addresses]

    for _ in range(3):
        run_now(schedule=schedule)
        run_now(schedule=make_schedule(user, ADDING))

    assert [count_queries(client, address) for address in addresses] == of_one
