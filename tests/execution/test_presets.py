"""Presets: kept inputs, and runs with them."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from execution.models import Execution
from graphs.models import GraphVersion
from graphs.services import import_graph, replace_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import CALCULATOR, INPUT, OUTPUT, draw

ADDING = draw(
    {
        "a": (INPUT, {"name": "A"}),
        "b": (INPUT, {"name": "B"}),
        "add": (CALCULATOR, {"operation": "Add"}),
        "out": (OUTPUT, {"name": "Sum"}),
    },
    ["a.result -> add.a", "b.result -> add.b", "add.result -> out.value"],
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def version(user: User) -> GraphVersion:
    return import_graph(owner=user, document=ADDING).version


def make(client: APIClient, version: GraphVersion, **more: Any) -> Any:
    body = {"graph_id": str(version.graph_id), "name": "Usual", "input_data": {"A": 1, "B": 2}}
    return client.post("/v1/presets", body | more)


def test_a_run_takes_the_presets_inputs_and_others_over_them(
    client: APIClient, version: GraphVersion, drain: Drain
) -> None:
    preset = make(client, version).json()["id"]

    usual = client.post(f"/v1/presets/{preset}/execute", {})
    other = client.post(f"/v1/presets/{preset}/execute", {"input_data": {"B": 40}})
    renamed = client.post(f"/v1/presets/{preset}/execute", {"inputs": {"B": 50}})
    drain.run()

    assert (usual.status_code, other.status_code) == (202, 202)
    runs = [f"/v1/graphs/{version.graph_id}/executions/{each.json()['id']}" for each in (usual, other, renamed)]
    assert [client.get(run).json()["outputs"] for run in runs] == [{"Sum": [3.0]}, {"Sum": [41.0]}, {"Sum": [51.0]}]


def test_a_run_names_the_preset_that_it_was_started_with(
    client: APIClient, version: GraphVersion, drain: Drain
) -> None:
    preset = make(client, version).json()["id"]
    address = f"/v1/graphs/{version.graph_id}"

    runs = [
        client.post(f"/v1/presets/{preset}/execute", {}).json(),
        client.post(f"{address}/execute?preset_id={preset}", {}).json(),
        client.post(f"{address}/execute", {"input_data": {"A": 1, "B": 2}}).json(),
    ]
    client.delete(f"/v1/presets/{preset}")

    assert [run["preset_id"] for run in runs] == [preset, preset, None]
    assert client.get(f"{address}/executions/{runs[0]['id']}").json()["preset_id"] == preset


def test_a_run_costs_what_its_preset_allows(client: APIClient, version: GraphVersion, drain: Drain) -> None:
    preset = make(client, version, max_cost=20, on_insufficient_credits="park").json()
    usual = make(client, version).json()

    runs = [client.post(f"/v1/presets/{each['id']}/execute", {}).json()["id"] for each in (preset, usual)]

    assert (preset["max_cost"], preset["on_insufficient_credits"]) == (20, "park")
    wishes = [Execution.objects.filter(pk=run).values_list("max_cost", "on_insufficient_credits")[0] for run in runs]
    assert wishes == [(20, "park"), (None, "fail")]
    assert make(client, version, max_cost=0).status_code == 400


def test_a_preset_is_kept_changed_listed_and_deleted(client: APIClient, version: GraphVersion) -> None:
    made = make(client, version, description="Every day")
    address = f"/v1/presets/{made.json()['id']}"

    changed = client.patch(address, {"name": "Rare", "input_data": {"A": 5}})

    assert (made.status_code, changed.status_code) == (201, 200)
    kept = client.get(address).json()
    assert (kept["name"], kept["description"], kept["input_data"]) == ("Rare", "Every day", {"A": 5})
    assert [each["id"] for each in client.get("/v1/presets").json()["results"]] == [kept["id"]]
    assert client.get("/v1/presets", {"graph_id": str(version.graph_id)}).json()["results"] == [kept]
    assert client.get("/v1/presets", {"graph_id": kept["id"]}).json()["results"] == []
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == 404


def test_a_preset_runs_its_version_or_the_active_one(client: APIClient, version: GraphVersion, drain: Drain) -> None:
    of_active, of_first = make(client, version).json(), make(client, version, graph_version=1).json()
    replace_graph(graph=version.graph, document=ADDING)

    runs = [client.post(f"/v1/presets/{each['id']}/execute", {}).json() for each in (of_active, of_first)]

    assert [run["graph_version"] for run in runs] == [2, 1]


def test_inputs_that_do_not_fit_are_told_when_it_is_run(client: APIClient, version: GraphVersion, drain: Drain) -> None:
    preset = make(client, version, input_data={"Nobody": 1}).json()["id"]

    answer = client.post(f"/v1/presets/{preset}/execute", {})

    assert (answer.status_code, "Nobody" in answer.json()["detail"]) == (400, True)
    assert not Execution.objects.exists()


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"graph_id": "0190f3f4-0000-7000-8000-000000000000"}, 404),
        ({"graph_version": 9}, 404),
        ({"graph_version": 2**31}, 400),
        ({"input_data": []}, 400),
        ({"nodes_input_masks": {"x": 1}}, 400),
        ({"name": ""}, 400),
    ],
)
def test_a_preset_that_makes_no_sense_is_refused(
    client: APIClient, version: GraphVersion, more: Any, status: int
) -> None:
    assert make(client, version, **more).status_code == status


def test_a_preset_is_for_ones_own_graphs_and_eyes(client: APIClient, version: GraphVersion) -> None:
    preset = make(client, version).json()["id"]
    stranger = APIClient()
    stranger.force_authenticate(User.objects.create_user("mallory"))

    assert make(stranger, version).status_code == 404
    assert stranger.get("/v1/presets").json()["results"] == []
    for method, address in (("get", ""), ("patch", ""), ("delete", ""), ("post", "/execute")):
        assert getattr(stranger, method)(f"/v1/presets/{preset}{address}", {"name": "x"}).status_code == 404


def test_a_run_of_the_graph_may_name_a_preset(client: APIClient, version: GraphVersion, drain: Drain) -> None:
    preset = make(client, version, max_cost=20).json()["id"]
    address = f"/v1/graphs/{version.graph_id}/execute"

    usual = client.post(f"{address}?preset_id={preset}", {})
    other = client.post(f"{address}/1?preset_id={preset}", {"inputs": {"B": 40}, "max_cost": 30})
    drain.run()

    runs = [f"/v1/graphs/{version.graph_id}/executions/{each.json()['id']}" for each in (usual, other)]
    assert [client.get(run).json()["outputs"] for run in runs] == [{"Sum": [3.0]}, {"Sum": [41.0]}]
    assert list(Execution.objects.order_by("id").values_list("max_cost", flat=True)) == [20, 30]


def test_a_preset_of_another_graph_or_of_somebody_else_is_not_there(
    client: APIClient, user: User, version: GraphVersion
) -> None:
    other = import_graph(owner=user, document=ADDING).version
    preset = make(client, other).json()["id"]
    stranger = APIClient()
    stranger.force_login(User.objects.create_user("mallory"))
    strangers = import_graph(owner=User.objects.get(username="mallory"), document=ADDING).version

    answers = [
        client.post(f"/v1/graphs/{version.graph_id}/execute?preset_id={preset}", {}),
        stranger.post(f"/v1/graphs/{strangers.graph_id}/execute?preset_id={preset}", {}),
        client.post(f"/v1/graphs/{version.graph_id}/execute?preset_id=usual", {}),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 400]
    assert Execution.objects.count() == 0
