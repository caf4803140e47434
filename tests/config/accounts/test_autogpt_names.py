"""What AutoGPT's clients call accounts and API keys."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.test import APIClient

from config.accounts.keys import NewKey, make_key, suspend_key
from config.models import ApiKey

pytestmark = pytest.mark.django_db


def make(user: User, *scopes: str, **options: Any) -> NewKey:
    return make_key(user=user, name="test", scopes=scopes, **options)


def holding(made: NewKey) -> APIClient:
    return APIClient(headers={"Authorization": f"Bearer {made.secret}"})


def address(made: NewKey, verb: str) -> str:
    return f"/v1/api-keys/{made.key.pk}/{verb}"


def test_a_suspended_key_opens_nothing_until_it_is_resumed(user: User, client: APIClient) -> None:
    made = make(user, "read")

    suspended = client.post(address(made, "suspend"))
    refused = holding(made).get("/v1/me")
    resumed = client.post(address(made, "resume"))

    assert (suspended.status_code, suspended.json()["suspended_at"] is not None) == (200, True)
    assert (refused.status_code, "suspended" in refused.json()["detail"]) == (401, True)
    assert resumed.json()["suspended_at"] is None
    assert holding(made).get("/v1/me").status_code == 200


def test_a_key_resumes_none_that_may_do_more(user: User) -> None:
    stronger, equal, writer = make(user, "read", "credits"), make(user, "read"), make(user, "read", "write")
    suspend_key(stronger.key)
    suspend_key(equal.key)

    answers = [holding(writer).post(address(made, "resume")).status_code for made in (stronger, equal)]

    assert answers == [403, 200]
    assert ApiKey.objects.get(pk=stronger.key.pk).suspended_at is not None


@pytest.mark.parametrize(
    ("names", "scopes"),
    [(["write", "read"], ["read", "write"]), (["EXECUTE_GRAPH", "READ_BLOCK"], ["read", "execute"])],
)
def test_what_a_key_may_do_can_be_changed(user: User, client: APIClient, names: list[str], scopes: list[str]) -> None:
    made = make(user, "credits")

    answer = client.put(address(made, "permissions"), {"permissions": names})

    assert (answer.status_code, answer.json()["scopes"]) == (200, scopes)
    assert holding(made).get("/v1/me").json()["scopes"] == scopes


def test_a_key_adds_to_another_only_what_it_may_do_and_for_no_longer(user: User) -> None:
    soon = timezone.now() + timedelta(days=1)
    writer, brief = make(user, "read", "write"), make(user, "read", "write", expires_at=soon)
    target = make(user, "read", "credits")

    def change(maker: NewKey, *names: str) -> int:
        return holding(maker).put(address(target, "permissions"), {"permissions": names}).status_code

    assert change(writer, "read", "execute") == 403
    assert change(brief, "read", "credits", "write") == 403
    assert ApiKey.objects.get(pk=target.key.pk).scopes == ["read", "credits"]
    assert change(writer, "credits", "write") == 200
    assert ApiKey.objects.get(pk=target.key.pk).scopes == ["write", "credits"]


@pytest.mark.parametrize("body", [{}, {"permissions": []}, {"permissions": ["all"]}, {"permissions": "read"}, []])
def test_permissions_that_make_no_sense_are_refused(user: User, client: APIClient, body: Any) -> None:
    assert client.put(address(make(user, "read"), "permissions"), body).status_code == 400


def test_somebody_elses_key_is_not_there(user: User, client: APIClient) -> None:
    made = make(User.objects.create_user("mallory"), "read")

    answers = [
        client.post(address(made, "suspend")),
        client.post(address(made, "resume")),
        client.put(address(made, "permissions"), {"permissions": ["write"]}),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]


def test_who_asks_is_told_who_they_are(user: User, client: APIClient) -> None:
    assert client.post("/v1/auth/user").json() == client.get("/v1/me").json()


def test_the_time_zone_has_an_address_of_its_own(user: User, client: APIClient) -> None:
    before = client.get("/v1/auth/user/timezone").json()
    answer = client.post("/v1/auth/user/timezone", {"timezone": "Europe/Berlin"})

    assert (before, answer.json()) == ({"timezone": "UTC"}, {"timezone": "Europe/Berlin"})
    assert client.get("/v1/me").json()["time_zone"] == "Europe/Berlin"
    assert client.post("/v1/auth/user/timezone", {"timezone": "Mars/Olympus"}).status_code == 400
