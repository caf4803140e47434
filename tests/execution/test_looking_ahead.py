"""Before what comes is run ahead, it is looked at what waits there: where that may matter, and no further."""

import time
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from pytest_django import Settings

from execution import attempts, beginning, outlook, runner
from execution.engine.statuses import Status
from execution.models import NodeExecution
from execution.store.joins import FirstExecution, read_first_executions
from tests.execution.drain import Drain
from tests.execution.keepers import working_keeper
from tests.execution.running_ahead import Ahead
from tests.execution.small_graphs import CALCULATOR, CONVERTER, OUTPUT, STEP, draw
from tests.execution.small_runs import ended, outputs_of, start

pytestmark = pytest.mark.django_db(transaction=True)

Node = tuple[str, dict[str, Any]]

IN: Node = (CONVERTER, {"type": "number", "value": "1"})
PLUS: Node = (CALCULATOR, {"operation": "Add", "b": 1})
JOIN: Node = (CALCULATOR, {"operation": "Add"})

# What waits has come by a record of its own.
LATE: dict[str, Node] = {"in": IN, "other": IN, "join": JOIN, "out": (OUTPUT, {"name": "out"})}
LATE_ARROWS = ["in.value -> join.a", "other.value -> join.b", "join.result -> out.value"]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """At how many nodes was looked, each time."""
    asked: list[int] = []

    def look(execution_id: UUID, node_ids: Iterable[UUID]) -> dict[UUID, FirstExecution]:
        ids = list(node_ids)
        asked.append(len(ids))
        return read_first_executions(execution_id, ids)

    monkeypatch.setattr(outlook, "read_first_executions", look)
    return asked


