"""A moment that is given without an offset is what a clock in the schedule's zone shows."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from tests.scheduling.making import save_graph

pytestmark = pytest.mark.django_db

BERLIN = {"name": "Sums", "timezone": "Europe/Berlin"}


def create(client: APIClient, user: User, **fields: Any) -> Any:
    return client.post(f"/v1/graphs/{save_graph(user).graph_id}/schedules", BERLIN | fields)


@pytest.mark.parametrize(
    ("given", "instant"),
    [
        ("2900-01-01T09:00", "2900-01-01T08:00:00Z"),
        ("2900-01-01T09:00Z", "2900-01-01T09:00:00Z"),
        ("2900-01-01T09:00-05:00", "2900-01-01T14:00:00Z"),
        # The clock jumps over it.
        ("2027-03-28T02:30", "2027-03-28T01:00:00Z"),
        # It shows it twice.
        ("2027-10-31T02:30", "2027-10-31T00:30:00Z"),
    ],
)
def test_one_time_is_by_the_clock_of_its_zone(client: APIClient, user: User, given: str, instant: str) -> None:
    created = create(client, user, run_at=given).json()
    previewed = client.post("/v1/schedules/preview", {"timezone": "Europe/Berlin", "run_at": given}).json()

    assert (created["run_at"], created["next_run_time"]) == (instant, instant)
    assert [each["at"] for each in previewed["next_run_times"]] == [instant]


def test_a_beginning_and_an_end_are_by_that_clock_too(client: APIClient, user: User) -> None:
    created = create(client, user, cron="@daily", starts_at="2900-01-01T00:00", ends_at="2900-07-01T00:00").json()

    assert (created["starts_at"], created["ends_at"]) == ("2899-12-31T23:00:00Z", "2900-06-30T22:00:00Z")
    assert created["next_run_time"] == "2899-12-31T23:00:00Z"


def test_a_new_zone_counts_for_what_comes_with_it_only(client: APIClient, user: User) -> None:
    address = f"/v1/schedules/{create(client, user, run_at='2900-01-01T09:00').json()['id']}"

    alone = client.patch(address, {"timezone": "Asia/Kolkata"}).json()
    together = client.patch(address, {"timezone": "America/New_York", "run_at": "2900-01-01T09:00"}).json()
    again = client.patch(address, {"run_at": "2900-01-01T09:00"}).json()

    assert [each["run_at"] for each in (alone, together, again)] == [
        *("2900-01-01T08:00:00Z", "2900-01-01T14:00:00Z", "2900-01-01T14:00:00Z"),
    ]


@pytest.mark.parametrize("given", ["0001-01-01T00:00", "9999-12-31T23:59", "1969-12-31T00:00"])
def test_what_is_no_time_of_ours_is_refused(client: APIClient, user: User, given: str) -> None:
    assert create(client, user, run_at=given).status_code == 400
    assert client.post("/v1/schedules/preview", BERLIN | {"run_at": given}).status_code == 400


def test_a_zone_that_there_is_not_reads_no_clock(client: APIClient, user: User) -> None:
    refused = create(client, user, run_at="2900-01-01T09:00", timezone="Mars/Base")

    assert (refused.status_code, "Mars/Base" in refused.json()["detail"]) == (400, True)
