"""What a run is given may be large: its row stays small, and whoever needs it has it whole."""

import json
from datetime import timedelta
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

from execution.engine.statuses import Status
from execution.examination import examine
from execution.large_values import read_all, read_masks
from execution.models import Execution, NodeExecution
from execution.planning import load_plan
from execution.pruning import Retention, prune
from execution.reporting import find_outputs
from execution.run_files import FilesOfRun
from execution.services import replay_execution, resume_execution, start_execution, stop_execution
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.families import AGENT
from tests.execution.small_graphs import CALCULATOR, INPUT, OUTPUT, STEP, draw, node_id

# Whoever examines the broker, too, must not find what others have left there.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]

LARGE = "ä" * 30_000
OTHER = "ö" * 30_000
MIGRATION = import_module("execution.migrations.0017_wrap_inputs")
NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "in": (INPUT, {"name": "in"}),
    "out": (OUTPUT, {"name": "out"}),
    "masked": (OUTPUT, {"name": "masked"}),
}
ARROWS = ["in.result -> out.value", "in.result -> masked.title"]


@pytest.fixture(autouse=True)
def own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}},
    }


def start(user: User, value: Any = LARGE, mask: Any = OTHER, **wishes: Any) -> Execution:
    """Start a run with a large input and a large mask."""
    version = import_graph(owner=user, document=draw(NODES, ARROWS)).version
    masked = next(node for node in load_plan(version.pk).plan.nodes.values() if node.input_default["name"] == "masked")
    masks = {str(masked.id): {"value": mask}}
    return start_execution(user=user, version=version, input_data={"in": value}, nodes_input_masks=masks, **wishes)


def row_bytes(run: Execution) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT octet_length(e::text) FROM execution_execution e WHERE id = %s", [run.pk])
        return int(cursor.fetchone()[0])


def count_files(run: Execution) -> int:
    folder = f"{FilesOfRun(user_id=str(run.user_id), execution_id=run.pk).folder}/values"
    return len(default_storage.listdir(folder)[1]) if default_storage.exists(folder) else 0


def shown(user: User, run: Execution) -> Any:
    client = APIClient()
    client.force_authenticate(user)
    return client.get(f"/v1/graphs/{run.graph_version.graph_id}/executions/{run.pk}").json()


def test_the_row_of_a_run_stays_small_and_its_nodes_have_it_all(user: User, drain: Drain) -> None:
    run = start(user)
    assert row_bytes(run) < 5_000
    # The INPUT node has the same.
    assert count_files(run) == 2

    drain.run()

    assert find_outputs(run) == {"out": [LARGE], "masked": [OTHER]}
    assert row_bytes(run) < 5_000


def test_the_api_shows_them_whole(user: User, drain: Drain) -> None:
    run = start(user)
    drain.run()

    answer = shown(user, run)

    assert answer["inputs"] == {"in": LARGE}
    assert list(answer["nodes_input_masks"].values()) == [{"value": OTHER}]
    (masked,) = (each for each in answer["node_executions"] if each["node_id"] in answer["nodes_input_masks"])
    address = f"/v1/graphs/{answer['graph_id']}/executions/{run.pk}/node_executions/{masked['node_exec_id']}"
    client = APIClient()
    client.force_authenticate(user)
    assert client.get(address).json()["input_data"]["value"] == OTHER


def test_the_admin_tells_how_large_they_are(user: User, drain: Drain, admin_client: Client) -> None:
    run = start(user)

    page = admin_client.get(f"/admin/execution/execution/{run.pk}/change/").content.decode()

    assert page.count("(180,002 bytes)") == 2
    assert len(page) < 100_000


@pytest.mark.parametrize(
    "value", [{"$stored": {"path": "runs/2/x", "bytes": 1}}, {"$plain": 1}, {"$stored": 1, "b": 2}]
)
def test_what_looks_like_a_reference_is_a_value_like_any_other(user: User, drain: Drain, value: Any) -> None:
    run = start(user, value=value, mask=value)
    drain.run()

    assert find_outputs(run) == {"out": [value], "masked": [value]}
    assert shown(user, run)["inputs"] == {"in": value}
    again = replay_execution(execution_id=run.pk, node_execution_id=NodeExecution.objects.latest("id").pk)
    drain.run()
    assert find_outputs(again) == {"out": [value], "masked": [value]}


def test_they_go_with_the_run_and_a_replay_has_its_own(user: User, drain: Drain) -> None:
    run = start(user)
    drain.run()
    last = NodeExecution.objects.filter(execution=run).latest("id")

    again = replay_execution(execution_id=run.pk, node_execution_id=last.pk)
    drain.run()
    prune(Retention(age=timedelta(0), limit=1))

    assert not Execution.objects.filter(pk=run.pk).exists()
    again.refresh_from_db()
    assert find_outputs(again) == {"out": [LARGE], "masked": [OTHER]}
    assert read_all(again.input_data) == {"in": LARGE}
    assert list(read_masks(again.nodes_input_masks).values()) == [{"value": OTHER}]
    prune(Retention(age=timedelta(0)))
    assert [folder for folder in default_storage.listdir("")[0] if count_all(folder)] == []


