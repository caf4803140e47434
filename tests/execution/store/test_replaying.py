"""A replay begins where its origin was, runs again what it should, and ends as the origin did."""

import random
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from kombu import Connection
from pytest_django import Settings

from execution.engine.statuses import ENDED, Status
from execution.examination import examine
from execution.exceptions import ExecutionNotFoundError, ExecutionNotReplayableError, ReplayInvalidError
from execution.models import Execution, NodeExecution, Output, RunOutput, SimulatedValue, StaticValue
from execution.planning import load_plan
from execution.services import replay_execution, resume_execution, start_execution, stop_execution
from graphs.exceptions import GraphInvalidError
from graphs.models import GraphVersion
from graphs.services import import_graph, replace_graph
from tests.execution.blocks import FailsOnceBlock
from tests.execution.drain import Drain
from tests.execution.families import make_family
from tests.execution.random_graphs import make_document
from tests.execution.reference import outputs_by_name
from tests.execution.small_graphs import CALCULATOR, INPUT, OUTPUT, STEP, draw, node_id

pytestmark = pytest.mark.django_db(transaction=True)

LINE: dict[str, tuple[str, dict[str, Any]]] = {
    "in": (INPUT, {"name": "in", "value": [1, 2, 3]}),
    "each": (STEP, {}),
    "add": (CALCULATOR, {"operation": "Add", "b": 10}),
    "double": (CALCULATOR, {"operation": "Multiply", "b": 2}),
    "out": (OUTPUT, {"name": "out"}),
    "first": (OUTPUT, {"name": "first"}),
}
ARROWS = ["in.result -> each.items", "each.item -> add.a", "add.result -> double.a", "double.result -> out.value"]
TO_FIRST = "in.result -> first.value"


def save(user: User, document: dict[str, Any]) -> GraphVersion:
    """Save a graph; the ids of its nodes are those that were drawn, as it is no first version."""
    first = import_graph(owner=user, document=document).version
    return replace_graph(graph=first.graph, document=document).version


def run_to_its_end(user: User, drain: Drain, version: GraphVersion, **asked: Any) -> Execution:
    run = start_execution(user=user, version=version, **{"input_data": {}, **asked})
    drain.run()
    run.refresh_from_db()
    return run


def replay(origin: Execution, name: str, ordinal: int = 0, **asked: Any) -> Execution:
    node = NodeExecution.objects.get(execution=origin, node_id=node_id(name), ordinal=ordinal)
    return replay_execution(execution_id=origin.pk, node_execution_id=node.pk, **asked)


def replay_of(origin: Execution, name: str, ordinal: int = 0) -> Execution:
    """Replay an imported graph's run: its nodes have ids of their own."""
    named = {node.name: node.id for node in load_plan(origin.graph_version_id).plan.nodes.values()}
    node = NodeExecution.objects.get(execution=origin, node_id=named[name], ordinal=ordinal)
    return replay_execution(execution_id=origin.pk, node_execution_id=node.pk)


def finish(drain: Drain, run: Execution) -> Execution:
    drain.run(order=random.Random(0))
    run.refresh_from_db()
    assert run.status in ENDED
    assert run.unfinished == 0
    return run


def outputs_of(run: Execution) -> dict[str, list[Any]]:
    return outputs_by_name(RunOutput.objects.filter(execution=run).order_by("position").values_list("name", "value"))


def account(run: Execution) -> Mapping[tuple[str, int], Any]:
    """Everything that the rows say about a run's node executions, but for who they are."""
    return {
        (str(row.node_id), row.ordinal): (
            row.status,
            {**row.inputs, **dict(row.later_inputs.values_list("pin", "value"))},
            list(row.outputs.order_by("position").values_list("pin", "value")),
        )
        for row in NodeExecution.objects.filter(execution=run)
    }