def test_it_is_recorded_although_nobody_can_look(
    user: User, drain: Drain, ahead: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_away(*_arguments: Any) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(outlook, "read_first_executions", be_away)
    run = start(user, draw(LATE, LATE_ARROWS))

    drain.run()

    assert ahead.records == [["in"], ["other"], ["join", "out"]]
    assert outputs_of(ended(run)) == {"out": [2]}


def test_a_chain_is_not_looked_at(user: User, drain: Drain, ahead: Ahead, looks: list[int]) -> None:
    start(user, draw({"in": IN, "a": PLUS, "b": PLUS}, ["in.value -> a.a", "a.result -> b.a"]))

    drain.run()

    assert (ahead.records, looks) == ([["in", "a", "b"]], [])


def test_it_is_looked_once_before_a_record(user: User, drain: Drain, ahead: Ahead, looks: list[int]) -> None:
    """At the joins that come, and at those behind them."""
    arrows = [*LATE_ARROWS[:2], "join.result -> next.a", "in.value -> next.b", "next.result -> out.value"]
    start(user, draw({**LATE, "next": JOIN}, arrows))

    drain.run()

    assert ahead.records == [["in"], ["other", "join", "next", "out"]]
    assert looks == [2, 2]


@pytest.mark.parametrize(("most", "is_worth_it"), [(5, False), (8, True)])
def test_where_there_is_little_room_nobody_looks(
    user: User, drain: Drain, ahead: Ahead, settings: Settings, most: int, *, is_worth_it: bool
) -> None:
    settings.MOST_AT_ONCE = most
    nodes = {**LATE, "a": PLUS, "b": PLUS, "c": PLUS}
    arrows = [f"other.value -> {name}.a" for name in "abc"] + ["in.value -> join.a", "c.result -> join.b"]
    start(user, draw(nodes, [*arrows, "join.result -> out.value"]))

    drain.run()

    with_others, later = ["other", "a", "b", "c"], ["join", "out"]
    assert ahead.records == [["in"], *([with_others + later] if is_worth_it else [with_others, later])]


@pytest.mark.parametrize(("width", "records"), [(16, [["other", "join"]]), (17, [["other"], ["join"]])])
def test_a_wide_join_is_not_looked_at(  # noqa: PLR0917 - fixtures
    user: User, drain: Drain, ahead: Ahead, looks: list[int], width: int, records: list[list[str]]
) -> None:
    arrows = [f"{'in' if number else 'other'}.value -> join.items_$_{number}" for number in range(width)]
    run = start(user, draw({"in": IN, "other": IN, "join": (STEP, {})}, arrows))

    drain.run()

    assert (ahead.records, ahead.in_vain, bool(looks)) == ([["in"], *records], [], width == 16)
    assert ended(run).status == Status.COMPLETED


def test_a_wide_fan_out_is_not_looked_at(user: User, drain: Drain, ahead: Ahead, looks: list[int]) -> None:
    joins = [f"join{number}" for number in range(17)]
    arrows = [f"{name}.value -> {join}.{pin}" for join in joins for name, pin in (("in", "a"), ("other", "b"))]
    run = start(user, draw({"in": IN, "other": IN, **dict.fromkeys(joins, JOIN)}, arrows))

    drain.run()

    assert (ended(run).node_count, ahead.in_vain, looks) == (19, [], [])


def test_it_is_not_looked_far(user: User, drain: Drain, ahead: Ahead, looks: list[int]) -> None:
    steps = [f"step{number}" for number in range(3)]
    joins = [(step, f"{step}-{number}") for step in steps for number in range(10)]
    arrows = [f"other.value -> {step}.a" for step in steps] + ["in.value -> join.a", "other.value -> join.b"]
    arrows += [f"{step}.result -> {join}.a" for step, join in joins] + [f"in.value -> {join}.b" for _, join in joins]
    nodes = {"in": IN, "other": IN, "join": JOIN, **dict.fromkeys(steps, PLUS)}
    run = start(user, draw({**nodes, **dict.fromkeys((join for _, join in joins), JOIN)}, arrows))

    drain.run()

    assert (ended(run).node_count, ahead.in_vain) == (36, [])
    # The join that comes next, and behind the three others as many as make up sixteen.
    assert max(looks) == 13


def test_the_values_of_what_waits_no_more_are_not_read(user: User, drain: Drain, ahead: Ahead) -> None:
    run = start(user, draw(LATE, LATE_ARROWS))
    drain.run()
    nodes = [row.node_id for row in NodeExecution.objects.filter(execution=run)]

    found = read_first_executions(run.pk, nodes)

    assert {(each.waits, len(each.inputs)) for each in found.values()} == {(False, 0)}
    assert found.keys() == set(nodes)


def test_of_two_links_to_one_pin_the_other_may_have_delivered(user: User, drain: Drain, ahead: Ahead) -> None:
    nodes = {"in": IN, "other": IN, "merge": PLUS, "x": PLUS, "y": PLUS}
    arrows = ["in.value -> merge.a", "other.value -> merge.a", "other.value -> x.a", "x.result -> y.a"]
    run = start(user, draw(nodes, arrows))

    drain.run()

    assert (ended(run).node_count, ahead.in_vain, ahead.records[0]) == (6, [], ["in", "merge"])


def test_one_node_that_comes_twice_is_foreseen_once(user: User, drain: Drain, ahead: Ahead) -> None:
    arrows = ["in.value -> merge.a", "in.value -> a.a", "a.result -> merge.a", "merge.result -> out.value"]
    run = start(user, draw({"in": IN, "a": PLUS, "merge": PLUS, "out": LATE["out"]}, arrows))

    drain.run()

    assert ahead.in_vain == []
    assert ahead.records[0][:3] in (["in", "merge", "a"], ["in", "a", "merge"])
    assert sorted(outputs_of(ended(run))["out"]) == [2, 3]


@pytest.mark.parametrize("seconds", [0.006, 0.02])
def test_a_slow_look_is_no_reason_to_record_outputs_before(
    user: User, drain: Drain, ahead: Ahead, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """They would have been due, and what comes of them would have been opened without what was run ahead."""

    def look(execution_id: UUID, node_ids: Iterable[UUID]) -> dict[UUID, FirstExecution]:
        time.sleep(seconds)
        return read_first_executions(execution_id, node_ids)

    monkeypatch.setattr(outlook, "read_first_executions", look)
    with working_keeper([attempts, beginning, runner], monkeypatch):
        run = start(user, draw(LATE, LATE_ARROWS))
        # As it is where nobody watches.
        monkeypatch.setattr(attempts, "FIRST_FLUSH_AFTER", 0.004)
        drain.run()

    assert ahead.records[-1] == ["other", "join", "out"]
    assert outputs_of(ended(run)) == {"out": [2]}
