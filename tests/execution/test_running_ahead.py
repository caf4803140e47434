"""Quick blocks that follow one another are run ahead of the record, and recorded as if each had waited for it."""

import random
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.planning import load_plan
from execution.store.claims import worker_name
from tests.credits.booking import set_balance
from tests.execution.drain import Drain
from tests.execution.families import make_family
from tests.execution.running_ahead import Ahead, run_both_ways
from tests.execution.small_graphs import CALCULATOR, CONVERTER, OUTPUT, STEP, draw
from tests.execution.small_runs import ended, outputs_of, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("paid_blocks")]

PRINT = "f3b1c1b2-4c4f-4f0d-8d2f-4c4f0d8d2f4c"
TEXT: tuple[str, dict[str, Any]] = (CONVERTER, {"type": "string"})
IN: tuple[str, dict[str, Any]] = (CONVERTER, {"type": "number", "value": "1"})
OUT: tuple[str, dict[str, Any]] = (OUTPUT, {"name": "out"})
PLUS: tuple[str, dict[str, Any]] = (CALCULATOR, {"operation": "Add", "b": 1})


def draw_chain(length: int) -> dict[str, Any]:
    """One after the other adds 1 to what comes in, which is 1."""
    names = [f"p{number}" for number in range(length)]
    arrows = ["in.value -> p0.a", *(f"{one}.result -> {other}.a" for one, other in pairwise(names))]
    nodes = {"in": IN, **dict.fromkeys(names, PLUS), "out": OUT}
    return draw(nodes, [*arrows, f"{names[-1]}.result -> out.value"])


def test_a_chain_is_recorded_eight_at_a_time(user: User, drain: Drain, ahead: Ahead) -> None:
    run = start(user, draw_chain(14))

    assert drain.run() == 1

    first = ["in", *(f"p{number}" for number in range(7))]
    second = [*(f"p{number}" for number in range(7, 14)), "out"]
    assert (ahead.records, ahead.in_vain) == ([first, second], [])
    assert (ahead.claimed, ahead.unclaimed) == (["in", "p7"], [*first[1:], *second[1:]])
    assert outputs_of(ended(run)) == {"out": [15]}
    assert (run.status, run.node_count, run.opened) == (Status.COMPLETED, 16, 16)


def test_each_has_a_row_as_if_it_had_been_claimed(user: User, drain: Drain, ahead: Ahead) -> None:
    nodes = {"in": IN, "a": PLUS, "print": (PRINT, {}), "out": OUT}
    run = start(user, draw(nodes, ["in.value -> a.a", "a.result -> print.text", "print.output -> out.value"]))

    drain.run()

    assert ahead.records == [["in", "a", "print", "out"]]
    rows = NodeExecution.objects.filter(execution=run).order_by("opened_at")
    plan = load_plan(run.graph_version_id).plan
    assert [plan.nodes[row.node_id].name for row in rows] == list(nodes)
    assert [row.inputs for row in rows] == [{}, {"a": 1}, {"text": 2}, {"value": 2}]
    emitted = [[(each.pin, each.value) for each in row.outputs.order_by("position")] for row in rows]
    assert emitted[1:3] == [[("result", 2)], [("output", 2), ("status", "printed")]]
    assert [row.log for row in rows] == ["", "", "2.0\n", ""]
    assert len({row.token for row in rows} - {None}) == 4
    for row in rows:
        assert (row.status, row.attempt, row.ordinal, row.losses) == (Status.COMPLETED, 1, 0, 0)
        assert (row.worker, row.queue, row.tree_id, row.held_back) == (worker_name(), "cpu", run.pk, False)
        assert None not in (times := [row.opened_at, row.queued_at, row.started_at, row.claimed_at, row.ended_at])
        assert times == sorted(time for time in times if time is not None)


def test_the_time_that_each_takes_counts(user: User, drain: Drain, ahead: Ahead) -> None:
    run = start(user, draw_chain(5))

    drain.run()

    rows = NodeExecution.objects.filter(execution=run)
    assert ahead.most == 7
    assert all(row.walltime > 0 and row.cputime > 0 for row in rows)
    assert ended(run).nodes_walltime == pytest.approx(sum(row.walltime for row in rows))
    assert run.nodes_cputime == pytest.approx(sum(row.cputime for row in rows))


