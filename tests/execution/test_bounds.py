"""An answer shows no more bytes of values than it has room for, and the database is asked for no more."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from execution import reporting
from execution.bounds import PAGE, Allowance, Bounds, Hidden
from execution.models import Execution, NodeExecution, NodeInput, Output, RunOutput
from execution.services import start_execution
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import CALCULATOR, INPUT, STEP, draw

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = "x" * PAGE.value
SMALL = "y" * 1_000


@pytest.fixture
def run(user: User, drain: Drain) -> Execution:
    nodes: dict[str, Any] = {
        "in": (INPUT, {"name": "Number"}),
        "step": (STEP, {"items": [LARGE], "note": SMALL}),
        "add": (CALCULATOR, {"operation": "Add", "b": 1}),
    }
    version = import_graph(owner=user, document=draw(nodes, ["in.result -> add.a", "step.item -> add.b"])).version
    return start_execution(user=user, version=version, input_data={"Number": LARGE})


@pytest.fixture
def first(run: Execution) -> NodeExecution:
    return NodeExecution.objects.filter(execution=run).order_by("id")[0]


def show(client: APIClient, run: Execution) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = client.get(address_of(run)).json()["node_executions"]
    return shown


def address_of(run: Execution) -> str:
    return f"/v1/graphs/{run.graph_version.graph_id}/executions/{run.pk}"


def emit(node_execution: NodeExecution, *values: Any) -> None:
    Output.objects.bulk_create(
        Output(node_execution=node_execution, position=position, pin="item", value=value)
        for position, value in enumerate(values)
    )


def test_a_large_output_is_shown_by_its_size_and_whole_at_its_node_execution(
    client: APIClient, run: Execution, first: NodeExecution
) -> None:
    emit(first, SMALL, LARGE, None, {"z": 1, "a": [LARGE]})

    small, large, nothing, nested = show(client, run)[0]["output_data"]["item"]
    whole = client.get(large["url"]).json()

    assert (small, nothing) == (SMALL, None)
    assert (large["truncated"], large["bytes"]) == (True, len(LARGE) + 2)
    assert nested["truncated"] and nested["bytes"] > len(LARGE)
    assert large["url"].endswith(f"{address_of(run)}/node_executions/{first.pk}")
    assert whole["node_exec_id"] == str(first.pk)
    assert whole["output_data"] == {"item": [SMALL, LARGE, None, {"z": 1, "a": [LARGE]}]}


def test_many_outputs_share_the_room_of_a_page(run: Execution, first: NodeExecution) -> None:
    emit(first, *["z" * 100] * 20)
    bounds = Bounds(value=1_000, total=1_020, outputs=15)

    (shown, *_) = reporting.find_node_executions(run, bounds=bounds)

    values = reporting.gather_outputs(shown)["item"]
    assert values == ["z" * 100] * 10 + [Hidden(102)] * 5


def test_large_inputs_are_shown_by_their_size_and_whole_at_their_node_execution(
    client: APIClient, run: Execution
) -> None:
    fed, stepping = (node for node in show(client, run) if node["node_name"] in ("in", "step"))

    assert fed["input_data"]["value"]["truncated"] is True
    assert fed["input_data"]["name"] == "Number"
    assert (stepping["input_data"]["items"]["truncated"], stepping["input_data"]["note"]) == (True, SMALL)
    assert client.get(fed["input_data"]["value"]["url"]).json()["input_data"] == {"name": "Number", "value": LARGE}
    whole = client.get(stepping["input_data"]["items"]["url"]).json()
    assert whole["input_data"] == {"items": [LARGE], "note": SMALL}


def test_what_arrived_later_is_bounded_too(client: APIClient, run: Execution, first: NodeExecution) -> None:
    NodeInput.objects.create(node_execution=first, pin="late", value=LARGE)
    NodeInput.objects.create(node_execution=first, pin="later", value=SMALL)

    inputs = show(client, run)[0]["input_data"]

    assert (inputs["late"]["truncated"], inputs["later"]) == (True, SMALL)


def test_a_long_log_and_a_long_error_are_bounded(client: APIClient, run: Execution, first: NodeExecution) -> None:
    NodeExecution.objects.filter(pk=first.pk).update(log="l" * 1_000_000)
    Output.objects.create(node_execution=first, position=0, pin="error", value=LARGE)

    shown = show(client, run)[0]

    assert len(shown["log"]) <= PAGE.value
    assert shown["error"] == f"(an error of {len(LARGE) + 2:,} bytes)"
    whole = client.get(f"{address_of(run)}/node_executions/{first.pk}").json()
    assert (len(whole["log"]), whole["error"]) == (1_000_000, LARGE)


def test_a_page_of_many_node_executions_is_bounded_in_bytes_and_queries(
    client: APIClient, run: Execution, first: NodeExecution
) -> None:
    show(client, run)  # plans are kept from the first time on
    with CaptureQueriesContext(connection) as for_few:
        show(client, run)
    copies = [
        NodeExecution(
            execution=run,
            tree_id=run.pk,
            node_id=first.node_id,
            ordinal=ordinal,
            status="COMPLETED",
            queue=first.queue,
            inputs={"value": "i" * 60_000},
            opened_at=first.opened_at,
        )
        for ordinal in range(1, 400)
    ]
    NodeExecution.objects.bulk_create(copies)
    Output.objects.bulk_create(
        Output(node_execution=copy, position=0, pin="result", value="o" * 60_000) for copy in copies
    )

    with CaptureQueriesContext(connection) as for_many:
        answer = client.get(address_of(run))

    assert len(answer.json()["node_executions"]) == len(copies) + run.opened
    assert len(answer.content) < 2.5 * PAGE.total
    assert len(for_many) == len(for_few)


def test_outputs_of_a_run_are_shown_whole_while_there_is_room(run: Execution, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "SINGLE", Bounds(value=100_000, total=100_000, outputs=1))
    values = [LARGE, None, LARGE, SMALL]
    RunOutput.objects.bulk_create(
        RunOutput(execution=run, position=position, name="a", value=value) for position, value in enumerate(values)
    )

    assert reporting.show_outputs(run) == {"a": [LARGE, None, Hidden(len(LARGE) + 2), Hidden(len(SMALL) + 2)]}


def test_a_node_execution_is_shown_to_its_owner_and_below_its_own_run_only(
    client: APIClient, user: User, run: Execution, first: NodeExecution
) -> None:
    other = start_execution(user=user, version=run.graph_version, input_data={})
    stranger = APIClient()
    stranger.force_authenticate(User.objects.create_user("mallory"))
    address = f"node_executions/{first.pk}"

    assert client.get(f"{address_of(run)}/{address}").status_code == 200
    assert client.get(f"{address_of(other)}/{address}").status_code == 404
    assert stranger.get(f"{address_of(run)}/{address}").status_code == 404


def test_room_is_taken_by_what_is_shown_only() -> None:
    allowance = Allowance(bounds=Bounds(value=10, total=20, outputs=1))
    text = "12345678"

    admitted = [allowance.admit(value) for value in (text, "much too long for this", text, text, 7)]

    assert admitted == [text, Hidden(24), text, Hidden(10), Hidden(1)]
