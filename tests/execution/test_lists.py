"""Lists of runs and node executions, narrowed."""

from datetime import timedelta, timezone
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from execution.models import Execution
from execution.services import start_execution, stop_execution
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import ASK, OUTPUT, STEP, draw, node_id

pytestmark = pytest.mark.django_db(transaction=True)

ASKING = draw({"ask": (ASK, {"name": "Letter", "data": "Dear Ada"})})
STEPPING = draw({"step": (STEP, {"items": [1, 2]}), "out": (OUTPUT, {"name": "Items"})}, ["step.item -> out.value"])


@pytest.fixture
def runs(user: User, drain: Drain) -> dict[str, Execution]:
    """One run in each status, by its status."""

    def start(document: Any) -> Execution:
        version: GraphVersion = import_graph(owner=user, document=document).version
        return start_execution(user=user, version=version, input_data={})

    made = {"COMPLETED": start(STEPPING), "REVIEW": start(ASKING)}
    drain.run()
    made["TERMINATED"] = start(STEPPING)
    stop_execution(execution_id=made["TERMINATED"].pk)
    made["RUNNING"] = start(STEPPING)
    drain.waiting = drain.waiting[-1:]
    drain.run_one(drain.waiting.pop())
    made["QUEUED"] = start(STEPPING)
    return made


@pytest.mark.parametrize("status", ["COMPLETED", "REVIEW", "TERMINATED", "RUNNING", "QUEUED"])
def test_runs_are_found_by_the_status_that_is_shown(client: APIClient, runs: dict[str, Execution], status: str) -> None:
    found = client.get("/v1/executions", {"status": status}).json()["results"]

    assert [(run["id"], run["status"]) for run in found] == [(str(runs[status].pk), status)]


def test_several_statuses_and_other_filters_go_together(client: APIClient, runs: dict[str, Execution]) -> None:
    both = client.get("/v1/executions?status=COMPLETED&status=REVIEW").json()["results"]
    graph = str(runs["REVIEW"].graph_version.graph_id)
    of_graph = client.get("/v1/executions", {"graph_id": graph}).json()["results"]
    neither = client.get("/v1/executions", {"graph_id": graph, "status": "COMPLETED"}).json()["results"]

    assert {run["status"] for run in both} == {"COMPLETED", "REVIEW"}
    assert [run["id"] for run in of_graph] == [str(runs["REVIEW"].pk)]
    assert neither == []


def test_runs_are_found_by_when_they_were_made(client: APIClient, runs: dict[str, Execution]) -> None:
    moment = Execution.objects.get(pk=runs["TERMINATED"].pk).created_at

    later = client.get("/v1/executions", {"created_time_gte": moment.isoformat()}).json()["results"]
    before = client.get("/v1/executions", {"created_time_lte": (moment - timedelta(microseconds=1)).isoformat()}).json()

    assert {run["status"] for run in later} == {"TERMINATED", "RUNNING", "QUEUED"}
    assert len(before["results"]) == 2


def test_a_label_is_given_at_the_start_or_later_and_found_again(client: APIClient, user: User, drain: Drain) -> None:
    graph = import_graph(owner=user, document=STEPPING).version.graph_id
    started = client.post(f"/v1/graphs/{graph}/execute", {"label": "nightly"}).json()
    client.post(f"/v1/graphs/{graph}/execute", {})

    found = client.get("/v1/executions", {"label": "nightly"}).json()["results"]
    assert [(run["id"], run["label"]) for run in found] == [(started["id"], "nightly")]

    address = f"/v1/graphs/{graph}/executions/{started['id']}"
    assert client.patch(address, {"label": "weekly"}).json()["label"] == "weekly"
    assert client.get(f"/v1/graphs/{graph}/executions", {"label": "nightly"}).json()["results"] == []


@pytest.mark.parametrize(
    "query",
    [
        *("status=DONE", "created_time_gte=now", "graph_id=7", "label=%00", f"label={'x' * 101}", "status=%00"),
        "created_time_lte=0001-01-01T00:00:00%2B15:00",
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(client: APIClient, query: str) -> None:
    answer = client.get(f"/v1/executions?{query}")

    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


def test_node_executions_are_found_by_node_and_status(client: APIClient, runs: dict[str, Execution]) -> None:
    run = runs["RUNNING"]
    address = f"/v1/graphs/{run.graph_version.graph_id}/executions/{run.pk}/node_executions"

    def find(**query: str) -> list[tuple[str, str]]:
        return [(each["node_name"], each["status"]) for each in client.get(address, query).json()["results"]]

    assert find() == [("step", "COMPLETED"), ("out", "QUEUED"), ("out", "QUEUED")]
    assert find(status="QUEUED") == [("out", "QUEUED")] * 2
    assert find(status="RUNNING") == []
    (step,) = {each["node_id"] for each in client.get(address).json()["results"] if each["node_name"] == "step"}
    assert find(node_id=step) == [("step", "COMPLETED")]
    assert find(node_id=node_id("nothing")) == []


def test_a_run_is_read_with_or_without_its_node_executions(client: APIClient, runs: dict[str, Execution]) -> None:
    run = runs["COMPLETED"]
    address = f"/v1/graphs/{run.graph_version.graph_id}/executions/{run.pk}"

    without = client.get(f"{address}?include_node_executions=false").json()

    assert without["outputs"] == {"Items": [1, 2]}
    assert without["node_executions"] == []
    followed = client.get(without["node_executions_next"]).json()["results"]
    assert followed == client.get(address).json()["node_executions"] != []


def test_a_time_may_have_any_offset(client: APIClient, runs: dict[str, Execution]) -> None:
    offset = timezone(timedelta(hours=19, minutes=15))
    made = {name: run.created_at.astimezone(offset).isoformat() for name, run in runs.items()}

    found = client.get("/v1/executions", {"created_time_gte": made["COMPLETED"], "created_time_lte": made["COMPLETED"]})

    assert [each["id"] for each in found.json()["results"]] == [str(runs["COMPLETED"].pk)]


def test_pages_may_be_asked_for_by_number(client: APIClient, runs: dict[str, Execution]) -> None:
    first = client.get("/v1/executions?page=1&page_size=2").json()
    second = client.get(first["next"]).json()
    third = client.get(second["next"]).json()
    beyond = client.get("/v1/executions?page=4&page_size=2").json()

    numbers = {"total_items": 5, "total_pages": 3, "current_page": 2, "page_size": 2}
    assert (second["pagination"], second["executions"]) == (numbers, second["results"])
    assert second["previous"].endswith("page=1&page_size=2")
    assert (first["previous"], third["next"], beyond["executions"], beyond["next"]) == (None, None, [], None)
    by_cursor = client.get("/v1/executions").json()
    numbered = [run["id"] for page in (first, second, third) for run in page["results"]]
    assert [run["id"] for run in by_cursor["results"]] == numbered
    assert "pagination" not in by_cursor
    graph = runs["REVIEW"].graph_version.graph_id
    of_graph = client.get(f"/v1/graphs/{graph}/executions?page=1").json()
    assert (of_graph["pagination"]["total_items"], len(of_graph["executions"])) == (1, 1)


@pytest.mark.parametrize("page", ["0", "-1", "x", "201", "9" * 30, ""])
def test_a_number_that_leads_nowhere_is_refused(client: APIClient, page: str) -> None:
    answer = client.get("/v1/executions", {"page": page})

    assert (answer.status_code, list(answer.json()["field_errors"])) == (400, ["page"])