def count_all(folder: str) -> int:
    """Return how many files there are below a folder."""
    folders, files = default_storage.listdir(folder)
    return len(files) + sum(count_all(f"{folder}/{name}") for name in folders)


def test_a_run_that_is_resumed_still_has_them(user: User, drain: Drain) -> None:
    run = start(user)
    drain.run_one(drain.waiting.pop(0))
    stop_execution(execution_id=run.pk)
    drain.waiting.clear()

    resume_execution(execution_id=run.pk)
    drain.run()

    assert find_outputs(run) == {"out": [LARGE], "masked": [OTHER]}


def test_a_sub_run_is_given_copies_of_its_own(user: User, drain: Drain) -> None:
    # It goes on for a while after its large output, so the node above is woken for that and waits again.
    more: dict[str, tuple[str, dict[str, Any]]] = {
        "more": (STEP, {"items": [1, 2, 3]}),
        "add": (CALCULATOR, {"operation": "Add", "b": 1}),
        "k": (OUTPUT, {"name": "k"}),
    }
    arrows = ["n.result -> m.value", "more.item -> add.a", "add.result -> k.value"]
    sub = draw({"n": (INPUT, {"name": "n"}), "m": (OUTPUT, {"name": "m"}), **more}, arrows)
    sub["id"] = node_id("sub")
    schema: dict[str, Any] = {"input_schema": {"properties": {"n": {}}}, "output_schema": {"properties": {"m": {}}}}
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "in": (INPUT, {"name": "in"}),
        "agent": (AGENT, {"graph_id": sub["id"], "graph_version": 1, "inputs": {}, **schema}),
        "out": (OUTPUT, {"name": "out"}),
    }
    document = {**draw(nodes, ["in.result -> agent.n", "agent.m -> out.value"]), "sub_graphs": [sub]}
    version = import_graph(owner=user, document=document).version
    written_while_locked: list[str] = []

    def note(name: str, **_options: Any) -> str:
        if connection.in_atomic_block:
            written_while_locked.append(name)
        return name

    # The storage asks it for each file that is saved.
    with patch.object(default_storage, "get_available_name", note):
        run = start_execution(user=user, version=version, input_data={"in": LARGE})
        drain.run()

    below = Execution.objects.get(parent__execution=run)
    assert find_outputs(run) == {"out": [LARGE]}
    assert row_bytes(below) < 5_000
    assert read_all(below.input_data) == {"n": LARGE}
    assert str(below.pk) in json.dumps(below.input_data)
    assert written_while_locked == []


def test_a_simulated_run_and_its_replay_know_large_mocks(user: User, drain: Drain) -> None:
    version = import_graph(owner=user, document=draw(NODES, ARROWS)).version
    mocks = {INPUT: {"result": LARGE}}
    run = start_execution(user=user, version=version, input_data={}, simulate=True, mocks=mocks)
    drain.run()
    first = NodeExecution.objects.filter(execution=run).earliest("id")

    again = replay_execution(execution_id=run.pk, node_execution_id=first.pk)
    drain.run()

    assert row_bytes(run) < 5_000
    assert find_outputs(again)["out"] == find_outputs(run)["out"] == [LARGE]
    again.refresh_from_db()
    assert again.status == Status.COMPLETED
    assert examine() == []


def test_what_rows_had_before_is_read_as_it_was(user: User, drain: Drain) -> None:
    run = start(user, value=1, mask=1)
    old = {"$stored": {"path": "runs/2/another's", "bytes": 1}}
    (node,) = run.nodes_input_masks
    Execution.objects.update(
        input_data={"in": old, "x": {"a": old}}, nodes_input_masks={node: {"value": old}}, mocks={"m": {"$plain": 1}}
    )

    with connection.schema_editor() as editor:
        MIGRATION.forwards(apps, editor)

    run.refresh_from_db()
    assert read_all(run.input_data) == {"in": old, "x": {"a": old}}
    assert read_masks(run.nodes_input_masks) == {node: {"value": old}}
    assert read_all(run.mocks) == {"m": {"$plain": 1}}


def test_the_rows_of_before_have_large_values_whole(user: User, drain: Drain) -> None:
    run = start(user, mask={"$plain": 1})

    with connection.schema_editor() as editor:
        MIGRATION.backwards(apps, editor)

    run.refresh_from_db()
    assert run.input_data == {"in": LARGE}
    assert list(run.nodes_input_masks.values()) == [{"value": {"$plain": 1}}]
