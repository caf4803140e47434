"""Replays as users and operators start them: over the API, in the admin, from the command line."""

import io
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from rest_framework.test import APIClient

from execution.models import Execution, NodeExecution
from execution.services import start_execution
from graphs.services import import_graph, replace_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import ADDING

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def origin(user: User, drain: Drain) -> Execution:
    version = import_graph(owner=user, document=ADDING).version
    run = start_execution(user=user, version=version, input_data={"Number": 8})
    drain.run()
    return run


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def last_of(run: Execution) -> NodeExecution:
    return NodeExecution.objects.filter(execution=run).order_by("-id")[0]


def address_of(run: Execution, action: str = "") -> str:
    return f"/v1/graphs/{run.graph_version.graph_id}/executions/{run.pk}{action}"


def ask(user: User, run: Execution, **body: Any) -> Any:
    return client_of(user).post(address_of(run, "/replay"), body, format="json")


def test_a_replay_is_a_new_run_that_names_its_origin(user: User, origin: Execution, drain: Drain) -> None:
    chosen = last_of(origin)

    answer = ask(user, origin, node_execution_id=str(chosen.pk))

    assert answer.status_code == 202
    assert answer.json()["origin"] == {"graph_exec_id": str(origin.pk), "node_exec_id": str(chosen.pk)}
    drain.run()
    replay = Execution.objects.exclude(pk=origin.pk).get()
    shown = client_of(user).get(address_of(replay)).json()
    assert (shown["id"], shown["status"], shown["outputs"]) == (str(replay.pk), "COMPLETED", {"Sum": [42]})
    rows = list(NodeExecution.objects.filter(execution=origin).order_by("id").values_list("id", flat=True))
    taken = [each["reused_from"] for each in shown["node_executions"]]
    assert taken == [*(str(key) for key in rows[:2]), None]
    assert client_of(user).get(address_of(origin)).json()["origin"] is None


def test_a_replay_runs_the_version_that_is_asked_for(user: User, origin: Execution, drain: Drain) -> None:
    replace_graph(graph=origin.graph_version.graph, document=ADDING)

    newer = ask(user, origin, node_execution_id=str(last_of(origin).pk), graph_version=2)
    missing = ask(user, origin, node_execution_id=str(last_of(origin).pk), graph_version=3)

    # All nodes of an imported document have other ids than those of the graph that it made.
    assert (newer.status_code, "doesn't have the node" in newer.json()["detail"]) == (400, True)
    assert missing.status_code == 404


def test_what_cannot_be_replayed_is_refused_with_its_reason(user: User, origin: Execution, drain: Drain) -> None:
    waiting = start_execution(user=user, version=origin.graph_version, input_data={"Number": 1})

    going_on = ask(user, waiting, node_execution_id=str(last_of(waiting).pk))
    unknown = ask(user, origin, node_execution_id=str(uuid4()))
    of_another_run = ask(user, origin, node_execution_id=str(last_of(waiting).pk))
    of_nobody = ask(user, origin, graph_version=0)

    assert (going_on.status_code, "has not ended" in going_on.json()["detail"]) == (409, True)
    assert (unknown.status_code, of_another_run.status_code) == (404, 404)
    assert of_nobody.status_code == 400
    assert set(of_nobody.json()["field_errors"]) == {"node_execution_id", "graph_version"}


def test_nobody_can_replay_the_run_of_somebody_else(origin: Execution) -> None:
    stranger = User.objects.create_user("mallory")

    answer = ask(stranger, origin, node_execution_id=str(last_of(origin).pk))

    assert answer.status_code == 404
    assert Execution.objects.count() == 1


def test_the_command_prints_the_new_run(origin: Execution, drain: Drain) -> None:
    out, err = io.StringIO(), io.StringIO()

    call_command("replay_execution", str(origin.pk), str(last_of(origin).pk), stdout=out, stderr=err, verbosity=2)

    replay = Execution.objects.get(origin=origin)
    assert out.getvalue().split() == [str(replay.pk)]
    assert "2 of its 3 node executions are reused." in err.getvalue()
    with pytest.raises(CommandError, match="has no node execution"):
        call_command("replay_execution", str(origin.pk), str(uuid4()))


def test_the_admin_replays_from_the_rows_that_are_chosen(admin_client: Client, origin: Execution, drain: Drain) -> None:
    keys = [str(key) for key in NodeExecution.objects.filter(execution=origin).values_list("pk", flat=True)]

    answer = admin_client.post(
        "/admin/execution/nodeexecution/", {"action": "replay", "_selected_action": keys}, follow=True
    )

    assert Execution.objects.filter(origin=origin).count() == 3
    assert answer.content.decode().count("is replayed by the run") == 3
    replay = Execution.objects.filter(origin=origin).order_by("id")[0]
    assert str(origin.pk) in admin_client.get(f"/admin/execution/execution/{replay.pk}/change/").content.decode()
    again = admin_client.post(
        "/admin/execution/nodeexecution/",
        {"action": "replay", "_selected_action": [str(last_of(replay).pk)]},
        follow=True,
    )
    assert "has not ended yet" in again.content.decode()
