"""What people are asked about may be large: its row stays small, and whoever needs it has it whole."""

from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from execution.models import Execution, Review
from execution.reporting import find_outputs
from tests.execution.asking import log_in, save, start
from tests.execution.drain import Drain
from tests.execution.small_graphs import ASK, INPUT, OUTPUT, draw

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = "ä" * 30_000
OTHER = "ö" * 30_000
REFERENCE = {"$stored": {"path": "runs/2/another's", "bytes": 1}}
MIGRATION = import_module("execution.migrations.0025_wrap_reviews")


@pytest.fixture(autouse=True)
def own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}},
    }


@pytest.fixture
def client(user: User) -> APIClient:
    return log_in(user)


def ask(user: User, drain: Drain, data: Any, *, editable: bool = True) -> Execution:
    """Start a run that asks a person about `data`, and emits what the person makes of it."""
    document = draw(
        {
            "in": (INPUT, {"name": "in", "value": data}),
            "ask": (ASK, {"name": "Yes?", "editable": editable}),
            "out": (OUTPUT, {"name": "out"}),
        },
        ["in.result -> ask.data", "ask.approved_data -> out.value"],
    )
    run = start(user, save(user, document))
    drain.run()
    return run


def decide(client: APIClient, **decision: Any) -> Any:
    address = f"/v1/reviews/{Review.objects.get().pk}/decide"
    return client.post(address, {"approved": True, **decision}, format="json")


def row_bytes() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT octet_length(r::text) FROM execution_review r")
        return int(cursor.fetchone()[0])


def test_the_row_stays_small_and_whoever_is_asked_sees_it_whole(client: APIClient, user: User, drain: Drain) -> None:
    run = ask(user, drain, LARGE)
    assert row_bytes() < 1_000
    assert [each["data"] for each in client.get("/v1/reviews").json()["results"]] == [LARGE]

    answer = decide(client, data=OTHER)
    drain.run()

    assert (answer.json()["data"], answer.json()["decided_data"]) == (LARGE, OTHER)
    assert row_bytes() < 1_000
    assert find_outputs(run) == {"out": [OTHER]}


@pytest.mark.parametrize(("editable", "decision"), [(True, {}), (False, {"data": OTHER})])
def test_what_is_left_as_it_was_is_not_written_again(
    client: APIClient, user: User, drain: Drain, editable: bool, decision: dict[str, Any]
) -> None:
    run = ask(user, drain, LARGE, editable=editable)

    with patch.object(default_storage, "save", side_effect=AssertionError("nothing is written")):
        answer = decide(client, **decision)
    drain.run()

    assert answer.json()["decided_data"] == LARGE
    assert Review.objects.get().decided_data == Review.objects.get().data
    assert find_outputs(run) == {"out": [LARGE]}


@pytest.mark.parametrize("value", [REFERENCE, {"$plain": 1}])
def test_what_looks_like_a_reference_is_a_value_like_any_other(
    client: APIClient, user: User, drain: Drain, value: dict[str, Any]
) -> None:
    run = ask(user, drain, value)
    (asked,) = client.get("/v1/reviews").json()["results"]

    answer = decide(client, data=value)
    drain.run()

    assert (asked["data"], answer.json()["decided_data"]) == (value, value)
    assert find_outputs(run) == {"out": [value]}


def test_nothing_is_written_while_anything_is_locked(client: APIClient, user: User, drain: Drain) -> None:
    written_while_locked: list[bool] = []

    def note(name: str, **_options: Any) -> str:
        written_while_locked.append(connection.in_atomic_block)
        return name

    # The storage asks it for each file that is saved.
    with patch.object(default_storage, "get_available_name", note):
        ask(user, drain, LARGE)
        decide(client, data=OTHER)

    assert written_while_locked
    assert not any(written_while_locked)


def test_what_was_decided_before_writes_nothing(client: APIClient, user: User, drain: Drain) -> None:
    ask(user, drain, 1)
    decide(client)

    with patch.object(default_storage, "save", side_effect=AssertionError("nothing is written")):
        assert decide(client, data=OTHER).status_code == 409


def test_the_admin_shows_how_large_it_is_and_approves_it(user: User, drain: Drain, admin_client: Client) -> None:
    run = ask(user, drain, LARGE)
    reviews, key = "/admin/execution/review/", str(Review.objects.get().pk)

    pages = [admin_client.get(address).content.decode() for address in (reviews, f"{reviews}{key}/change/")]
    admin_client.post(reviews, {"action": "approve", "_selected_action": [key]})
    drain.run()

    assert all("(180,002 bytes)" in page for page in pages)
    assert find_outputs(run) == {"out": [LARGE]}


def test_what_rows_had_before_is_read_as_it_was(client: APIClient, user: User, drain: Drain) -> None:
    ask(user, drain, 1)
    Review.objects.update(data=REFERENCE, decided_data={"a": REFERENCE})

    with connection.schema_editor() as editor:
        MIGRATION.forwards(apps, editor)

    (shown,) = client.get("/v1/reviews").json()["results"]
    assert (shown["data"], shown["decided_data"]) == (REFERENCE, {"a": REFERENCE})


def test_the_rows_of_before_have_large_values_whole(user: User, drain: Drain) -> None:
    ask(user, drain, LARGE)

    with connection.schema_editor() as editor:
        MIGRATION.backwards(apps, editor)

    assert Review.objects.get().data == LARGE
