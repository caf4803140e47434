"""Whatever the API has an address for, somebody else's is not there."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings
from rest_framework.test import APIClient

from config.accounts.keys import make_key
from tests.config.belongings import draw_schema, example_body, give_everything, walk

SHARED = {"block_id", "token"}
"""Blocks are everybody's, and a share link is for whoever has it."""

# What an operation needs besides its example, so that it isn't its body that is refused.
BODIES: dict[str, Any] = {
    "replay_execution": {"node_execution_id": "{node_execution_id}"},
    "request_refund": {"top_up_id": "{top_up_id}", "reason": "I was somebody else."},
    "create_preset": {"graph_id": "{graph_id}", "name": "mine"},
    "change_preset": {"graph_id": "{graph_id}", "name": "mine"},
}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_is_counted(nothing_is_sent: None, settings: Settings) -> None:
    settings.REDIS_URL = None


def log_in(user: User) -> APIClient:
    secret = make_key(user=user, name="walker", scopes=["read", "execute", "write", "credits"]).secret
    return APIClient(headers={"Authorization": f"Bearer {secret}"})


def fill(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], text)


def ask(client: APIClient, path: str, method: str, operation: Any, owned: dict[str, str]) -> Any:
    body = BODIES.get(operation["operationId"], example_body(operation))
    if isinstance(body, dict):
        body = {name: fill(value, owned) if isinstance(value, str) else value for name, value in body.items()}
    query = {"session_id": "cs_unknown"} if path.endswith("/return") else {}
    return getattr(client, method)(fill(path, owned), *([query] if method == "get" else [body or {}]))


def test_every_address_of_somebody_elses_is_not_there_and_does_nothing(user: User) -> None:
    owned = give_everything(user)
    owner, stranger = log_in(user), log_in(User.objects.create_user("mallory"))
    operations = [(path, method, operation) for path, method, operation in walk(draw_schema())]
    of_owner = [each for each in operations if set(re.findall(r"\{(\w+)\}", each[0])) - SHARED]
    looks = [each for each in of_owner if each[1] == "get"]

    def look() -> list[Any]:
        return [ask(owner, *each, owned).content for each in looks]

    assert [each for each in looks if ask(owner, *each, owned).status_code != 200] == [], "the owner must see it"
    before = look()
    found = [
        (method, path, answer.status_code)
        for path, method, operation in of_owner
        if (answer := ask(stranger, path, method, operation, owned)).status_code != 404
    ]

    assert found == []
    assert len(of_owner) > 30
    assert look() == before


def test_what_is_named_in_a_body_is_not_there_either(user: User) -> None:
    owned = give_everything(user)
    stranger = log_in(User.objects.create_user("mallory"))
    answers = {
        operation["operationId"]: ask(stranger, path, method, operation, owned).status_code
        for path, method, operation in walk(draw_schema())
        if operation["operationId"] in BODIES and "{" not in path
    }

    assert answers == {"create_preset": 404, "request_refund": 404}


def test_lists_hold_nothing_of_anybody_else(user: User) -> None:
    owned = give_everything(user)
    stranger = log_in(User.objects.create_user("mallory"))

    for path, method, operation in walk(draw_schema()):
        if method == "get" and "{" not in path and path != "/v1/blocks":
            content = ask(stranger, path, method, operation, owned).content.decode()
            assert [name for name in set(owned) - {"version", "block_id"} if owned[name] in content] == [], path


def test_without_a_login_nothing_is_there_but_what_is_for_everybody(user: User) -> None:
    owned = give_everything(user)

    refused = {
        (method, path): APIClient().generic(method.upper(), fill(path, owned)).status_code
        for path, method, operation in walk(draw_schema())
        if operation.get("security") != [{}] and "security" in operation
    }

    assert set(refused.values()) == {401}, [each for each in refused.items() if each[1] != 401]
    assert len(refused) > 50


def test_a_key_without_scopes_for_it_is_refused_everywhere(user: User) -> None:
    owned = give_everything(user)

    for path, method, operation in walk(draw_schema()):
        needed = re.search(r"needs the scope `(\w+)`", operation["description"])
        if needed:
            others = sorted({"read", "execute", "write", "credits"} - {needed[1]})
            client = APIClient(headers={"X-API-Key": make_key(user=user, name="x", scopes=others).secret})
            answer = getattr(client, method)(fill(path, owned), {})
            assert (answer.status_code, answer.json()["required_scope"]) == (403, needed[1]), (method, path)


def test_asking_for_the_head_alone_needs_what_the_whole_needs(user: User) -> None:
    owned = give_everything(user)
    found = {}

    for path, method, operation in walk(draw_schema()):
        needed = re.search(r"needs the scope `(\w+)`", operation["description"])
        if needed and method == "get":
            others = sorted({"read", "execute", "write", "credits"} - {needed[1]})
            client = APIClient(headers={"X-API-Key": make_key(user=user, name="x", scopes=others).secret})
            found[path] = client.head(fill(path, owned)).status_code

    assert set(found.values()) == {403}, found
    assert "/v1/credits/manage" in found
