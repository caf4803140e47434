"""Runs from start to end through the store, in this process: the engine's rules as rows."""

import random
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User

from execution.engine.statuses import Status
from execution.exceptions import InputsUnknownError
from execution.models import Execution, NodeExecution, OnError
from execution.planning import load_plan
from execution.services import start_execution
from execution.values import dump
from graphs.exceptions import GraphInvalidError
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.random_graphs import make_document
from tests.execution.reference import outputs_by_name, run_in_memory
from tests.execution.small_graphs import CALCULATOR, CONVERTER, INPUT, OUTPUT, TIMER, draw
from tests.execution.small_runs import ended, outputs_of, start

pytestmark = pytest.mark.django_db(transaction=True)

PRINT = "f3b1c1b2-4c4f-4f0d-8d2f-4c4f0d8d2f4c"


@pytest.mark.parametrize("seed", range(8))
def test_a_run_ends_as_the_machine_does_in_whatever_order_its_messages_come(
    user: User, drain: Drain, seed: int
) -> None:
    version = import_graph(owner=user, document=make_document(seed)).version
    machine = run_in_memory(load_plan(version.pk), {})

    run = start_execution(user=user, version=version, input_data={})
    drain.run(order=random.Random(seed))

    assert ended(run).status == Status.COMPLETED
    assert outputs_of(run) == outputs_by_name(machine.outputs)
    assert run.opened == len(machine.steps)
    assert len(run.warnings) == len(machine.warnings())


def test_values_keep_the_order_of_their_keys_and_their_words_for_infinity(user: User, drain: Drain) -> None:
    document = draw(
        {
            "in": (INPUT, {"name": "in"}),
            "out": (OUTPUT, {"name": "out"}),
            "join": (OUTPUT, {"name": "join"}),
            "divide": (CALCULATOR, {"operation": "Divide", "a": 1, "b": 0}),
            "endless": (OUTPUT, {"name": "endless"}),
        },
        [
            "in.result -> out.value",
            "out.output -> join.value_#_a",
            "out.name -> join.value_#_b",
            "divide.result -> endless.value",
        ],
    )

    run = start(user, document, input_data={"in": {"zebra": 1, "ant": {"b": 1, "aa": "\u0000 \ud800"}}})
    drain.run()

    (value,) = outputs_of(run)["out"]
    assert list(value) == ["zebra", "ant"]
    assert list(value["ant"]) == ["b", "aa"]
    assert value["ant"]["aa"] == "\u0000 \ud800"
    assert outputs_of(run)["endless"] == ["inf"]
    assert outputs_of(run)["join"] == [{"a": value, "b": "out"}]


def test_an_input_that_the_graph_does_not_have_is_refused_and_nothing_is_made(user: User, drain: Drain) -> None:
    document = draw({"in": (INPUT, {"name": "in"}), "out": (OUTPUT, {"name": "out"})}, ["in.result -> out.value"])

    with pytest.raises(InputsUnknownError, match="no input named other. Its inputs: in"):
        start(user, document, input_data={"other": 1})

    assert not Execution.objects.exists()


def test_names_of_any_length_and_number_are_told_in_short(user: User, drain: Drain) -> None:
    document = draw({"in": (INPUT, {"name": "in"}), "out": (OUTPUT, {"name": "out"})}, ["in.result -> out.value"])

    with pytest.raises(InputsUnknownError, match=r"no input named x+…, .* and 10 more\.") as refused:
        start(user, document, input_data={"x" * 100_000: 1, **{f"y{number}": 1 for number in range(29)}})

    assert len(str(refused.value)) < 300


def test_a_graph_that_can_not_run_is_refused_with_every_problem(user: User, drain: Drain) -> None:
    document = draw({"sum": (CALCULATOR, {"operation": "Add"}), "other": (CALCULATOR, {"a": 1, "b": "many"})})

    with pytest.raises(GraphInvalidError) as refusal:
        start(user, document)

    fields = sorted(sorted(problems) for problems in refusal.value.node_errors.values())
    assert fields == [["a", "b"], ["b", "operation"]]
    assert not Execution.objects.exists()


def test_a_failed_node_leaves_the_run_going_and_its_error_travels(user: User, drain: Drain) -> None:
    document = draw(
        {
            "in": (INPUT, {"name": "in", "value": "many"}),
            "sum": (CALCULATOR, {"operation": "Add", "b": 1}),
            "out": (OUTPUT, {"name": "out"}),
            "errors": (OUTPUT, {"name": "errors"}),
        },
        ["in.result -> sum.a", "sum.result -> out.value", "sum.error -> errors.value"],
    )

    run = start(user, document)
    drain.run()

    assert ended(run).status == Status.COMPLETED
    assert run.node_error_count == 1
    (error,) = outputs_of(run)["errors"]
    assert error.startswith("Invalid inputs: a:")
    assert "out" not in outputs_of(run)


def test_a_failed_node_fails_the_run_where_the_graph_asks_for_it(user: User, drain: Drain) -> None:
    document = draw(
        {
            "in": (INPUT, {"name": "in", "value": "many"}),
            "sum": (CALCULATOR, {"operation": "Add", "b": 1}),
            "slow": (TIMER, {"seconds": 600}),
        },
        ["in.result -> sum.a"],
        on_error="fail_run",
    )

    run = start(user, document)
    drain.waiting.reverse()
    drain.run()

    assert ended(run).status == Status.FAILED
    assert "“sum” failed: Invalid inputs: a" in run.error
    assert set(NodeExecution.objects.values_list("status", flat=True)) == {
        Status.COMPLETED,
        Status.FAILED,
        Status.TERMINATED,
    }


