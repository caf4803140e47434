"""Requests are counted per user and kind of endpoint, and every answer says how many are left."""

import asyncio
import time

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connections
from django.test import AsyncClient, RequestFactory
from pytest_django import Settings
from rest_framework.test import APIClient

from config import throttling
from config.accounts.keys import make_key
from config.addresses import find_address
from config.counting import Counter
from tests.graphs.building import calculator_json

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def one_stretch_of_time(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Let no stretch end in the middle of a test, and nothing be left of another test."""
    moment = time.time_ns() / 1e9 // 60 * 60 + 3.0
    settings.REDIS_URL = None
    monkeypatch.setattr(throttling, "counter", Counter(now=lambda: moment))


def test_every_answer_says_how_many_requests_are_left(client: APIClient, settings: Settings) -> None:
    settings.API_RATES = {**settings.API_RATES, "read": 3}

    answers = [client.get("/v1/graphs") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer["RateLimit-Limit"] for answer in answers} == {"3"}
    assert (answers[0]["RateLimit-Policy"], answers[0]["RateLimit-Reset"]) == ("3;w=60", "57")
    assert (answers[3]["Retry-After"], answers[3]["Content-Type"]) == ("57", "application/problem+json")


def test_one_kind_of_endpoint_does_not_use_up_another(client: APIClient, settings: Settings) -> None:
    settings.API_RATES = {**settings.API_RATES, "read": 1, "write": 1}

    assert [client.get("/v1/me").status_code for _ in range(2)] == [200, 429]
    assert client.patch("/v1/me", {}).status_code == 200


def test_one_user_does_not_use_up_anothers_requests(client: APIClient, settings: Settings) -> None:
    settings.API_RATES = {**settings.API_RATES, "read": 1}
    other = APIClient()
    other.force_authenticate(User.objects.create_user("grace"))

    assert [client.get("/v1/me").status_code for _ in range(2)] == [200, 429]
    assert other.get("/v1/me").status_code == 200


def test_what_ends_at_its_idempotency_key_is_counted_as_well(client: APIClient, settings: Settings) -> None:
    settings.API_RATES = {**settings.API_RATES, "write": 5}
    graph, other = calculator_json(), calculator_json() | {"name": "Another"}

    answers = [
        client.post("/v1/graphs", body, headers={"Idempotency-Key": key})
        for body, key in [(graph, "k"), (graph, "k"), (other, "k"), (graph, "no key"), (graph, "k"), (graph, "k")]
    ]
    refused = client.post("/v1/graphs", other, headers={"Idempotency-Key": "k"})

    assert [answer.status_code for answer in [*answers, refused]] == [201, 201, 422, 400, 201, 429, 429]
    assert [answer["RateLimit-Remaining"] for answer in answers] == ["4", "3", "2", "1", "0", "0"]
    assert "Idempotency-Replayed" not in answers[5]


def test_who_has_no_login_is_counted_by_address(settings: Settings) -> None:
    settings.API_RATES = {**settings.API_RATES, "anonymous": 1}

    statuses = [
        APIClient(REMOTE_ADDR=address).get("/v1/public/shared/x").status_code
        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2")
    ]

    assert statuses == [404, 429, 404]


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "gek_guessed"}])
def test_who_is_refused_is_counted_as_well(settings: Settings, headers: dict[str, str]) -> None:
    settings.API_RATES = {**settings.API_RATES, "anonymous": 2}

    answers = [APIClient(headers=headers, REMOTE_ADDR="192.0.2.1").get("/v1/graphs") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert [answer["RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert (answers[0]["WWW-Authenticate"], answers[2]["Retry-After"]) == ("Bearer", "57")
    assert APIClient(headers=headers, REMOTE_ADDR="192.0.2.2").get("/v1/graphs").status_code == 401


def test_a_key_that_may_not_do_it_is_counted_as_well(user: User, settings: Settings) -> None:
    settings.API_RATES = {**settings.API_RATES, "write": 1}
    client = APIClient(headers={"X-API-Key": make_key(user=user, name="looks", scopes=["read"]).secret})

    answers = [client.post("/v1/graphs", {}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [403, 429]
    assert client.get("/v1/graphs").status_code == 200


@pytest.mark.parametrize(
    ("proxies", "forwarded", "counted"),
    [
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "10.9.9.9, 203.0.113.9", "203.0.113.9"),
        (2, "10.9.9.9, 203.0.113.9, 198.51.100.7", "203.0.113.9"),
        (2, "203.0.113.9", "203.0.113.9"),
        (1, "nonsense", "192.0.2.1"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (1, "::ffff:203.0.113.9", "203.0.113.9"),
    ],
)
def test_behind_proxies_the_client_is_counted(settings: Settings, proxies: int, forwarded: str, counted: str) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR="192.0.2.1")

    assert find_address(request) == counted


def test_who_invents_addresses_gains_nothing(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    settings.API_RATES = {**settings.API_RATES, "anonymous": 1}

    statuses = [
        APIClient(REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": f"{made_up}, 192.0.2.1"})
        .get("/v1/public/shared/x")
        .status_code
        for made_up in ("203.0.113.1", "203.0.113.2")
    ]

    assert statuses == [404, 429]


def test_a_redis_that_is_away_is_no_error(client: APIClient, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    answer = client.get("/v1/me")

    assert (answer.status_code, "RateLimit-Remaining" in answer) == (200, True)


@pytest.mark.django_db(transaction=True)
def test_an_asynchronous_server_says_it_as_well(user: User) -> None:
    async def ask() -> str:
        client = AsyncClient()
        await client.aforce_login(user)
        try:
            return (await client.get("/v1/me"))["RateLimit-Limit"]
        finally:
            await sync_to_async(connections.close_all)()

    assert asyncio.run(ask()) == "1200"
