"""A run above a sub-run that FAILED goes on with it: resumed by a user, or because the node is tried again."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.examination import examine
from execution.models import Execution, NodeExecution, PastAttempt
from execution.recovery import sweep
from execution.services import resume_execution
from tests.execution.blocks import FailsOnceBlock
from tests.execution.drain import Drain
from tests.execution.families import AGENT
from tests.execution.small_graphs import ASK, CALCULATOR, INPUT, OUTPUT, STEP, draw, node_id
from tests.execution.small_runs import ended, outputs_of, start

# Whoever examines the broker, too, must not find what others have left there.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]

FAILS_ONCE: dict[str, tuple[str, dict[str, Any]]] = {
    "n": (INPUT, {"name": "n"}),
    "try": (FailsOnceBlock.id, {"fails_at": 5}),
    "before": (OUTPUT, {"name": "before"}),
    "after": (OUTPUT, {"name": "after"}),
}
ARROWS = ["n.result -> try.value", "try.before -> before.value", "try.after -> after.value"]

LOOP = (
    {"n": (INPUT, {"name": "n", "value": 1}), "add": (CALCULATOR, {"operation": "Add", "b": 1})},
    ["n.result -> add.a", "add.result -> add.a"],
)


@pytest.fixture(autouse=True)
def blocks_of_tests(settings: Settings) -> None:
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.blocks"]


def nest(sub: dict[str, Any], *, retry: dict[str, Any] | None = None, **asked: Any) -> dict[str, Any]:
    """Return a graph that runs `sub` as its node “agent”, with the input n = 5."""
    sub["id"] = node_id("sub")
    outputs: dict[str, Any] = {"before": {}, "after": {}}
    schemas = {"input_schema": {"properties": {"n": {}}}, "output_schema": {"properties": outputs}}
    document = draw(
        {
            "in": (INPUT, {"name": "in", "value": 5}),
            "agent": (AGENT, {"graph_id": sub["id"], "graph_version": 1, "inputs": {}, **schemas}),
            **{name: (OUTPUT, {"name": name}) for name in (*outputs, "error")},
        },
        ["in.result -> agent.n", *(f"agent.{name} -> {name}.value" for name in (*outputs, "error"))],
        **asked,
    )
    if retry:
        agent = next(node for node in document["nodes"] if node["block_id"] == AGENT)
        agent["metadata"]["retry"] = retry
    return {**document, "sub_graphs": [sub]}


def test_a_failed_sub_run_goes_on_with_the_run_that_it_failed(user: User, drain: Drain) -> None:
    run = start(user, nest(draw(FAILS_ONCE, ARROWS, on_error="fail_run"), on_error="fail_run"))
    drain.run()
    child = Execution.objects.get(root=run)
    assert (ended(run).status, ended(child).status) == (Status.FAILED, Status.FAILED)

    resume_execution(execution_id=run.pk)
    drain.run()

    assert (ended(run).status, ended(child).status) == (Status.COMPLETED, Status.COMPLETED)
    assert outputs_of(run) == {"before": [5], "after": [5]}
    assert Execution.objects.filter(root=run).count() == 1
    assert (run.node_error_count, child.resumptions) == (0, 1)
    assert examine() == []


def test_a_node_that_is_tried_again_lets_its_sub_run_go_on(user: User, drain: Drain) -> None:
    retry = {"max_attempts": 2, "first_delay": 0.01}
    run = start(user, nest(draw(FAILS_ONCE, ARROWS, on_error="fail_run"), retry=retry))

    drain.run()

    child = Execution.objects.get(root=run)
    assert (ended(run).status, ended(child).status) == (Status.COMPLETED, Status.COMPLETED)
    assert outputs_of(run) == {"before": [5], "after": [5]}
    assert run.node_error_count == 0
    failed = PastAttempt.objects.get(outcome=PastAttempt.Outcome.FAILED, node_execution=child.parent_id)
    assert str(child.pk) in failed.error
    assert examine() == []


def test_a_node_whose_sub_run_fails_each_time_fails_after_as_many_attempts(
    user: User, drain: Drain, settings: Settings
) -> None:
    settings.MAX_NODE_EXECUTIONS_PER_RUN = 4
    run = start(user, nest(draw(*LOOP), retry={"max_attempts": 3, "first_delay": 0.01}))

    drain.run()

    child = Execution.objects.get(root=run)
    assert (ended(run).status, child.resumptions) == (Status.COMPLETED, 2)
    [error] = outputs_of(run)["error"]
    assert "more than 4 node executions" in error
    assert run.node_error_count == 1


def test_a_run_that_opened_too_much_may_open_as_much_again(user: User, drain: Drain) -> None:
    nodes: dict[str, tuple[str, Any]] = {"step": (STEP, {"items": [1, 2, 3, 4, 5]}), "out": (OUTPUT, {"name": "out"})}
    run = start(user, draw(nodes, ["step.item -> out.value"], max_node_executions=5))
    drain.run()
    assert ended(run).status == Status.FAILED
    assert "more than 5 node executions (" in run.error

    resume_execution(execution_id=run.pk)
    drain.run()

    assert ended(run).status == Status.COMPLETED
    assert outputs_of(run) == {"out": [1, 2, 3, 4, 5]}


def test_a_loop_without_end_is_cut_off_again_and_says_since_when(user: User, drain: Drain) -> None:
    run = start(user, draw(*LOOP, max_node_executions=5))
    drain.run()
    opened = ended(run).opened

    resume_execution(execution_id=run.pk)
    drain.run()

    assert ended(run).status == Status.FAILED
    assert "more than 5 node executions since it was resumed (" in run.error
    assert run.opened == opened + 6


@pytest.mark.parametrize("limits", [{"max_duration": 50}, {"idle_limit": 50}])
def test_a_run_that_took_too_long_gets_its_time_anew(
    user: User, drain: Drain, settings: Settings, limits: dict[str, Any]
) -> None:
    settings.LEASE_SECONDS = 0.002
    run = start(user, draw({"ask": (ASK, {"name": "?", "data": 1})}, **limits))
    drain.run()
    for column in ("started_at", "recorded_at"):
        Execution.objects.filter(pk=run.pk).update(**{column: F(column) - timedelta(seconds=51)})
    sweep(drain.send)
    assert ended(run).status == Status.FAILED

    resume_execution(execution_id=run.pk)
    sweep(drain.send)
    drain.run()
    sweep(drain.send)

    run.refresh_from_db()
    assert (run.status, run.unfinished) == (Status.RUNNING, 1)
    assert NodeExecution.objects.get().status == Status.REVIEW


def test_a_run_that_is_resumed_waits_for_its_turn(user: User, drain: Drain, settings: Settings) -> None:
    settings.MAX_CONCURRENT_RUNS_PER_USER = 1
    document = nest(draw(FAILS_ONCE, ARROWS, on_error="fail_run"), on_error="fail_run")
    first = start(user, document)
    drain.run()
    second = start(user, draw({"out": (OUTPUT, {"name": "out", "value": 1})}))
    waiting, drain.waiting = drain.waiting, []

    assert not resume_execution(execution_id=first.pk).admitted
    drain.run()
    assert Execution.objects.get(pk=first.pk).status == Status.QUEUED
    drain.waiting = waiting
    drain.run()

    assert (ended(first).status, ended(second).status) == (Status.COMPLETED, Status.COMPLETED)
