"""What is sent again under the same key is done once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from rest_framework.test import APIClient

from config.accounts.keys import make_key
from config.idempotency import MEMORY
from config.models import IdempotencyRecord
from config.tasks import forget_answers
from execution import services
from execution.models import Execution
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import INPUT, OUTPUT, draw

pytestmark = pytest.mark.django_db(transaction=True)

ECHO = draw({"in": (INPUT, {"name": "Text"}), "out": (OUTPUT, {"name": "Same"})}, ["in.result -> out.value"])


@pytest.fixture
def version(user: User, drain: Drain) -> GraphVersion:
    return import_graph(owner=user, document=ECHO).version


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def execute(user: User, version: GraphVersion, text: Any, *, key: str = "k1") -> Any:
    address = f"/v1/graphs/{version.graph_id}/execute/1"
    return client_of(user).post(address, {"inputs": {"Text": text}}, headers={"Idempotency-Key": key})


def test_the_same_request_is_answered_the_same_and_done_once(user: User, version: GraphVersion, drain: Drain) -> None:
    first = execute(user, version, "a")
    again = execute(user, version, "a")

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert ("Idempotency-Replayed" in first, again["Idempotency-Replayed"]) == (False, "true")
    assert (Execution.objects.count(), len(drain.waiting)) == (1, 1)


def test_another_request_under_the_same_key_is_refused(user: User, version: GraphVersion) -> None:
    execute(user, version, "a")

    answer = execute(user, version, "b")

    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
    assert Execution.objects.count() == 1


def test_keys_are_each_users_own(user: User, version: GraphVersion) -> None:
    other = User.objects.create_user("grace")
    execute(user, version, "a")

    answer = execute(other, import_graph(owner=other, document=ECHO).version, "a")

    assert answer.status_code == 202
    assert Execution.objects.count() == 2


def test_what_was_refused_may_be_tried_again(user: User, version: GraphVersion) -> None:
    address = f"/v1/graphs/{version.graph_id}/execute/1"
    headers = {"Idempotency-Key": "k1"}

    refused = client_of(user).post(address, {"inputs": {"Nobody": 1}}, headers=headers)
    mended = client_of(user).post(address, {"inputs": {"Text": 1}}, headers=headers)

    assert (refused.status_code, mended.status_code) == (400, 202)


def test_what_goes_wrong_leaves_neither_a_run_nor_an_answer(
    user: User, version: GraphVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_and_fail(**options: Any) -> None:
        services.accept_execution(**options)
        raise ZeroDivisionError

    monkeypatch.setattr("execution.views.accept_execution", start_and_fail)
    with pytest.raises(ZeroDivisionError):
        execute(user, version, "a")
    assert (Execution.objects.count(), IdempotencyRecord.objects.count()) == (0, 0)

    monkeypatch.undo()
    assert execute(user, version, "a").status_code == 202


def test_a_key_without_the_scope_gets_no_answer_of_another(user: User, version: GraphVersion) -> None:
    execute(user, version, "a")
    reader = make_key(user=user, name="x", scopes=["read"]).secret
    client = APIClient(headers={"Authorization": f"Bearer {reader}", "Idempotency-Key": "k1"})

    assert client.post(f"/v1/graphs/{version.graph_id}/execute/1", {"inputs": {"Text": "a"}}).status_code == 403


@pytest.mark.parametrize("key", ["", "x" * 256, "ä", "a b", "\t"])
def test_what_is_no_key_is_refused(user: User, version: GraphVersion, key: str) -> None:
    assert execute(user, version, "a", key=key).status_code == 400
    assert Execution.objects.count() == 0


def test_an_answer_is_forgotten_after_a_day(user: User, version: GraphVersion) -> None:
    execute(user, version, "a")
    IdempotencyRecord.objects.update(created_at=timezone.now() - MEMORY)

    assert execute(user, version, "b").status_code == 202
    assert IdempotencyRecord.objects.count() == 1


def test_sent_at_the_same_time_it_is_done_once_and_both_are_told(user: User, version: GraphVersion) -> None:
    gate = threading.Barrier(4)

    def send(_number: int) -> Any:
        try:
            gate.wait(timeout=10)
            return execute(user, version, "a").json()["id"]
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=4) as threads:
        ids = set(threads.map(send, range(4)))

    assert len(ids) == 1
    assert Execution.objects.count() == 1


def test_stopping_and_deciding_take_a_key_too(user: User, version: GraphVersion) -> None:
    run = execute(user, version, "a").json()["id"]
    address = f"/v1/graphs/{version.graph_id}/executions/{run}/stop"

    first, again = (client_of(user).post(address, headers={"Idempotency-Key": "k2"}) for _ in range(2))

    assert first.json() == again.json()
    assert first.json()["had_ended"] is False


@pytest.mark.parametrize("place", ["/v1/graphs", "/v1/presets", "/v1/credits/refund-requests", "{graph}/schedules"])
def test_asking_for_the_methods_claims_no_key(user: User, version: GraphVersion, place: str) -> None:
    address = place.format(graph=f"/v1/graphs/{version.graph_id}")

    answer = client_of(user).options(address, headers={"Idempotency-Key": "k1"})

    assert (answer.status_code, IdempotencyRecord.objects.count()) == (200, 0)


def test_a_key_forgets_no_old_answers_but_its_own(user: User, version: GraphVersion) -> None:
    for key in ("k1", "k2"):
        IdempotencyRecord.objects.create(user=user, key=key, request_digest="", status=200)
    IdempotencyRecord.objects.update(created_at=timezone.now() - MEMORY)

    assert execute(user, version, "a").status_code == 202

    assert set(IdempotencyRecord.objects.values_list("key", "status")) == {("k1", 202), ("k2", 200)}


@pytest.mark.parametrize("of_one", [{"user_id": 1, "key": "k1"}, {}])
def test_old_answers_are_found_by_an_index(db: None, of_one: dict[str, Any]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = IdempotencyRecord.objects.filter(**of_one, created_at__lt=Now() - MEMORY).explain()

    assert "Seq Scan" not in plan


def test_old_answers_of_those_who_never_come_again_are_deleted(user: User) -> None:
    for key in ("old", "new"):
        IdempotencyRecord.objects.create(user=user, key=key, request_digest="", status=200)
    IdempotencyRecord.objects.filter(key="old").update(created_at=timezone.now() - MEMORY)

    forget_answers()

    assert [record.key for record in IdempotencyRecord.objects.all()] == ["new"]
