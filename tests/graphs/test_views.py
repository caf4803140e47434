"""The API of graphs and blocks."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from graphs.document import GraphDocument
from graphs.models import Graph
from graphs.services import create_graph, create_version
from tests.graphs.building import CALCULATOR, GMAIL_SEND, calculator_json, graph_json, make_id, make_node, node_json

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> User:
    return User.objects.create_user("grace")


@pytest.fixture
def client(owner: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(owner)
    return client


@pytest.fixture
def stranger() -> APIClient:
    client = APIClient()
    client.force_authenticate(User.objects.create_user("mallory"))
    return client


def post(client: APIClient, document: Any) -> Any:
    return client.post("/v1/graphs", document, format="json")


@pytest.mark.parametrize("document", [calculator_json(), {"graph": calculator_json()}], ids=["bare", "wrapped"])
def test_a_posted_graph_is_imported(client: APIClient, document: Any) -> None:
    answer = post(client, document)

    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["version"], shown["is_active"], shown["name"]) == (1, True, "A graph")
    assert (len(shown["nodes"]), len(shown["links"])) == (3, 2)
    assert shown["input_schema"]["required"] == ["Input"]
    assert shown["sub_graphs"] == shown["warnings"] == []
    assert Graph.objects.get().pk.hex == shown["id"].replace("-", "")


def test_warnings_and_sub_graphs_are_told(client: APIClient) -> None:
    answer = post(client, graph_json(node_json("a", GMAIL_SEND), sub_graphs=[calculator_json() | {"name": "Below"}]))

    shown = answer.json()
    assert [graph["name"] for graph in shown["sub_graphs"]] == ["Below"]
    assert "GmailSendBlock" in shown["warnings"][0]


def test_other_settings_make_the_next_version(client: APIClient) -> None:
    made = post(client, calculator_json() | {"settings": {"on_error": "fail_run", "colour": "red"}}).json()
    address = f"/v1/graphs/{made['id']}/settings"

    changed = client.patch(address, {"max_duration": 60, "on_error": None})
    again = client.patch(address, {"max_duration": 60})
    refused = client.patch(address, {"max_duration": -1})
    senseless = client.patch(address, [1], format="json")

    assert (changed.json(), again.json()) == ({"colour": "red", "max_duration": 60},) * 2
    assert [refused.status_code, senseless.status_code] == [400, 400]
    shown = client.get(f"/v1/graphs/{made['id']}").json()
    assert (shown["version"], shown["settings"]) == (2, changed.json())
    assert (shown["nodes"], shown["links"]) == (made["nodes"], made["links"])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "$ is a list, not an object"),
        ('{"nodes": [{}]}', "$.nodes[0].block_id is missing"),
    ],
)
def test_what_is_not_a_graph_is_a_clear_error(client: APIClient, body: str, told: str) -> None:
    answer = client.generic("POST", "/v1/graphs", body, content_type="application/json")

    assert answer.status_code == 400
    assert told in answer.json()["detail"]


def test_a_body_that_is_too_large_is_refused(client: APIClient, settings: Settings) -> None:
    settings.GRAPH_MAX_BYTES = 1_000

    answer = client.generic("POST", "/v1/graphs", " " * 5_000, content_type="application/json")

    assert answer.status_code == 413
    assert "more than 1,000 bytes" in answer.json()["detail"]


def test_a_list_has_the_users_graphs_newest_first(client: APIClient, owner: User, stranger: APIClient) -> None:
    for name in ("One", "Two"):
        create_graph(owner=owner, document=GraphDocument(name=name))

    assert [graph["name"] for graph in client.get("/v1/graphs").json()["results"]] == ["Two", "One"]
    assert stranger.get("/v1/graphs").json()["results"] == []


def test_a_list_is_cut_into_pages_and_asks_as_often_however_long(
    client: APIClient, owner: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for index in range(5):
        create_graph(owner=owner, document=GraphDocument(name=str(index)))

    with django_assert_num_queries(1):
        first = client.get("/v1/graphs?page_size=3").json()
    second = client.get(first["next"]).json()

    assert [graph["name"] for graph in first["results"] + second["results"]] == ["4", "3", "2", "1", "0"]
    assert second["next"] is None


def test_one_graph_is_shown_with_what_is_in_it(
    client: APIClient, owner: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    nodes = tuple(make_node(f"n{index}", CALCULATOR, a=index) for index in range(50))
    first = create_graph(owner=owner, document=GraphDocument(name="One", nodes=nodes))
    create_version(graph=first.graph, document=GraphDocument(name="Two"))

    with django_assert_num_queries(4):
        shown = client.get(f"/v1/graphs/{first.graph_id}?version=1").json()

    assert (shown["name"], shown["version"], shown["is_active"]) == ("One", 1, False)
    assert shown["nodes"][7] == {
        "id": str(make_id("n7")),
        "block_id": CALCULATOR,
        "input_default": {"a": 7},
        "metadata": {},
    }
    assert client.get(f"/v1/graphs/{first.graph_id}").json()["name"] == "Two"


def test_the_versions_of_a_graph_are_listed(
    client: APIClient, owner: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    graph = create_graph(owner=owner, document=GraphDocument(name="One")).graph
    create_version(graph=graph, document=GraphDocument(name="Two"))

    with django_assert_num_queries(2):
        versions = client.get(f"/v1/graphs/{graph.pk}/versions").json()["results"]

    assert [(version["version"], version["is_active"]) for version in versions] == [(2, True), (1, False)]


def test_a_put_graph_is_the_next_version(client: APIClient) -> None:
    graph_id = post(client, calculator_json()).json()["id"]

    answer = client.put(f"/v1/graphs/{graph_id}", calculator_json() | {"name": "Renamed"}, format="json")

    assert answer.status_code == 200
    assert (answer.json()["id"], answer.json()["version"], answer.json()["name"]) == (graph_id, 2, "Renamed")


def test_another_version_can_be_made_the_active_one(client: APIClient, owner: User) -> None:
    graph = create_graph(owner=owner, document=GraphDocument(name="One")).graph
    create_version(graph=graph, document=GraphDocument(name="Two"))

    answer = client.put(f"/v1/graphs/{graph.pk}/versions/active", {"version": 1}, format="json")

    assert (answer.status_code, answer.json()["name"], answer.json()["is_active"]) == (200, "One", True)
    assert client.get(f"/v1/graphs/{graph.pk}").json()["name"] == "One"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"version": 1, "x": ' + "[" * 200 + "]" * 200 + "}", "nested too deeply"),
        ('{"version": 1, "version": 2}', "stands there twice"),
        ("{", "not JSON"),
    ],
)
def test_any_body_is_read_with_care(client: APIClient, owner: User, body: str, told: str) -> None:
    graph = create_graph(owner=owner, document=GraphDocument(name="One")).graph

    answer = client.put(f"/v1/graphs/{graph.pk}/versions/active", body, content_type="application/json")

    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert told in answer.json()["detail"]


def test_an_exported_graph_can_be_posted_again(client: APIClient) -> None:
    graph_id = post(client, calculator_json(sub_graphs=[])).json()["id"]

    exported = client.get(f"/v1/graphs/{graph_id}/export").json()

    assert exported["id"] == graph_id
    assert post(client, exported).status_code == 201


@pytest.mark.parametrize("address", ["", "?version=1", "/versions", "/export"])
def test_somebody_elses_graph_is_not_there(stranger: APIClient, owner: User, address: str) -> None:
    graph = create_graph(owner=owner, document=GraphDocument(name="Mine")).graph

    assert stranger.get(f"/v1/graphs/{graph.pk}{address}").status_code == 404
    assert stranger.get(f"/v1/graphs/{uuid4()}{address}").status_code == 404


def test_somebody_elses_graph_can_not_be_changed(stranger: APIClient, owner: User) -> None:
    graph = create_graph(owner=owner, document=GraphDocument(name="Mine")).graph

    assert stranger.put(f"/v1/graphs/{graph.pk}", calculator_json(), format="json").status_code == 404
    assert stranger.put(f"/v1/graphs/{graph.pk}/versions/active", {"version": 1}, format="json").status_code == 404


@pytest.mark.parametrize(("version", "status"), [("2", 404), ("x", 400), ("0", 400), ("-1", 400), ("9" * 30, 400)])
def test_a_version_that_is_not_there_is_told_from_one_that_is_none(
    client: APIClient, owner: User, version: str, status: int
) -> None:
    graph = create_graph(owner=owner, document=GraphDocument(name="Mine")).graph

    assert client.get(f"/v1/graphs/{graph.pk}?version={version}").status_code == status


def test_nobody_gets_in_without_a_name() -> None:
    for address in ("/v1/graphs", f"/v1/graphs/{uuid4()}", "/v1/blocks"):
        assert APIClient().get(address).status_code == 401


def test_blocks_are_shown_with_their_pins(
    client: APIClient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    # Prices that are not known yet.
    with django_assert_max_num_queries(1):
        blocks = {block["id"]: block for block in client.get("/v1/blocks").json()}

    calculator = blocks[CALCULATOR]
    assert calculator["name"] == "CalculatorBlock"
    assert calculator["kind"] == "STANDARD"
    assert calculator["available"] is True
    assert calculator["staticOutput"] is False
    assert set(calculator["inputSchema"]["required"]) == {"operation", "a", "b"}
    assert {"result", "error"} <= set(calculator["outputSchema"]["properties"])
    assert calculator["costs"] == []
    assert blocks[GMAIL_SEND]["available"] is False
    assert blocks[GMAIL_SEND]["inputSchema"]["properties"]["credentials"]["secret"] is True


def test_the_schema_describes_every_address(client: APIClient) -> None:
    paths = client.get("/v1/schema/", headers={"accept": "application/vnd.oai.openapi+json"}).json()["paths"]

    for address in ("graphs", "graphs/{graph_id}", "graphs/{graph_id}/versions", "graphs/{graph_id}/export", "blocks"):
        assert f"/v1/{address}" in paths
