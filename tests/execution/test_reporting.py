"""What users see of runs."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from execution import reporting
from execution.exceptions import ExecutionNotFoundError
from execution.models import Execution, NodeExecution, Output, RunOutput
from execution.services import start_execution
from graphs.services import import_graph
from tests.execution.small_graphs import STEP, draw


@pytest.fixture
def run(user: User) -> Execution:
    version = import_graph(owner=user, document={**draw({"step": (STEP, {"items": [1]})}), "name": "Sums"}).version
    return start_execution(user=user, version=version, input_data={})


def change(run: Execution, **values: object) -> Execution:
    Execution.objects.filter(pk=run.pk).update(**values)
    return reporting.get_run(execution_id=run.pk)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"status": "QUEUED"}, "“Sums” waits for a worker."),
        ({"status": "RUNNING", "node_count": 1, "unfinished": 2}, "“Sums” runs: 1 node execution ended, 2 under way."),
        (
            {"status": "COMPLETED", "node_count": 3, "node_error_count": 2, "output_count": 1},
            "“Sums” completed in 1.5 s with 1 output: 3 node executions, 2 of them failed.",
        ),
        ({"status": "FAILED", "error": "Out of luck"}, "“Sums” failed after 1.5 s: Out of luck."),
        ({"status": "FAILED"}, "“Sums” failed after 1.5 s: no reason given."),
        ({"status": "TERMINATED"}, "“Sums” was stopped after 1.5 s."),
    ],
)
def test_a_sentence_says_how_a_run_stands(run: Execution, values: dict[str, object], sentence: str) -> None:
    ended_at = timezone.now()

    changed = change(run, started_at=ended_at - timedelta(seconds=1.5), ended_at=ended_at, **values)

    assert reporting.measure(changed)["activity_status"] == sentence
    assert reporting.measure(changed)["walltime"] == pytest.approx(1.5)


def test_processor_time_is_that_of_the_whole_tree(run: Execution, user: User) -> None:
    below = start_execution(user=user, version=run.graph_version, input_data={})
    Execution.objects.filter(pk=below.pk).update(root=run, nodes_cputime=2.0)

    stats = reporting.measure(change(run, nodes_cputime=1.0))

    assert (stats["cputime"], stats["nodes_cputime"]) == (3.0, 1.0)


def test_a_run_that_goes_on_has_taken_the_time_until_now(run: Execution) -> None:
    changed = change(run, status="RUNNING", started_at=timezone.now() - timedelta(minutes=1))

    assert 59 < reporting.measure(changed)["walltime"] < 120


def test_outputs_are_grouped_by_name_in_the_order_in_which_they_left(run: Execution) -> None:
    RunOutput.objects.bulk_create(
        RunOutput(execution=run, position=position, name=name, value=value)
        for position, (name, value) in enumerate([("b", 1), ("a", {"z": 1, "y": None}), ("b", None)])
    )

    assert list(reporting.find_outputs(run).items()) == [("b", [1, None]), ("a", [{"z": 1, "y": None}])]
    assert reporting.find_outputs(run, limit=1) == {"b": [1]}


def test_of_many_outputs_of_a_node_the_first_and_the_error_are_shown(run: Execution) -> None:
    node_execution = NodeExecution.objects.get(execution=run)
    Output.objects.bulk_create(
        [
            *(Output(node_execution=node_execution, position=n, pin="item", value=n) for n in range(150)),
            Output(node_execution=node_execution, position=150, pin="error", value="Enough"),
        ]
    )

    (shown,) = reporting.find_node_executions(run)

    assert reporting.gather_outputs(shown) == {"item": list(range(100)), "error": ["Enough"]}


def test_what_is_not_there_is_told(db: None) -> None:
    with pytest.raises(ExecutionNotFoundError):
        reporting.get_run(execution_id=uuid4())