def test_an_endless_loop_fails_the_run_and_names_the_limit_and_the_busiest_node(user: User, drain: Drain) -> None:
    document = draw(
        {"start": (CONVERTER, {"type": "number", "value": "1"}), "round": (CALCULATOR, {"operation": "Add", "b": 1})},
        ["start.value -> round.a", "round.result -> round.a"],
        max_node_executions=50,
    )

    run = start(user, document)
    drain.run()

    assert ended(run).status == Status.FAILED
    assert "more than 50 node executions" in run.error
    assert "“round”" in run.error
    assert run.opened == 51


def test_what_never_fired_is_listed_with_the_pins_that_it_lacked(user: User, drain: Drain) -> None:
    document = draw(
        {
            "a": (INPUT, {"name": "a", "value": 1}),
            "b": (INPUT, {"name": "b"}),
            "sum": (CALCULATOR, {"operation": "Add"}),
        },
        ["a.result -> sum.a", "b.result -> sum.b"],
    )

    run = start(user, document)
    drain.run()

    assert ended(run).status == Status.COMPLETED
    (warning,) = run.warnings
    assert warning["lacking_pins"] == ["b"]
    assert NodeExecution.objects.get(pk=warning["node_execution_id"]).status == Status.INCOMPLETE


def test_a_mask_replaces_what_links_and_constants_give(user: User, drain: Drain) -> None:
    document = draw(
        {
            "in": (INPUT, {"name": "in", "value": 1}),
            "sum": (CALCULATOR, {"operation": "Add", "b": 1}),
            "out": (OUTPUT, {"name": "out"}),
        },
        ["in.result -> sum.a", "sum.result -> out.value"],
    )
    version = import_graph(owner=user, document=document).version
    node = next(node for node in version.nodes.all() if node.metadata["customized_name"] == "sum")

    run = start_execution(
        user=user, version=version, input_data={}, nodes_input_masks={str(node.node_id): {"a": 10, "b": 20}}
    )
    drain.run()

    assert outputs_of(ended(run)) == {"out": [30.0]}


def test_simulated_runs_make_up_what_blocks_can_not_do(user: User, drain: Drain) -> None:
    document = draw(
        {
            "unknown": ("11111111-2222-4333-8444-555555555555", {}),
            "model": ("1f292d4a-41a4-4977-9684-7c8d560b9f91", {}),
            "out": (OUTPUT, {"name": "out"}),
            "mocked": (CALCULATOR, {}),
            "sum": (OUTPUT, {"name": "sum"}),
        },
        ["unknown.answer -> model.prompt", "model.response -> out.value", "mocked.result -> sum.value"],
    )

    run = start(user, document, simulate=True, mocks={CALCULATOR: [["result", 1], ["result", 2]]})
    drain.run()

    assert outputs_of(ended(run)) == {"out": ["sample response"], "sum": [1, 2]}


def test_texts_that_the_database_can_not_keep_are_mended(user: User, drain: Drain) -> None:
    document = draw(
        {
            "in": (INPUT, {"name": "in"}),
            "print": (PRINT, {}),
            "sum": (CALCULATOR, {"operation": "Add", "b": 1}),
            "out": (OUTPUT, {"name": "out"}),
        },
        ["in.result -> print.text", "print.output -> out.value", "in.result -> sum.a"],
    )

    run = start(user, document, input_data={"in": "a\u0000b\ud800"})
    drain.run()

    assert ended(run).status == Status.COMPLETED
    assert outputs_of(run) == {"out": ["a\u0000b\ud800"]}
    printed = NodeExecution.objects.get(execution=run, node_id=find_node(run, "print"))
    assert printed.log.startswith("a\N{REPLACEMENT CHARACTER}b")


def test_a_result_that_can_not_be_recorded_fails_its_node(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_numbers(value: Any) -> str:
        if isinstance(value, float):
            raise ValueError("no numbers today")
        return dump(value)

    document = draw(
        {
            "sum": (CALCULATOR, {"operation": "Add", "a": 1, "b": 1}),
            "out": (OUTPUT, {"name": "out"}),
            "errors": (OUTPUT, {"name": "errors"}),
        },
        ["sum.result -> out.value", "sum.error -> errors.value"],
    )
    monkeypatch.setattr("execution.large_values.dump", refuse_numbers)

    run = start(user, document)
    drain.run()

    assert ended(run).status == Status.COMPLETED
    assert outputs_of(run) == {"errors": ["The block's result can't be recorded (ValueError)."]}


@pytest.mark.parametrize(("asked", "status"), [(OnError.FAIL_RUN, Status.FAILED), (None, Status.COMPLETED)])
def test_a_run_may_ask_to_fail_with_its_first_failed_node(
    user: User, drain: Drain, asked: OnError | None, status: Status
) -> None:
    document = draw(
        {"sum": (CALCULATOR, {"operation": "Add", "b": 1}), "in": (INPUT, {"name": "in", "value": "x"})},
        ["in.result -> sum.a"],
    )

    run = start(user, document, on_error=asked)
    drain.run()

    assert ended(run).status == status


def find_node(run: Execution, name: str) -> UUID:
    """Return the id of the node with this name."""
    nodes = run.graph_version.nodes.all()
    return next(node.node_id for node in nodes if node.metadata["customized_name"] == name)
