"""Copying and deleting graphs over the API."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from execution.deletion import delete_execution
from execution.models import Execution, Preset
from execution.services import start_execution
from graphs.lifecycle import remove_hidden_graphs
from graphs.models import Graph, GraphVersion
from graphs.services import import_graph, replace_graph
from graphs.signals import graph_deleted
from tests.graphs.building import calculator_json, graph_json, node_json

AGENT = "e189baac-8c20-45a1-94a7-55177ea42565"

pytestmark = pytest.mark.django_db


@pytest.fixture
def version(user: User) -> GraphVersion:
    return import_graph(owner=user, document=calculator_json()).version


def test_a_fork_is_a_graph_of_its_own_that_knows_where_it_comes_from(client: APIClient, version: GraphVersion) -> None:
    replace_graph(graph=version.graph, document=calculator_json() | {"name": "Second"})

    made = client.post(f"/v1/graphs/{version.graph_id}/fork?version=1")

    assert made.status_code == 201
    fork = made.json()
    assert (fork["name"], fork["version"], fork["is_active"]) == ("A graph", 1, True)
    assert (fork["forked_from_id"], fork["forked_from_version"]) == (str(version.graph_id), 1)
    assert fork["id"] != str(version.graph_id)
    original = client.get(f"/v1/graphs/{version.graph_id}?version=1").json()
    assert (fork["nodes"], fork["links"]) == (original["nodes"], original["links"])
    listed = client.get("/v1/graphs").json()["results"]
    assert [graph["forked_from_id"] for graph in listed] == [str(version.graph_id), None]


def test_for_export_answers_what_can_be_imported(client: APIClient, version: GraphVersion) -> None:
    for address in (f"/v1/graphs/{version.graph_id}?for_export=true", f"/v1/graphs/{version.graph_id}/export"):
        exported = client.get(address).json()

        assert "input_default" in exported["nodes"][0] and "input_schema" in exported
        assert client.post("/v1/graphs", exported).status_code == 201
    assert client.get(f"/v1/graphs/{version.graph_id}?for_export=perhaps").status_code == 400


def test_a_version_has_an_address(client: APIClient, version: GraphVersion) -> None:
    replace_graph(graph=version.graph, document=calculator_json() | {"name": "Second"})

    names = [client.get(f"/v1/graphs/{version.graph_id}/versions/{number}").json()["name"] for number in (1, 2)]

    assert names == ["A graph", "Second"]
    assert client.get(f"/v1/graphs/{version.graph_id}/versions/3").status_code == 404


@pytest.mark.parametrize("name", ["active_graph_version", "version"])
def test_the_active_version_goes_by_autogpts_name_as_well(client: APIClient, version: GraphVersion, name: str) -> None:
    replace_graph(graph=version.graph, document=calculator_json())

    answer = client.put(f"/v1/graphs/{version.graph_id}/versions/active", {name: 1})

    assert (answer.status_code, answer.json()["version"], answer.json()["is_active"]) == (200, 1, True)


@pytest.mark.parametrize("body", [{}, {"version": 0}, {"version": 2**31}, {"version": 1, "active_graph_version": 2}])
def test_which_version_is_meant_must_be_clear(client: APIClient, version: GraphVersion, body: Any) -> None:
    assert client.put(f"/v1/graphs/{version.graph_id}/versions/active", body).status_code == 400


def test_a_graph_that_never_ran_is_deleted_with_all_that_is_in_it(client: APIClient, version: GraphVersion) -> None:
    replace_graph(graph=version.graph, document=calculator_json())

    answer = client.delete(f"/v1/graphs/{version.graph_id}")

    assert (answer.status_code, answer.json()) == (200, {"version_counts": 2})
    assert not Graph.objects.exists()
    assert client.delete(f"/v1/graphs/{version.graph_id}").status_code == 404


def test_a_graph_that_ran_is_found_no_more_but_its_runs_are(
    client: APIClient, user: User, version: GraphVersion
) -> None:
    run = start_execution(user=user, version=version, input_data={"Input": 1})
    Preset.objects.create(user=user, graph=version.graph, name="x")
    graph = f"/v1/graphs/{version.graph_id}"

    assert client.delete(graph).status_code == 200

    for address in (graph, f"{graph}/versions", f"{graph}/export", f"{graph}/executions"):
        assert client.get(address).status_code == 404, address
    for address in (f"{graph}/execute", f"{graph}/fork"):
        assert client.post(address, {}).status_code == 404
    assert client.get("/v1/graphs").json()["results"] == client.get("/v1/presets").json()["results"] == []
    shown = client.get(f"{graph}/executions/{run.pk}").json()
    assert (shown["status"], client.get("/v1/executions").json()["results"][0]["id"]) == ("TERMINATED", str(run.pk))
    assert Execution.objects.count() == 1


def test_what_runs_a_deleted_graph_is_refused(client: APIClient, user: User, version: GraphVersion) -> None:
    start_execution(user=user, version=version, input_data={"Input": 1})
    agent = {"graph_id": str(version.graph_id), "graph_version": 1, "inputs": {}, "input_schema": {}}
    above = import_graph(owner=user, document=graph_json(node_json("a", AGENT, **agent))).version

    client.delete(f"/v1/graphs/{version.graph_id}")

    answer = client.post(f"/v1/graphs/{above.graph_id}/execute", {})
    assert (answer.status_code, len(answer.json()["node_errors"])) == (400, 1)


def test_a_block_has_an_address(client: APIClient) -> None:
    listed = client.get("/v1/blocks").json()

    assert client.get(f"/v1/blocks/{listed[0]['id']}").json() == listed[0]
    assert client.get("/v1/blocks/0190f3f4-0000-7000-8000-000000000000").status_code == 404


def test_a_deleted_graph_goes_with_the_last_run_that_tells_of_it(client: APIClient, user: User) -> None:
    kept, left = (import_graph(owner=user, document=calculator_json()).version for _ in range(2))
    runs = [start_execution(user=user, version=version, input_data={}) for version in (kept, left)]
    for version in (kept, left):
        assert client.delete(f"/v1/graphs/{version.graph_id}").status_code == 200
    assert remove_hidden_graphs() == 0

    delete_execution(run=runs[1])

    assert (remove_hidden_graphs(), remove_hidden_graphs()) == (1, 0)
    assert list(Graph.objects.values_list("pk", flat=True)) == [kept.graph_id]
    assert list(Execution.objects.values_list("pk", flat=True)) == [runs[0].pk]


def test_a_hidden_graph_is_not_deleted_a_second_time(client: APIClient, user: User, version: GraphVersion) -> None:
    start_execution(user=user, version=version, input_data={})
    client.delete(f"/v1/graphs/{version.graph_id}")
    heard = []

    def hear(**about: Any) -> None:
        heard.append(about)

    graph_deleted.connect(hear)
    try:
        assert remove_hidden_graphs() == 0
    finally:
        graph_deleted.disconnect(hear)

    assert heard == []