def ran(run: Execution) -> set[tuple[str, int]]:
    """Return the nodes' names and the ordinals of what was not reused."""
    names = {node_id(name): name for name in LINE}
    rows = NodeExecution.objects.filter(execution=run, reused_from__isnull=True)
    return {(names[str(row.node_id)], row.ordinal) for row in rows}


@pytest.mark.parametrize("seed", range(5))
def test_replays_of_replays_from_anywhere_end_as_the_run_did(
    user: User, drain: Drain, broker: Connection, seed: int
) -> None:
    origin = run_to_its_end(user, drain, import_graph(owner=user, document=make_document(seed)).version)
    expected, chance, run = account(origin), random.Random(seed), origin

    for _ in range(3):
        rows = NodeExecution.objects.filter(execution=run, queued_at__isnull=False).order_by("id")
        chosen = chance.choice(list(rows))
        run = replay_execution(execution_id=run.pk, node_execution_id=chosen.pk)
        finish(drain, run)

        assert account(run) == expected
        assert outputs_of(run) == outputs_of(origin)
        assert len(run.warnings) == len(origin.warnings)
        assert (run.opened, run.node_count) == (origin.opened, origin.node_count)
    assert examine() == []


def test_only_the_chosen_one_and_what_follows_from_it_runs_again(user: User, drain: Drain) -> None:
    origin = run_to_its_end(user, drain, save(user, draw(LINE, [*ARROWS, TO_FIRST])))
    chosen = NodeExecution.objects.get(execution=origin, node_id=node_id("add"), ordinal=1)

    run = finish(drain, replay(origin, "add", 1))

    # Those behind it are reused, and what they emit travels after it: so it opens what is behind the next node anew.
    assert ran(run) == {("add", 1), *((name, number) for name in ("double", "out") for number in (1, 2))}
    assert outputs_of(run) == {"out": [22, 24, 26], "first": [[1, 2, 3]]}
    assert (run.origin_id, run.origin_node_execution_id) == (origin.pk, chosen.pk)
    reused = NodeExecution.objects.filter(execution=run, reused_from__isnull=False)
    assert {(row.attempt, row.worker, row.walltime) for row in reused} == {(0, "", 0.0)}
    assert set(reused.values_list("reused_from", flat=True)) <= set(
        NodeExecution.objects.filter(execution=origin).values_list("id", flat=True)
    )


def test_who_is_not_ordered_does_not_wait_for_the_chosen_one(user: User, drain: Drain) -> None:
    document = draw(LINE, ARROWS)
    for node in document["nodes"]:
        node["metadata"]["ordered"] = False
    origin = run_to_its_end(user, drain, save(user, document))

    run = finish(drain, replay(origin, "add", 1))

    assert ran(run) == {("add", 1), ("double", 2), ("out", 2)}
    assert sorted(outputs_of(run)["out"]) == [22, 24, 26]


def test_what_failed_runs_again_wherever_it_is(user: User, drain: Drain, settings: Settings) -> None:
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.blocks"]
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "in": (INPUT, {"name": "in", "value": [1, 2, 3]}),
        "each": (STEP, {}),
        "fails": (FailsOnceBlock.id, {"fails_at": 2}),
        "out": (OUTPUT, {"name": "out"}),
        "last": (OUTPUT, {"name": "last"}),
    }
    arrows = [
        "in.result -> each.items",
        "each.item -> fails.value",
        "fails.after -> out.value",
        "each.item -> last.value",
    ]
    origin = run_to_its_end(user, drain, save(user, draw(nodes, arrows)))
    assert (outputs_of(origin)["out"], origin.node_error_count) == ([1, 3], 1)

    run = finish(drain, replay(origin, "last", 2))

    assert outputs_of(run) == {"out": [1, 2, 3], "last": [1, 2, 3]}
    assert run.node_error_count == 0


