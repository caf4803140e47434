"""The account that asks: its profile, and its session."""

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from config.accounts import logins
from config.counting import Counter
from tests.config.processes import wait_until
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db

PASSWORD = "analytical-engine"
GUESSES = 12


@pytest.fixture(autouse=True)
def nobody_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test be locked out by what another has counted."""
    moment = iter(range(10**9))
    monkeypatch.setattr(logins, "counter", Counter(now=lambda: 3_000_000_000.0 + next(moment) * 1e-6))


@pytest.fixture(autouse=True)
def no_redis(settings: Settings) -> None:
    settings.REDIS_URL = None


def test_every_user_has_a_profile_whichever_way_they_come_in(user: User, settings: Settings) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    User.objects.bulk_create([User(username="grace"), User(username="joan")])

    assert {each.profile.time_zone for each in User.objects.all()} == {"Europe/Paris"}
    user.delete()
    assert User.objects.count() == 2


def test_the_time_zone_is_the_users_own(user: User, settings: Settings) -> None:
    client = APIClient()
    client.force_authenticate(user)

    changed = client.patch("/v1/me", {"time_zone": "Australia/Lord_Howe", "first_name": "Ada"})

    assert (changed.status_code, changed.json()["time_zone"]) == (200, "Australia/Lord_Howe")
    me = client.get("/v1/me").json()
    assert (me["username"], me["first_name"], me["time_zone"]) == ("ada", "Ada", "Australia/Lord_Howe")
    assert me["scopes"] == ["read", "execute", "write", "credits"]
    assert client.patch("/v1/me", {"time_zone": ""}).json()["time_zone"] == settings.TIME_ZONE


@pytest.mark.parametrize(
    "zone", ["Mars/Olympus", "../etc/passwd", "Europe", "Factory", "localtime", 7, None, "x" * 100]
)
def test_what_is_no_time_zone_is_refused(user: User, zone: object) -> None:
    client = APIClient()
    client.force_authenticate(user)

    answer = client.patch("/v1/me", {"time_zone": zone})

    assert (answer.status_code, list(answer.json()["field_errors"])) == (400, ["time_zone"])


def test_a_browser_logs_in_and_out_and_must_show_its_csrf_token(user: User) -> None:
    browser = Client(enforce_csrf_checks=True)

    def post(address: str, body: dict[str, str], **headers: str) -> int:
        return browser.post(address, body, content_type="application/json", headers=headers).status_code

    assert post("/v1/login", {"username": "ada", "password": PASSWORD}) == 200
    assert browser.get("/v1/me").json()["username"] == "ada"
    token = browser.cookies["csrftoken"].value
    key = {"name": "x", "scopes": ["read"]}
    assert browser.post("/v1/api-keys", key, content_type="application/json").status_code == 403
    assert browser.post("/v1/api-keys", key, "application/json", headers={"X-CSRFToken": token}).status_code == 201
    assert post("/v1/logout", {}, **{"X-CSRFToken": token}) == 204
    assert browser.get("/v1/me").status_code == 401


def test_wrong_passwords_lock_a_name_at_one_address_for_a_while(user: User) -> None:
    def log_in(password: str, *, address: str = "192.0.2.1", name: str = "ada") -> int:
        client = APIClient(REMOTE_ADDR=address)
        return client.post("/v1/login", {"username": name, "password": password}).status_code

    guesses = [log_in(f"guess {number}") for number in range(7)]

    assert guesses == [401] * 5 + [429] * 2
    assert log_in(PASSWORD) == 429
    assert log_in(PASSWORD, address="192.0.2.2") == 200
    assert log_in("x", name="grace") == 401


@pytest.mark.django_db(transaction=True)
def test_guesses_at_the_same_moment_count_like_those_one_after_the_other(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at, answers = list[str](), list[int]()

    def look(_backend: ModelBackend, _request: HttpRequest, _name: str, password: str) -> None:
        """Refuse a password, but not before all others are as far or answered."""
        looked_at.append(password)
        assert wait_until(lambda: len(looked_at) + len(answers) >= GUESSES)

    def guess() -> None:
        answers.append(APIClient().post("/v1/login", {"username": "ada", "password": "guess"}).status_code)

    monkeypatch.setattr(ModelBackend, "authenticate", look)
    run_at_once(*[guess] * GUESSES)

    assert sorted(answers) == [401] * 5 + [429] * (GUESSES - 5)
    assert len(looked_at) == 5


def test_who_knows_the_password_may_log_in_however_often(user: User) -> None:
    answers = [APIClient().post("/v1/login", {"username": "ada", "password": PASSWORD}).status_code for _ in range(7)]

    assert answers == [200] * 7


def test_the_wait_is_told(user: User) -> None:
    client = APIClient()
    for _ in range(5):
        client.post("/v1/login", {"username": "ada", "password": "guess"})

    answer = client.post("/v1/login", {"username": "ada", "password": PASSWORD})

    assert answer["Content-Type"] == "application/problem+json"
    assert 0 < int(answer["Retry-After"]) <= 300


def test_the_admins_login_is_throttled_as_well(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=True)
    browser = Client()

    def log_in(password: str) -> int:
        return browser.post("/admin/login/?next=/admin/", {"username": "ada", "password": password}).status_code

    for number in range(5):
        assert log_in(f"guess {number}") == 200

    assert log_in(PASSWORD) == 200, "a login would redirect"
    assert "_auth_user_id" not in browser.session
