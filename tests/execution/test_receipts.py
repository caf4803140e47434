"""The ways to stop a run: the API, the admin and the command. Each answers with a receipt."""

import json
from io import StringIO
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIClient

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.services import start_execution
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.families import make_family

pytestmark = pytest.mark.django_db(transaction=True)

STOPPED = "stopped 3 review, 3 suspended; 12 completed, 0 failed before."


@pytest.fixture
def run(user: User, drain: Drain) -> Execution:
    """A run that waits for its three sub-runs, which wait for a person."""
    version = import_graph(owner=user, document=make_family(asks=True)).version
    started = start_execution(user=user, version=version, input_data={})
    drain.run()
    return started


def status_of(run: Execution) -> str:
    run.refresh_from_db()
    return run.status


def address_of(run: Execution) -> str:
    return f"/v1/graphs/{run.graph_version.graph_id}/executions/{run.pk}/stop"


def log_in(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def test_the_api_answers_with_a_receipt(user: User, run: Execution) -> None:
    answer = log_in(user).post(address_of(run))

    assert answer.status_code == 200
    receipt = answer.json()
    assert (receipt["graph_exec_id"], receipt["status"], receipt["had_ended"]) == (str(run.pk), "TERMINATED", False)
    assert receipt["stopped"] == {"REVIEW": 3, "SUSPENDED": 3}
    assert (receipt["completed"], receipt["failed"], receipt["cost"]) == (12, 0, 0)
    assert [each["was"] for each in receipt["runs"]] == ["RUNNING"] * 4
    parents = {each["parent_node_exec_id"] for each in receipt["runs"][1:]}
    assert parents == {
        str(key) for key in NodeExecution.objects.filter(execution=run, waits=1).values_list("pk", flat=True)
    }
    assert status_of(run) == Status.TERMINATED


def test_a_second_stop_is_answered_with_how_the_run_ended(user: User, run: Execution) -> None:
    client = log_in(user)
    client.post(address_of(run))

    receipt = client.post(address_of(run)).json()

    assert (receipt["had_ended"], receipt["status"], receipt["stopped"]) == (True, "TERMINATED", {})


def test_nobody_stops_the_runs_of_somebody_else(run: Execution) -> None:
    stranger = log_in(User.objects.create_user("eve"))

    assert stranger.post(address_of(run)).status_code == 404
    assert APIClient().post(address_of(run)).status_code == 401
    assert status_of(run) == Status.RUNNING


def test_the_admin_stops_runs(run: Execution) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))

    page = client.post(
        "/admin/execution/execution/", {"action": "stop", "_selected_action": [str(run.pk)]}, follow=True
    )

    assert f"{run.pk} and 3 sub-runs TERMINATED: {STOPPED}" in page.content.decode()
    assert status_of(run) == Status.TERMINATED


def test_who_may_only_look_at_runs_may_not_stop_them(run: Execution) -> None:
    client = Client()
    looker = User.objects.create_user("looker", is_staff=True)
    looker.user_permissions.set(Permission.objects.filter(codename="view_execution"))
    client.force_login(looker)

    client.post("/admin/execution/execution/", {"action": "stop", "_selected_action": [str(run.pk)]}, follow=True)

    assert status_of(run) == Status.RUNNING


def test_the_command_stops_runs_and_says_what_that_did(run: Execution) -> None:
    said = StringIO()

    call_command("stop_execution", str(run.pk), stdout=said)
    call_command("stop_execution", str(run.pk), stdout=said)

    assert said.getvalue().splitlines() == [
        f"{run.pk} and 3 sub-runs TERMINATED: {STOPPED}",
        f"{run.pk} had ended TERMINATED: 12 completed, 0 failed before.",
    ]


def test_the_command_prints_receipts_as_json_and_goes_on_after_a_run_that_never_was(run: Execution) -> None:
    said, complained = StringIO(), StringIO()
    unknown = uuid4()

    with pytest.raises(SystemExit) as caught:
        call_command("stop_execution", str(unknown), str(run.pk), "--json", stdout=said, stderr=complained)

    assert caught.value.code == 1
    assert f"There is no execution {unknown}." in complained.getvalue()
    (receipt,) = json.loads(said.getvalue())
    assert receipt["stopped"] == {"REVIEW": 3, "SUSPENDED": 3}


def test_the_api_resumes_what_was_stopped(user: User, run: Execution) -> None:
    client, address = log_in(user), address_of(run).removesuffix("stop") + "resume"
    stranger = log_in(User.objects.create_user("eve"))
    client.post(address_of(run))

    assert stranger.post(address).status_code == 404
    answer = client.post(address)

    assert (answer.status_code, answer.json()["status"]) == (202, "QUEUED")
    assert client.post(address).status_code == 202
    run.refresh_from_db()
    assert run.resumptions == 1


def test_a_run_that_has_completed_is_not_resumed(user: User, run: Execution) -> None:
    Execution.objects.filter(pk=run.pk).update(status=Status.COMPLETED, ended_at=run.created_at)

    answer = log_in(user).post(address_of(run).removesuffix("stop") + "resume")

    assert answer.status_code == 409
    assert answer.json()["detail"] == "The run has completed: there is nothing to resume."
