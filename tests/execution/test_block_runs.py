"""Running one block over the API."""

import pytest
from rest_framework.test import APIClient

from execution.models import Execution
from execution.workers import WorkerProcesses
from graphs.lifecycle import remove_hidden_graphs
from graphs.models import Graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import CALCULATOR, INPUT, TIMER

AGENT = "e189baac-8c20-45a1-94a7-55177ea42565"
GMAIL_SEND = "6c27abc2-e51d-499e-a85f-5a0041ba94f0"

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_block_runs_on_a_worker_and_its_outputs_are_the_answer(client: APIClient, workers: WorkerProcesses) -> None:
    address, inputs = f"/v1/blocks/{CALCULATOR}/execute", {"operation": "Add", "a": 8, "b": 34}

    first = client.post(address, inputs, headers={"Idempotency-Key": "k"})
    again = client.post(address, inputs, headers={"Idempotency-Key": "k"})

    assert (first.status_code, first.json()) == (200, {"result": [42.0]})
    assert (again.json(), again["Execution-Id"]) == (first.json(), first["Execution-Id"])
    assert ("Idempotency-Replayed" in first, again["Idempotency-Replayed"]) == (False, "true")
    run = Execution.objects.get()
    shown = client.get(f"/v1/graphs/{run.graph_version.graph_id}/executions/{run.pk}").json()
    assert (shown["id"], shown["status"]) == (first["Execution-Id"], "COMPLETED")


def test_what_takes_longer_is_a_run_to_look_at_later(client: APIClient, drain: Drain) -> None:
    answer = client.post(f"/v1/blocks/{TIMER}/execute?wait=0", {"seconds": 600})

    assert (answer.status_code, answer.json()["status"]) == (202, "QUEUED")
    assert [each["id"] for each in client.get("/v1/executions").json()["results"]] == [answer.json()["id"]]


def test_the_graph_of_a_block_is_made_once_and_in_no_list(client: APIClient, drain: Drain) -> None:
    for _ in range(2):
        client.post(f"/v1/blocks/{TIMER}/execute?wait=0", {"seconds": 1})

    assert (Graph.objects.count(), Execution.objects.count()) == (1, 2)
    assert client.get("/v1/graphs").json()["results"] == []


def test_a_block_whose_graph_was_deleted_runs_again(client: APIClient, drain: Drain) -> None:
    address = f"/v1/blocks/{TIMER}/execute?wait=0"
    client.post(address, {"seconds": 600})
    graph = f"/v1/graphs/{Graph.objects.get().pk}"
    assert client.delete(graph).status_code == 200

    run = client.post(address, {"seconds": 600}).json()["id"]
    remove_hidden_graphs()

    assert client.get(f"{graph}/executions/{run}").json()["status"] == "QUEUED"
    assert Graph.objects.get().deleted_at is None


@pytest.mark.parametrize(
    ("block", "body", "status"),
    [
        (CALCULATOR, {"operation": "Add"}, 400),
        (CALCULATOR, [], 400),
        (INPUT, {"name": "x"}, 400),
        (AGENT, {}, 400),
        (GMAIL_SEND, {}, 400),
        ("0190f3f4-0000-7000-8000-000000000000", {}, 404),
    ],
)
def test_what_can_not_run_by_itself_is_refused(
    client: APIClient, drain: Drain, block: str, body: object, status: int
) -> None:
    answer = client.post(f"/v1/blocks/{block}/execute", body)

    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert not Execution.objects.exists()


@pytest.mark.parametrize("wait", ["-1", "61", "soon", "nan", "inf"])
def test_a_wait_that_makes_no_sense_is_refused(client: APIClient, drain: Drain, wait: str) -> None:
    assert client.post(f"/v1/blocks/{TIMER}/execute?wait={wait}", {"seconds": 1}).status_code == 400
    assert not Execution.objects.exists()