def test_a_newer_version_runs_what_has_changed_in_it_and_what_follows(user: User, drain: Drain) -> None:
    old = save(user, draw(LINE, [*ARROWS, TO_FIRST]))
    origin = run_to_its_end(user, drain, old)
    newer = {name: node for name, node in LINE.items() if name != "first"}
    newer["double"] = (CALCULATOR, {"operation": "Multiply", "b": 3})
    replace_graph(graph=old.graph, document=draw(newer, ARROWS))

    run = finish(drain, replay(origin, "out", 2, version=old.version + 1))

    assert ran(run) == {(name, number) for name in ("double", "out") for number in range(3)}
    assert outputs_of(run) == {"out": [33, 36, 39]}
    assert run.graph_version.version == old.version + 1


def test_inputs_and_masks_that_a_newer_version_has_no_use_for_are_dropped(user: User, drain: Drain) -> None:
    nodes = {**LINE, "more": (INPUT, {"name": "more"})}
    old = save(user, draw(nodes, ARROWS))
    masks = {node_id("add"): {"b": 20}, node_id("first"): {"value": 1}}
    origin = run_to_its_end(user, drain, old, input_data={"in": [5], "more": 1}, nodes_input_masks=masks)
    replace_graph(graph=old.graph, document=draw({name: LINE[name] for name in LINE if name != "first"}, ARROWS))

    run = finish(drain, replay(origin, "add", version=old.version + 1))

    assert outputs_of(run) == {"out": [50]}
    assert (run.input_data, run.nodes_input_masks) == ({"in": [5]}, {node_id("add"): {"b": 20}})


def test_a_run_that_was_stopped_is_replayed_from_what_it_had(user: User, drain: Drain) -> None:
    run = start_execution(user=user, version=save(user, draw(LINE, ARROWS)), input_data={})
    for _ in range(5):
        drain.run_one(drain.waiting.pop(0))
    stop_execution(execution_id=run.pk)
    done = NodeExecution.objects.filter(execution=run, status=Status.COMPLETED).count()

    again = replay(run, "add", 1)
    reused = NodeExecution.objects.filter(execution=again, reused_from__isnull=False).count()
    finish(drain, again)

    assert 0 < reused <= done
    assert outputs_of(again)["out"] == [22, 24, 26]
    assert again.status == Status.COMPLETED


def test_sub_runs_and_static_values_are_where_they_were(user: User, drain: Drain) -> None:
    origin = run_to_its_end(user, drain, import_graph(owner=user, document=make_family()).version)
    statics = set(StaticValue.objects.filter(execution=origin).values_list("node_id", "pin"))

    run = replay_of(origin, "agent", 1)
    begun = set(StaticValue.objects.filter(execution=run).values_list("node_id", "pin"))
    finish(drain, run)

    assert begun == statics
    assert outputs_of(run) == outputs_of(origin)
    # One is run anew; the other two keep what theirs emitted.
    assert Execution.objects.filter(parent__execution=run).count() == 1
    sub_run = Execution.objects.filter(parent__execution=origin).order_by("id")[0]
    assert outputs_of(finish(drain, replay_of(sub_run, "add"))) == outputs_of(sub_run)


def test_a_replay_can_be_stopped_and_resumed(user: User, drain: Drain) -> None:
    origin = run_to_its_end(user, drain, save(user, draw(LINE, ARROWS)))
    run = replay(origin, "add", 0)
    reused = NodeExecution.objects.filter(execution=run, reused_from__isnull=False).count()

    stop_execution(execution_id=run.pk)
    drain.waiting.clear()
    resume_execution(execution_id=run.pk)
    finish(drain, run)

    assert outputs_of(run) == outputs_of(origin)
    assert NodeExecution.objects.filter(execution=run, reused_from__isnull=False).count() == reused > 0


def test_a_simulated_run_remembers_in_its_replay_what_it_had_set(user: User, drain: Drain) -> None:
    origin = run_to_its_end(user, drain, save(user, draw(LINE, ARROWS)), simulate=True)
    SimulatedValue.objects.create(execution=origin, key="kept", value=1)

    run = replay(origin, "add")

    assert run.simulate
    assert SimulatedValue.objects.get(execution=run).value == 1


