"""Deleting runs, and showing them to others."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models.deletion import Collector
from django.utils import timezone
from rest_framework.test import APIClient

from execution.context import RunFiles
from execution.deletion import delete_execution
from execution.models import DeletedRun, Execution, NodeExecution, ShareLink
from execution.retention import clean_up_files
from execution.run_files import FilesOfRun
from execution.services import start_execution
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import OUTPUT, STEP, draw

AGENT = "e189baac-8c20-45a1-94a7-55177ea42565"
STEPPING = draw({"step": (STEP, {"items": [1, 2]}), "out": (OUTPUT, {"name": "Items"})}, ["step.item -> out.value"])

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(user: User, drain: Drain) -> Execution:
    """A run that has ended, with a sub-run."""
    below = import_graph(owner=user, document=STEPPING).version
    agent: dict[str, Any] = {"graph_id": str(below.graph_id), "graph_version": 1, "inputs": {}}
    agent |= {"input_schema": {}, "output_schema": {"type": "object", "properties": {"Items": {}}}}
    above = draw({"agent": (AGENT, agent), "out": (OUTPUT, {"name": "Items"})}, ["agent.Items -> out.value"])
    started = start_execution(user=user, version=import_graph(owner=user, document=above).version, input_data={})
    drain.run()
    return started


def address_of(run: Execution) -> str:
    return f"/v1/graphs/{run.graph_version.graph_id}/executions/{run.pk}"


@pytest.mark.parametrize("form", ["below its graph", "by its id"])
def test_a_run_goes_with_its_sub_runs_and_files(client: APIClient, user: User, run: Execution, form: str) -> None:
    file = RunFiles(user.pk, run.pk).save(b"x", name="a.txt", media_type="text/plain").removeprefix("file:")
    client.post(f"{address_of(run)}/share", {})

    answer = client.delete(address_of(run) if form == "below its graph" else f"/v1/executions/{run.pk}")

    assert answer.status_code == 204
    assert not (Execution.objects.exists() or NodeExecution.objects.exists() or ShareLink.objects.exists())
    assert not default_storage.exists(file)
    assert client.delete(address_of(run)).status_code == 404


def test_a_run_that_stays_after_all_keeps_its_files(run: Execution) -> None:
    file = RunFiles(run.user_id, run.pk).save(b"x", name="a.txt", media_type="text/plain").removeprefix("file:")

    with transaction.atomic():
        delete_execution(run=run)
        transaction.set_rollback(True)

    assert Execution.objects.filter(pk=run.pk).exists()
    assert default_storage.exists(file)


def test_what_goes_on_or_belongs_to_another_run_stays(client: APIClient, run: Execution, drain: Drain) -> None:
    child = Execution.objects.get(root=run)
    going_on = start_execution(user=run.user, version=run.graph_version, input_data={})

    answers = [client.delete(address_of(each)) for each in (child, going_on)]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert "sub-run" in answers[0].json()["detail"] and "Stop it" in answers[1].json()["detail"]
    assert Execution.objects.count() == 3


def test_a_user_goes_with_what_runs_and_what_came_of_it_at_the_last_moment(user: User, drain: Drain) -> None:
    run = start_execution(user=user, version=import_graph(owner=user, document=STEPPING).version, input_data={})
    RunFiles(user.pk, run.pk).save(b"x", name="a.txt", media_type="text/plain")
    # As `user.delete()` does, which knows by then what will go.
    collector = Collector(using=DEFAULT_DB_ALIAS, origin=user)
    collector.collect([user])
    drain.run_one(drain.waiting.pop())
    assert NodeExecution.objects.count() == 3

    collector.delete()
    assert not Execution.objects.exists()
    clean_up_files()

    assert not (NodeExecution.objects.exists() or DeletedRun.objects.exists())
    assert not FilesOfRun(user_id=str(run.user_id), execution_id=run.pk).exist()


def test_whoever_has_the_link_sees_the_outputs_and_nothing_else(client: APIClient, run: Execution) -> None:
    made = client.post(f"{address_of(run)}/share", {})

    shared = APIClient().get(made.json()["share_url"])

    assert (made.status_code, shared.status_code) == (201, 200)
    assert made.json()["share_url"].endswith(f"/v1/public/shared/{made.json()['share_token']}")
    shown = shared.json()
    assert (shown["graph_name"], shown["status"], shown["outputs"]) == ("small", "COMPLETED", {"Items": [1, 2]})
    assert not {"user_id", "graph_id", "inputs", "node_executions", "error"} & set(shown)
    assert made.json()["share_token"] not in str(list(ShareLink.objects.values()))


def test_a_link_ends_when_it_is_taken_back_or_made_anew(client: APIClient, run: Execution) -> None:
    first = client.post(f"{address_of(run)}/share", {}).json()["share_url"]
    second = client.post(f"{address_of(run)}/share", {}).json()["share_url"]

    assert [APIClient().get(url).status_code for url in (first, second)] == [404, 200]
    assert client.get(f"{address_of(run)}/share").status_code == 200
    assert client.delete(f"{address_of(run)}/share").status_code == 204
    assert APIClient().get(second).status_code == 404
    assert client.get(f"{address_of(run)}/share").status_code == 404


def test_a_link_that_has_expired_shows_nothing(client: APIClient, run: Execution) -> None:
    soon = (timezone.now() + timedelta(hours=1)).isoformat()
    url = client.post(f"{address_of(run)}/share", {"expires_at": soon}).json()["share_url"]
    assert APIClient().get(url).status_code == 200

    ShareLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert APIClient().get(url).status_code == 404


@pytest.mark.parametrize("token", ["x", "x" * 5_000, "%00", "%F0%9F", "..%2F"])
def test_a_made_up_link_shows_nothing(client: APIClient, run: Execution, token: str) -> None:
    client.post(f"{address_of(run)}/share", {})

    assert APIClient().get(f"/v1/public/shared/{token}").status_code == 404
