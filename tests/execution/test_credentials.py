"""References to credentials: they go with a run, a preset, a schedule; what is secret never does."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings
from rest_framework.test import APIClient

from credits.accounts import find_account
from execution.models import Execution
from graphs.services import import_graph
from scheduling.firing import fire_due
from scheduling.models import Schedule
from tests.execution.credential_blocks import FIELD, MODULES, POSTING
from tests.execution.drain import Drain
from tests.execution.small_graphs import OUTPUT, draw

pytestmark = pytest.mark.django_db(transaction=True)

MINE = {"id": "c-1", "provider": "forge", "type": "api_key", "title": "My account"}
GRAPH = draw({"post": (POSTING, {}), "out": (OUTPUT, {"name": "Used"})}, ["post.used -> out.value"])


@pytest.fixture(autouse=True)
def posting_block(settings: Settings) -> None:
    settings.BLOCK_MODULES = MODULES
    settings.NODE_EXECUTIONS_PER_CREDIT = 0


@pytest.fixture
def address(user: User) -> str:
    return f"/v1/graphs/{import_graph(owner=user, document=GRAPH).version.graph_id}"


def outputs(run: Execution) -> list[Any]:
    return [output.value for output in run.outputs.all()]


def test_a_graph_says_which_credentials_it_takes(client: APIClient, address: str) -> None:
    schema = client.get(address).json()["credentials_input_schema"]

    (field,) = schema["properties"].items()
    assert field[0] == FIELD
    assert (field[1]["credentials_provider"], field[1]["credentials_types"]) == (["forge"], ["api_key", "oauth2"])


@pytest.mark.parametrize("name", ["input_credentials", "credentials_inputs"])
def test_a_run_gets_the_reference(client: APIClient, address: str, drain: Drain, name: str) -> None:
    answer = client.post(f"{address}/execute", {name: {FIELD: MINE}})
    drain.run()

    assert answer.status_code == 202, answer.json()
    run = Execution.objects.get()
    assert (run.status, outputs(run)) == ("COMPLETED", ["c-1"])


def test_without_it_the_run_is_refused(client: APIClient, address: str) -> None:
    answer = client.post(f"{address}/execute", {})

    assert answer.status_code == 400
    (fields,) = answer.json()["node_errors"].values()
    assert fields.keys() == {"credentials"}


@pytest.mark.parametrize("platforms", [[], ["c-1"]])
def test_own_credentials_make_it_free_and_the_platforms_make_it_cost(
    client: APIClient, address: str, drain: Drain, settings: Settings, platforms: list[str]
) -> None:
    settings.PLATFORM_CREDENTIAL_IDS = platforms
    payer = User.objects.get().pk
    before = find_account(payer).balance

    client.post(f"{address}/execute", {"input_credentials": {FIELD: MINE}})
    drain.run()

    assert before - find_account(payer).balance == (7 if platforms else 0)


@pytest.mark.parametrize(
    ("references", "told"),
    [
        ({"github_credentials": MINE}, "takes no credentials under a name that was given"),
        ({FIELD: {**MINE, "provider": "github"}}, "must be forge"),
        ({FIELD: {**MINE, "type": "user_password"}}, "must be api_key or oauth2"),
        ({FIELD: {**MINE, "type": "secret-77"}}, "Must be one of"),
        ({FIELD: {**MINE, "api_key": "secret-77"}}, "never sent along"),
        ({FIELD: {"id": "c-1"}}, "required"),
        ({FIELD: "secret-77"}, "Invalid data"),
    ],
)
def test_what_is_no_reference_for_the_graph_is_refused(
    client: APIClient, address: str, references: Any, told: str
) -> None:
    answer = client.post(f"{address}/execute", {"input_credentials": references})

    assert (answer.status_code, told in answer.content.decode()) == (400, True), answer.content
    assert not Execution.objects.exists()


@pytest.mark.parametrize(
    "references",
    [
        {FIELD: {**MINE, "api_key": "secret-77"}},
        {FIELD: {**MINE, "type": "secret-77"}},
        {FIELD: "secret-77"},
        {"secret-77": MINE},
        {"secret-77": {}},
        {"secret-77": "x"},
    ],
)
def test_a_secret_is_not_repeated(client: APIClient, address: str, references: Any) -> None:
    for place in ("execute", "schedules"):
        answer = client.post(f"{address}/{place}", {"name": "x", "cron": "@daily", "input_credentials": references})

        assert (answer.status_code, "secret-77" in answer.content.decode()) == (400, False)


@pytest.mark.parametrize("name", ["input_credentials", "credentials"])
def test_a_schedule_keeps_the_reference(client: APIClient, address: str, drain: Drain, name: str) -> None:
    body = {"name": "Often", "cron": "@hourly", name: {FIELD: MINE}}
    made = client.post(f"{address}/schedules", body)
    assert (made.status_code, made.json()["input_credentials"]) == (201, {FIELD: MINE})

    fire_due(limit=1, now=Schedule.objects.get().next_due)
    drain.run()

    assert outputs(Execution.objects.get()) == ["c-1"]


def test_a_schedule_without_it_is_refused(client: APIClient, address: str) -> None:
    made = client.post(f"{address}/schedules", {"name": "Often", "cron": "@hourly", "input_credentials": {FIELD: MINE}})
    where = f"/v1/schedules/{made.json()['id']}"

    assert client.post(f"{address}/schedules", {"name": "Often", "cron": "@hourly"}).status_code == 400
    assert client.patch(where, {"input_credentials": {}}).status_code == 400
    assert client.get(where).json()["input_credentials"] == {FIELD: MINE}


@pytest.mark.parametrize("name", ["input_credentials", "credentials"])
def test_a_preset_keeps_the_reference(client: APIClient, address: str, drain: Drain, name: str) -> None:
    body = {"graph_id": address.rpartition("/")[2], "name": "Usual", name: {FIELD: MINE}}
    made = client.post("/v1/presets", body).json()
    assert made["input_credentials"] == {FIELD: MINE}
    both = client.patch(f"/v1/presets/{made['id']}", {"credentials": {FIELD: MINE}, "input_credentials": {FIELD: MINE}})
    assert both.status_code == 400

    client.post(f"/v1/presets/{made['id']}/execute", {})
    drain.run()

    assert outputs(Execution.objects.get()) == ["c-1"]
