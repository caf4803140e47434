"""API keys: made over the API, shown once, and good for what they say."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from config.accounts.keys import make_key, revoke_key
from config.models import ApiKey

pytestmark = pytest.mark.django_db


def holding(secret: str) -> APIClient:
    return APIClient(headers={"Authorization": f"Bearer {secret}"})


def make(user: User, *scopes: str, **options: Any) -> str:
    return make_key(user=user, name="test", scopes=scopes or ("read", "execute", "write"), **options).secret


def test_a_key_is_shown_when_it_is_made_and_never_again(user: User) -> None:
    client = APIClient()
    client.force_login(user)

    made = client.post("/v1/api-keys", {"name": "scripts", "scopes": ["execute", "read"]})

    secret = made.json().pop("key")
    assert (made.status_code, made["Cache-Control"]) == (201, "no-store")
    listed = client.get("/v1/api-keys").json()["results"]
    assert [(key["name"], key["scopes"]) for key in listed] == [("scripts", ["read", "execute"])]
    assert secret.startswith(listed[0]["prefix"]) and secret not in str(listed)
    assert secret not in str(list(ApiKey.objects.values()))
    assert holding(secret).get("/v1/me").json()["username"] == user.username


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_key_comes_in_either_header(user: User, header: str) -> None:
    secret = make(user)
    value = f"bearer {secret}" if header == "Authorization" else secret

    assert APIClient(headers={header: value}).get("/v1/graphs").status_code == 200


@pytest.mark.parametrize("secret", ["", "gek_", "x" * 5_000, "gek_unknown", "ä\x00"])
def test_what_is_no_key_opens_nothing(user: User, secret: str) -> None:
    make(user)

    answer = APIClient(headers={"X-API-Key": secret}).get("/v1/graphs")

    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


def test_a_key_that_is_revoked_or_expired_or_whose_user_has_left_opens_nothing(user: User) -> None:
    revoked, expired, left = make(user), make(user), make(User.objects.create_user("left", is_active=False))
    first, second = ApiKey.objects.filter(user=user).order_by("id")
    revoke_key(first)
    ApiKey.objects.filter(pk=second.pk).update(expires_at=timezone.now() - timedelta(seconds=1))

    answers = [holding(secret).get("/v1/graphs") for secret in (revoked, expired, left)]

    assert [answer.status_code for answer in answers] == [401, 401, 401]
    told = [answer.json()["detail"] for answer in answers]
    assert "revoked" in told[0] and "expired" in told[1] and "not active" in told[2]


@pytest.mark.parametrize(
    ("method", "address", "scope"),
    [
        ("get", "/v1/graphs", "read"),
        ("post", "/v1/graphs", "write"),
        ("post", "/v1/graphs/0190f3f4-0000-7000-8000-000000000000/execute", "execute"),
        ("patch", "/v1/me", "write"),
    ],
)
def test_a_key_without_the_scope_is_told_which_it_lacks(user: User, method: str, address: str, scope: str) -> None:
    others = [each for each in ("read", "execute", "write", "credits") if each != scope]

    refused = getattr(holding(make(user, *others)), method)(address, {})
    allowed = getattr(holding(make(user, scope)), method)(address, {})

    assert (refused.status_code, refused.json()["required_scope"]) == (403, scope)
    assert scope in refused.json()["detail"]
    assert allowed.status_code != 403


def test_a_key_that_would_open_nothing_is_not_made(client: APIClient) -> None:
    past = timezone.now() - timedelta(seconds=1)

    refused = client.post("/v1/api-keys", {"name": "x", "scopes": ["read"], "expires_at": past})

    assert (refused.status_code, list(refused.json()["field_errors"])) == (400, ["expires_at"])
    assert not ApiKey.objects.exists()


def test_a_key_makes_none_that_can_do_more_or_lives_longer(user: User) -> None:
    soon = timezone.now() + timedelta(days=1)
    client = holding(make(user, "read", "write", expires_at=soon))

    stronger = client.post("/v1/api-keys", {"name": "x", "scopes": ["execute"], "expires_at": soon})
    eternal = client.post("/v1/api-keys", {"name": "x", "scopes": ["read"]})
    fitting = client.post("/v1/api-keys", {"name": "x", "scopes": ["read"], "expires_at": soon})

    assert [stronger.status_code, eternal.status_code, fitting.status_code] == [403, 403, 201]


def test_revoking_ends_a_key_at_once_and_keeps_it_in_the_list(user: User) -> None:
    secret = make(user)
    client = holding(secret)
    (key,) = client.get("/v1/api-keys").json()["results"]

    revoked = client.delete(f"/v1/api-keys/{key['id']}")

    assert (revoked.status_code, revoked.json()["revoked_at"] is not None) == (200, True)
    assert client.get("/v1/api-keys").status_code == 401


def test_somebody_elses_key_is_not_there(user: User) -> None:
    make(user)
    key = ApiKey.objects.get()
    stranger = holding(make(User.objects.create_user("mallory")))

    for method in ("get", "delete", "patch"):
        assert getattr(stranger, method)(f"/v1/api-keys/{key.pk}", {"name": "mine"}).status_code == 404
    assert [each["id"] for each in stranger.get("/v1/api-keys").json()["results"]] != [str(key.pk)]


def test_a_name_can_be_changed(user: User) -> None:
    client = holding(make(user))
    (key,) = client.get("/v1/api-keys").json()["results"]

    assert client.patch(f"/v1/api-keys/{key['id']}", {"name": "laptop"}).json()["name"] == "laptop"


@pytest.mark.parametrize(
    "body", [{}, {"name": "x", "scopes": []}, {"name": "x", "scopes": ["all"]}, {"name": "", "scopes": ["read"]}]
)
def test_a_key_that_makes_no_sense_is_refused(user: User, body: dict[str, Any]) -> None:
    assert holding(make(user)).post("/v1/api-keys", body).status_code == 400


def test_the_database_keeps_no_unknown_scope(user: User) -> None:
    for scopes in ([], ["root"]):
        with pytest.raises(IntegrityError), transaction.atomic():
            ApiKey.objects.create(user=user, name="x", digest="x", scopes=scopes)


def test_a_key_in_use_is_noted_once_a_minute(user: User) -> None:
    client = holding(make(user))

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get("/v1/me")
        return sum("UPDATE" in query["sql"] for query in queries)

    assert (count(), count()) == (1, 0)
    assert ApiKey.objects.get().last_used_at is not None
