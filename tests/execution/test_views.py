"""The API of runs."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from execution.models import Execution
from execution.services import start_execution
from graphs.services import import_graph, replace_graph
from tests.execution.asking import AGENT, ASKING, address_of, log_in, save, start
from tests.execution.drain import Drain
from tests.execution.small_graphs import ADDING, ASK, CALCULATOR, INPUT, OUTPUT, STEP, TIMER, draw, node_id

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client(user: User) -> APIClient:
    return log_in(user)


@pytest.fixture
def stranger() -> APIClient:
    return log_in(User.objects.create_user("mallory"))


def count_queries(client: APIClient, address: str) -> int:
    client.get(address)  # plans are kept from the first time on
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


@pytest.mark.parametrize("inputs", ["input_data", "inputs"])
@pytest.mark.parametrize("path", ["execute", "execute/1"])
def test_a_graph_is_run_from_its_inputs_to_its_outputs(
    client: APIClient, user: User, drain: Drain, path: str, inputs: str
) -> None:
    version = save(user, ADDING)

    answer = client.post(f"/v1/graphs/{version.graph_id}/{path}", {inputs: {"Number": 7}})
    drain.run()

    assert answer.status_code == 202
    started = answer.json()
    assert (started["status"], started["graph_id"], started["graph_version"], started["user_id"]) == (
        *("QUEUED", str(version.graph_id), 1, user.pk),
    )
    run = client.get(f"/v1/graphs/{version.graph_id}/executions/{started['id']}").json()
    assert (run["status"], run["outputs"], run["error"], run["warnings"]) == ("COMPLETED", {"Sum": [41.0]}, None, [])
    assert run["stats"]["node_count"] == 3
    assert run["stats"]["error"] is None
    assert 0 <= run["stats"]["cputime"] <= run["stats"]["walltime"] + 1
    assert "completed" in run["stats"]["activity_status"]


def test_a_run_shows_its_node_executions_oldest_first(client: APIClient, user: User, drain: Drain) -> None:
    run = start(user, save(user, ADDING), Number=7)
    drain.run()

    shown = client.get(address_of(run)).json()

    assert shown["node_executions_next"] is None
    fired = [(each["node_name"], each["block_id"], each["status"]) for each in shown["node_executions"]]
    assert fired == [("in", INPUT, "COMPLETED"), ("add", CALCULATOR, "COMPLETED"), ("out", OUTPUT, "COMPLETED")]
    added = shown["node_executions"][1]
    assert added["input_data"] == {"operation": "Add", "b": 34, "a": 7}
    assert added["output_data"] == {"result": [41.0]}
    assert added["graph_exec_id"] == str(run.pk)
    assert added["add_time"] <= added["queue_time"] <= added["start_time"] <= added["end_time"]


def test_inputs_show_what_came_later_and_what_a_mask_overlays(client: APIClient, user: User, drain: Drain) -> None:
    document = draw(
        {
            "a": (STEP, {"items": [1]}),
            "b": (STEP, {"items": [2]}),
            "add": (CALCULATOR, {"operation": "Add", "round_result": False}),
        },
        ["a.item -> add.a", "b.item -> add.b"],
    )
    imported = import_graph(owner=user, document=document)
    (add,) = imported.node_ids[node_id("add")]
    run = start_execution(
        user=user, version=imported.version, input_data={}, nodes_input_masks={str(add): {"round_result": True}}
    )
    drain.run()

    shown = client.get(address_of(run)).json()["node_executions"][-1]

    assert shown["input_data"] == {"operation": "Add", "a": 1, "b": 2, "round_result": True}


def test_an_error_is_shown_where_it_happened(client: APIClient, user: User, drain: Drain) -> None:
    run = start(user, save(user, ADDING), Number="seven")
    drain.run()

    shown = client.get(address_of(run)).json()

    assert (shown["status"], shown["stats"]["node_error_count"]) == ("COMPLETED", 1)
    _, failed = shown["node_executions"]
    assert failed["status"] == "FAILED"
    assert failed["error"] == failed["output_data"]["error"][0]


def test_a_sub_run_is_shown_under_the_node_that_waits_for_it(client: APIClient, user: User, drain: Drain) -> None:
    below = save(user, ADDING)
    agent = {
        "graph_id": str(below.graph_id),
        "graph_version": 1,
        "inputs": {"Number": 1},
        "input_schema": {"type": "object", "properties": {"Number": {}}, "required": ["Number"]},
        "output_schema": {"type": "object", "properties": {"Sum": {}}, "required": ["Sum"]},
    }
    run = start(user, save(user, draw({"agent": (AGENT, agent)})))
    drain.run()

    (node,) = client.get(address_of(run)).json()["node_executions"]
    (child,) = node["sub_executions"]

    listed = client.get(f"/v1/graphs/{below.graph_id}/executions").json()["results"]
    assert [(each["id"], each["parent_node_exec_id"]) for each in listed] == [(child, node["node_exec_id"])]
    assert [each["id"] for each in client.get("/v1/executions").json()["results"]] == [str(run.pk)]


def test_what_waits_for_a_timer_is_shown_as_running(client: APIClient, user: User, drain: Drain) -> None:
    run = start(user, save(user, draw({"wait": (TIMER, {"seconds": 600})})))
    for each in list(drain.waiting):
        drain.waiting.remove(each)
        drain.run_one(each)

    shown = client.get(address_of(run)).json()

    assert (shown["status"], shown["node_executions"][0]["status"]) == ("RUNNING", "RUNNING")


def test_a_simulated_run_says_so(client: APIClient, user: User, drain: Drain) -> None:
    version = save(user, ADDING)

    started = client.post(f"/v1/graphs/{version.graph_id}/execute/1", {"dry_run": True}).json()
    drain.run()

    assert started["dry_run"] is True
    assert Execution.objects.get().status == "COMPLETED"


def test_the_version_that_is_asked_for_is_run(client: APIClient, user: User, drain: Drain) -> None:
    version = save(user, ADDING)
    replace_graph(graph=version.graph, document=ASKING)

    active = client.post(f"/v1/graphs/{version.graph_id}/execute", {}).json()
    first = client.post(f"/v1/graphs/{version.graph_id}/execute/1", {"inputs": {"Number": 1}}).json()

    assert (active["graph_version"], first["graph_version"]) == (2, 1)
    assert len(client.get(f"/v1/graphs/{version.graph_id}/executions").json()["results"]) == 2


@pytest.mark.parametrize("path", ["execute/2", "execute/0", f"execute/{10**30}", "execute/active"])
def test_a_version_that_is_not_there_is_not_found(client: APIClient, user: User, path: str) -> None:
    version = save(user, ADDING)

    assert client.post(f"/v1/graphs/{version.graph_id}/{path}", {}).status_code == 404
    assert not Execution.objects.exists()


def test_what_keeps_a_graph_from_running_is_told_by_node_and_field(client: APIClient, user: User) -> None:
    version = save(user, draw({"add": (CALCULATOR, {"operation": "Add"}), "ask": (ASK, {"name": "Letter"})}))

    answer = client.post(f"/v1/graphs/{version.graph_id}/execute", {})

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    fields = {frozenset(fields) for fields in answer.json()["node_errors"].values()}
    assert fields == {frozenset({"a", "b"}), frozenset({"data"})}


@pytest.mark.parametrize(
    "body",
    [
        '{"inputs": {"Nobody": 1}}',
        '{"inputs": {"Number": 1}, "input_data": {"Number": 2}}',
        '{"inputs": 7}',
        '{"nodes_input_masks": {"x": {"a": 1}}}',
        '{"nodes_input_masks": {"00000000-0000-4000-8000-000000000000": 3}}',
        '{"inputs": {"Number": NaN}}',
        r'{"inputs": {"Number": "\u0000"}}',
        r'{"inputs": {"Number": "\ud800"}}',
        f'{{"inputs": {{"Number": {"[" * 5_000}1{"]" * 5_000}}}}}',
        '{"inputs": ',
        "[]",
        '{"dry_run": "perhaps"}',
    ],
)
def test_a_body_that_makes_no_sense_is_refused(client: APIClient, user: User, body: str) -> None:
    version = save(user, ADDING)

    answer = client.post(f"/v1/graphs/{version.graph_id}/execute/1", body, content_type="application/json")

    assert answer.status_code == 400
    assert answer.json()["status"] == 400
    assert not Execution.objects.exists()


def test_runs_are_listed_newest_first_a_page_at_a_time(client: APIClient, user: User, drain: Drain) -> None:
    version = save(user, ADDING)
    runs = [str(start(user, version, Number=number).pk) for number in range(5)]

    for address in ("/v1/executions", f"/v1/graphs/{version.graph_id}/executions"):
        first = client.get(address, {"page_size": 3}).json()
        second = client.get(first["next"]).json()

        assert [each["id"] for each in first["results"] + second["results"]] == runs[::-1]
        assert second["next"] is None


def test_a_list_takes_as_many_queries_however_long_it_is(client: APIClient, user: User, drain: Drain) -> None:
    version = save(user, ADDING)
    start(user, version, Number=0)
    addresses = ("/v1/executions", f"/v1/graphs/{version.graph_id}/executions", "/v1/reviews")
    of_one = [count_queries(client, address) for address in addresses]
    for document in (ADDING, ASKING, ASKING):
        start_execution(user=user, version=save(user, document), input_data={}, simulate=document is ADDING)
    start(user, version, Number=1)
    drain.run()

    assert [count_queries(client, address) for address in addresses] == of_one


def test_a_run_takes_as_many_queries_however_often_its_nodes_fired(client: APIClient, user: User, drain: Drain) -> None:
    def run_with(count: int) -> Execution:
        return start(user, save(user, draw({f"n{index}": (STEP, {"items": [index]}) for index in range(count)})))

    one, many = run_with(1), run_with(30)
    drain.run()

    for tail in ("", "/node_executions"):
        assert count_queries(client, f"{address_of(many)}{tail}") == count_queries(client, f"{address_of(one)}{tail}")


def test_node_executions_beyond_the_first_page_are_linked(client: APIClient, user: User, drain: Drain) -> None:
    run = start(user, save(user, draw({f"n{index}": (STEP, {"items": [index]}) for index in range(7)})))
    drain.run()

    shown = client.get(address_of(run), {"page_size": 3}).json()
    pages = [shown["node_executions"]]
    following = shown["node_executions_next"]
    while following:
        page = client.get(following).json()
        pages.append(page["results"])
        following = page["next"]

    assert [len(page) for page in pages] == [3, 4]
    assert len({each["node_exec_id"] for page in pages for each in page}) == 7


def test_what_belongs_to_somebody_else_is_not_there(
    client: APIClient, stranger: APIClient, user: User, drain: Drain
) -> None:
    run = start(user, save(user, ASKING))
    drain.run()
    (asked,) = client.get("/v1/reviews").json()["results"]
    graph = f"/v1/graphs/{run.graph_version.graph_id}"

    assert stranger.get("/v1/executions").json()["results"] == []
    assert stranger.get("/v1/reviews").json()["results"] == []
    for address in (f"{graph}/executions", address_of(run), f"{address_of(run)}/node_executions"):
        assert stranger.get(address).status_code == 404
        assert client.get(address).status_code == 200
    for address in (f"{graph}/execute", f"{graph}/execute/1", f"/v1/reviews/{asked['id']}/decide"):
        assert stranger.post(address, {"approved": True}).status_code == 404
    assert client.get("/v1/reviews").json()["results"] == [asked]


def test_a_run_is_found_under_its_own_graph_only(client: APIClient, user: User, drain: Drain) -> None:
    run, other = start(user, save(user, ASKING)), save(user, ADDING)

    assert client.get(f"/v1/graphs/{other.graph_id}/executions/{run.pk}").status_code == 404
    assert client.get(f"/v1/graphs/{other.graph_id}/executions/{uuid4()}").status_code == 404


def test_nobody_gets_in_without_a_login(user: User, drain: Drain) -> None:
    run = start(user, save(user, ASKING))

    for address in ("/v1/executions", "/v1/reviews", address_of(run)):
        assert APIClient().get(address).status_code == 401


def test_the_schema_describes_all_of_it(tmp_path: Any) -> None:
    file = tmp_path / "schema.yaml"

    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(file))

    assert "/v1/graphs/{graph_id}/execute/{version}" in file.read_text()


def test_ids_are_uuids(client: APIClient, user: User, drain: Drain) -> None:
    run = start(user, save(user, ADDING), Number=1)

    assert UUID(client.get(address_of(run)).json()["id"]) == run.pk