@pytest.mark.parametrize("most", [2, 3, 5, 8, 100])
def test_no_more_are_run_ahead_than_may_be_recorded_at_once(
    user: User, drain: Drain, ahead: Ahead, settings: Settings, most: int
) -> None:
    settings.MOST_AT_ONCE = most
    run = start(user, draw_chain(14))

    drain.run()

    assert [len(record) for record in ahead.records] == [min(most, 16)] * (16 // most) + [16 % most] * (16 % most > 0)
    assert outputs_of(ended(run)) == {"out": [15]}


def test_outputs_in_the_middle_come_in_order(user: User, drain: Drain, ahead: Ahead, settings: Settings) -> None:
    nodes = {"in": IN, "first": OUT, "a": PLUS, "second": OUT, "b": PLUS, "third": (OUTPUT, {"name": "other"})}
    arrows = ["in.value -> first.value", "first.output -> a.a", "a.result -> second.value", "second.output -> b.a"]

    run = run_both_ways(user, drain, settings, draw(nodes, [*arrows, "b.result -> third.value"]))

    # What an OUTPUT node emits is static, so nothing is run ahead on that.
    assert ahead.records[-3:] == [["in", "first"], ["a", "second"], ["b", "third"]]
    assert outputs_of(run) == {"out": [1, 2], "other": [3]}


def test_a_pin_that_a_mask_fills_needs_no_link(user: User, drain: Drain, ahead: Ahead, settings: Settings) -> None:
    nodes = {"in": IN, "a": PLUS, "never": PLUS, "join": (CALCULATOR, {"operation": "Add"}), "b": PLUS, "out": OUT}
    arrows = ["in.value -> a.a", "a.result -> join.a", "never.result -> join.b", "join.result -> b.a"]
    document = draw(nodes, [*arrows, "b.result -> out.value", "in.error -> never.a"])

    masks = {"join": {"b": 100}, "a": {"b": 10}}
    run = run_both_ways(user, drain, settings, document, nodes_input_masks=masks)

    assert ahead.records[-1] == ["in", "a", "join", "b", "out"]
    assert outputs_of(run) == {"out": [112]}


def test_what_a_mask_gives_is_not_taken_from_a_link(user: User, drain: Drain, ahead: Ahead, settings: Settings) -> None:
    masks = {"p1": {"a": 100}}

    run = run_both_ways(user, drain, settings, draw_chain(4), nodes_input_masks=masks)

    # It awaits nothing else, so what comes makes it fire all the same.
    assert ahead.most == 6
    assert outputs_of(run) == {"out": [103]}


@pytest.mark.parametrize("mocks", [{}, {"p2": {"result": 50}}])
def test_a_simulated_run_costs_nothing(
    user: User, drain: Drain, ahead: Ahead, settings: Settings, mocks: dict[str, Any]
) -> None:
    set_balance(user.pk, 0)

    run = run_both_ways(user, drain, settings, draw_chain(4), simulate=True, mocks=mocks)

    assert (ahead.most, run.cost) == (6, 0)
    assert outputs_of(run) == {"out": [51] if mocks else [5]}


def test_a_sub_run_wakes_what_waits_for_it(user: User, drain: Drain, ahead: Ahead, settings: Settings) -> None:
    run = run_both_ways(user, drain, settings, make_family())

    below = Execution.objects.filter(root=run)
    # What an INPUT node emits is static.
    assert ahead.records.count(["add", "m"]) == 3
    assert outputs_of(run) == {"out": [2, 3, 4]}
    assert [ended(each).status for each in below] == [Status.COMPLETED] * 3


@pytest.mark.parametrize("seed", range(5))
def test_a_chain_of_chance(user: User, drain: Drain, ahead: Ahead, settings: Settings, seed: int) -> None:
    """A chain from which others go off here and there, and in which some come together again."""
    chance = random.Random(seed)
    nodes: dict[str, Any] = {"in": IN, "p0": PLUS}
    arrows = ["in.value -> p0.a"]
    for number in range(1, 25):
        name, before = f"p{number}", f"p{number - 1}"
        is_join = number > 2 and chance.random() < 0.15
        nodes[name] = (CALCULATOR, {"operation": "Add", **({} if is_join else {"b": 1})})
        arrows.append(f"{before}.result -> {name}.a")
        if is_join:
            arrows.append(f"p{chance.randrange(number)}.result -> {name}.b")
        if chance.random() < 0.2:
            nodes[f"out {number}"] = (OUTPUT, {"name": f"out {number}"})
            arrows.append(f"{name}.result -> out {number}.value")
    document = draw({**nodes, "text": TEXT, "each": (STEP, {}), "out": OUT}, [*arrows, "p24.result -> text.value"])

    run_both_ways(user, drain, settings, document)

    assert ahead.most > 2