def test_where_nothing_is_left_to_run_the_replay_has_ended_at_once(user: User, drain: Drain) -> None:
    old = save(user, draw({name: LINE[name] for name in ("in", "first")}, [TO_FIRST]))
    origin = run_to_its_end(user, drain, old)
    replace_graph(graph=old.graph, document=draw({name: LINE[name] for name in ("in", "first")}))

    run = replay(origin, "first", version=old.version + 1)

    # Without its link, the node that was chosen starts by itself: with other inputs, so it is not the one that ran.
    assert ran(run) == {("first", 0)}
    assert finish(drain, run).status == Status.COMPLETED


def test_the_outputs_of_a_replay_are_recorded_in_the_order_of_the_origin(user: User, drain: Drain) -> None:
    origin = run_to_its_end(user, drain, save(user, draw(LINE, ARROWS)))

    run = replay(origin, "out", 2)

    def order(of: Execution) -> list[tuple[Any, int, int]]:
        rows = Output.objects.filter(node_execution__execution=of, node_execution__status="COMPLETED")
        rows = rows.exclude(node_execution__node_id=node_id("out"), node_execution__ordinal=2)
        return list(
            rows.order_by("recorded_at", "position").values_list(
                "node_execution__node_id", "node_execution__ordinal", "position"
            )
        )

    assert order(run) == order(origin)
    assert not NodeExecution.objects.filter(execution=run, ended_at__lt=run.created_at).exists()


@pytest.mark.parametrize("version", [None, 3])
def test_what_cannot_be_replayed_is_refused(user: User, drain: Drain, version: int | None) -> None:
    saved = save(user, draw(LINE, ARROWS))
    waiting = start_execution(user=user, version=saved, input_data={})
    replace_graph(graph=saved.graph, document=draw(LINE, ARROWS))

    with pytest.raises(ExecutionNotReplayableError, match="has not ended"):
        replay(waiting, "in", version=version)
    drain.run()
    with pytest.raises(ExecutionNotFoundError):
        replay_execution(execution_id=waiting.pk, node_execution_id=uuid4(), version=version)
    with pytest.raises(ExecutionNotFoundError):
        replay_execution(execution_id=uuid4(), node_execution_id=uuid4(), version=version)


def test_versions_that_do_not_fit_are_refused(user: User, drain: Drain) -> None:
    old = save(user, draw(LINE, [*ARROWS, TO_FIRST]))
    run_to_its_end(user, drain, old)
    rest = {name: node for name, node in LINE.items() if name != "first"}
    new = replace_graph(graph=old.graph, document=draw(rest, ARROWS)).version
    newest = run_to_its_end(user, drain, new)
    broken = {**LINE, "out": ("00000000-0000-4000-8000-000000000000", {})}
    replace_graph(graph=old.graph, document=draw(broken, ARROWS))
    origin = Execution.objects.get(graph_version=old)

    with pytest.raises(ReplayInvalidError, match="older"):
        replay(newest, "add", version=old.version)
    with pytest.raises(ReplayInvalidError, match="doesn't have the node"):
        replay(origin, "first", version=old.version + 1)
    with pytest.raises(GraphInvalidError):
        replay(origin, "add", version=new.version + 1)
    assert Execution.objects.count() == 2


def test_what_never_got_its_inputs_is_no_place_to_replay_from(user: User, drain: Drain) -> None:
    nodes = {**LINE, "lone": (INPUT, {"name": "lone"}), "sum": (CALCULATOR, {"operation": "Add"})}
    arrows = [*ARROWS, "each.item -> sum.a", "lone.result -> sum.b"]
    origin = run_to_its_end(user, drain, save(user, draw(nodes, arrows)))

    with pytest.raises(ExecutionNotReplayableError, match="never got all its inputs"):
        replay(origin, "sum")
    run = finish(drain, replay(origin, "out", 0))
    assert len(run.warnings) == len(origin.warnings) == 3
