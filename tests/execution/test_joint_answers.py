"""Quick blocks that are claimed and recorded several at a time: the answers are those of the machine in memory."""

import random
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.models.values import FEW_PINS
from execution.planning import load_plan
from execution.services import replay_execution, start_execution
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.families import AGENT, nest
from tests.execution.random_graphs import make_document
from tests.execution.reference import outputs_by_name, run_in_memory
from tests.execution.small_graphs import CALCULATOR, CONVERTER, INPUT, OUTPUT, STEP, draw, node_id
from tests.execution.small_runs import ended, outputs_of, start

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = 40
WIDTH = 2 * FEW_PINS
TEXT: tuple[str, dict[str, Any]] = (CONVERTER, {"type": "string"})
OUT: tuple[str, dict[str, Any]] = (OUTPUT, {"name": "out"})


@pytest.fixture(params=[1, 3])
def window(request: pytest.FixtureRequest, settings: Settings) -> None:
    """Most is held back."""
    settings.RUN_WINDOW = {"cpu": request.param, "io": request.param}


def draw_stream(*, ordered: bool = True) -> dict[str, Any]:
    """A stream through two nodes, which may not be ordered."""
    document = draw(
        {"step": (STEP, {"items": list(range(COUNT))}), "a": TEXT, "b": TEXT, "out": OUT},
        ["step.item -> a.value", "a.value -> b.value", "b.value -> out.value"],
    )
    for node in document["nodes"]:
        node["metadata"]["ordered"] = ordered or node["id"] not in (node_id("a"), node_id("b"))
    return document


def draw_joins() -> dict[str, Any]:
    """Streams that come at different paces, and a static value: all are joined."""
    add = (CALCULATOR, {"operation": "Add"})
    nodes: dict[str, Any] = {
        "step": (STEP, {"items": list(range(COUNT))}),
        "static": (INPUT, {"name": "static", "value": 1000}),
        **{name: add for name in ("plus", "sum", "total")},
        "late": (CONVERTER, {"type": "number"}),
        "out": OUT,
    }
    arrows = ["step.item -> plus.a", "static.result -> plus.b", "step.item -> late.value"]
    arrows += ["plus.result -> sum.a", "late.value -> sum.b", "sum.result -> total.a", "step.item -> total.b"]
    return draw(nodes, [*arrows, "total.result -> out.value"])


def draw_wide_join() -> dict[str, Any]:
    """Several firings of a join of many pins."""
    names = [f"to {number}" for number in range(WIDTH)]
    nodes: dict[str, Any] = {"step": (STEP, {"items": [1, 2, 3]}), **{name: TEXT for name in names}, "out": OUT}
    arrows = [f"step.item -> {name}.value" for name in names]
    return draw(nodes, [*arrows, *(f"{name}.value -> out.value_#_{name}" for name in names)])


def draw_tree() -> dict[str, Any]:
    """A graph that runs another one for each of three numbers; that one adds it to ten."""
    sub = draw(
        {
            "n": (INPUT, {"name": "n"}),
            "step": (STEP, {"items": list(range(10))}),
            "add": (CALCULATOR, {"operation": "Add"}),
            "m": (OUTPUT, {"name": "m"}),
        },
        ["step.item -> add.a", "n.result -> add.b", "add.result -> m.value"],
    )
    sub["id"] = node_id("sub")
    schemas: dict[str, Any] = {"input_schema": {"properties": {"n": {}}}, "output_schema": {"properties": {"m": {}}}}
    agent = {"graph_id": sub["id"], "graph_version": 1, "inputs": {}, **schemas}
    document = draw(
        {"step": (STEP, {"items": [100, 200, 300]}), "agent": (AGENT, agent), "out": OUT},
        ["step.item -> agent.n", "agent.m -> out.value"],
    )
    return {**document, "sub_graphs": [sub]}


def run_it(user: User, drain: Drain, document: dict[str, Any], *, seed: int) -> tuple[Execution, dict[str, list[Any]]]:
    """Run a graph; return the run, and what the machine in memory says that comes out of it."""
    version = import_graph(owner=user, document=document).version
    expected = run_in_memory(load_plan(version.pk), {})
    run = start_execution(user=user, version=version, input_data={})
    drain.run(order=random.Random(seed))
    assert ended(run).status == Status.COMPLETED
    assert run.opened == len(expected.steps)
    assert not NodeExecution.objects.filter(status=Status.COMPLETED).exclude(attempt=1, losses=0).exists()
    return run, outputs_by_name(expected.outputs)


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize("seed", range(10))
def test_random_graphs(user: User, drain: Drain, together: list[int], seed: int) -> None:
    run, expected = run_it(user, drain, make_document(seed), seed=seed)

    assert outputs_of(run) == expected
    assert max(together, default=0) > 1


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize("document", [draw_stream(), draw_joins(), draw_wide_join()], ids=["stream", "joins", "wide"])
def test_streams_and_joins(user: User, drain: Drain, together: list[int], document: dict[str, Any]) -> None:
    run, expected = run_it(user, drain, document, seed=1)

    assert outputs_of(run) == expected
    assert max(together, default=0) == 8


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize("seed", range(3))
def test_a_stream_through_nodes_that_are_not_ordered(user: User, drain: Drain, together: list[int], seed: int) -> None:
    run, expected = run_it(user, drain, draw_stream(ordered=False), seed=seed)

    assert sorted(outputs_of(run)["out"]) == sorted(expected["out"])
    assert max(together, default=0) > 1


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize("is_nested", [False, True])
def test_graphs_that_run_others(user: User, drain: Drain, together: list[int], is_nested: bool) -> None:
    document = draw_tree()
    run = start(user, nest(document) if is_nested else document)

    drain.run(order=random.Random(1))

    assert ended(run).status == Status.COMPLETED
    tree = ended(Execution.objects.filter(depth=1).get()) if is_nested else run
    assert outputs_of(tree) == {"out": [number + item for number in (100, 200, 300) for item in range(10)]}
    assert max(together, default=0) > 1


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize("seed", range(4))
def test_a_replay_gives_the_same(user: User, drain: Drain, together: list[int], seed: int) -> None:
    origin, expected = run_it(user, drain, make_document(seed), seed=seed)
    assert max(together, default=0) > 1
    chosen = random.Random(seed).choice(NodeExecution.objects.filter(status=Status.COMPLETED).order_by("id"))

    replay = replay_execution(execution_id=origin.pk, node_execution_id=chosen.pk)
    drain.run(order=random.Random(seed))

    assert outputs_of(ended(replay)) == expected
    assert NodeExecution.objects.filter(execution=replay, reused_from__isnull=False).exists()
