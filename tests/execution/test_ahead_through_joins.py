"""Where links join, and where several lead on, is run ahead, too: with what others have delivered before."""

import random
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from pytest_django import Settings

from credits.models import Hold
from execution import outlook
from execution.beginning import begin_next
from execution.engine.statuses import Status
from execution.interruptions import AttemptStoppedError
from execution.models import NodeExecution, NodeInput
from execution.places import Running
from execution.runner import run_plain
from execution.services import stop_execution
from execution.store.claims import worker_name
from execution.store.joins import FirstExecution, read_first_executions
from execution.store.losses import hand_back
from tests.credits.booking import set_balance, standing
from tests.execution.charging.paid_runs import charges
from tests.execution.drain import Drain
from tests.execution.going_on import always, begin_first, run_on, sweep_until_quiet
from tests.execution.outages_of_sessions import break_commits, lose_answer
from tests.execution.paid_blocks import PAID
from tests.execution.running_ahead import Ahead, describe_books, has_orphans, run_both_ways
from tests.execution.small_graphs import CALCULATOR, CONVERTER, INPUT, OUTPUT, STEP, draw
from tests.execution.small_runs import ended, outputs_of, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("paid_blocks")]

Node = tuple[str, dict[str, Any]]

IN: Node = (CONVERTER, {"type": "number", "value": "1"})
PLUS: Node = (CALCULATOR, {"operation": "Add", "b": 1})
JOIN: Node = (CALCULATOR, {"operation": "Add"})
OUT: Node = (OUTPUT, {"name": "out"})

# What waits has come by a record of its own: nothing is run ahead on what an INPUT node emits.
LATE: dict[str, Node] = {"in": IN, "other": IN, "join": JOIN, "out": OUT}
LATE_ARROWS = ["in.value -> join.a", "other.value -> join.b", "join.result -> out.value"]

# Two that are claimed at once, and lead to the same.
TWO: dict[str, Node] = {"in": (INPUT, {"name": "in", "value": 1}), "a": PLUS, "b": PLUS, "join": JOIN, "out": OUT}
TWO_ARROWS = ["in.result -> a.a", "in.result -> b.a", "a.result -> join.a", "b.result -> join.b", *LATE_ARROWS[2:]]


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


def test_what_parts_and_joins_again_is_recorded_at_once(
    user: User, drain: Drain, ahead: Ahead, settings: Settings
) -> None:
    nodes = {"in": IN, "a": PLUS, "b": PLUS, "c": PLUS, "join": JOIN, "out": OUT}
    arrows = ["in.value -> a.a", "in.value -> b.a", "b.result -> c.a", "a.result -> join.a", "c.result -> join.b"]

    run = run_both_ways(user, drain, settings, draw(nodes, [*arrows, "join.result -> out.value"]))

    assert (ahead.records[-1], ahead.in_vain) == (["in", "a", "b", "c", "join", "out"], [])
    assert outputs_of(run) == {"out": [5]}


def test_what_was_delivered_before_is_known(user: User, drain: Drain, ahead: Ahead, settings: Settings) -> None:
    run = run_both_ways(user, drain, settings, draw(LATE, LATE_ARROWS))

    assert (ahead.records[-2:], ahead.in_vain) == ([["in"], ["other", "join", "out"]], [])
    assert outputs_of(run) == {"out": [2]}
    join = NodeExecution.objects.get(execution=run, later_inputs__pin="a")
    assert (join.status, join.attempt, join.worker, join.inputs) == (Status.COMPLETED, 1, worker_name(), {})
    inputs = NodeInput.objects.filter(node_execution=join).order_by("number")
    assert [(each.number, each.pin, each.value) for each in inputs] == [(1, "a", 1), (2, "b", 1)]
    times = [join.opened_at, join.queued_at, join.started_at, join.claimed_at, join.ended_at]
    assert times == sorted(time for time in times if time is not None)
    assert join.token is not None
    assert join.lease_until is None


def test_several_lead_on_together(user: User, drain: Drain, ahead: Ahead, settings: Settings) -> None:
    run = run_both_ways(user, drain, settings, draw(TWO, TWO_ARROWS))

    assert (ahead.records[-2:], ahead.in_vain) == ([["in"], ["a", "b", "join", "out"]], [])
    assert outputs_of(run) == {"out": [4]}


def test_what_comes_of_one_of_several_is_not_held_up_by_what_does_not(
    user: User, drain: Drain, ahead: Ahead, settings: Settings
) -> None:
    nodes = {**TWO, "missing": PLUS, "lacks": JOIN}
    arrows = [*TWO_ARROWS, "a.result -> lacks.a", "in.error -> missing.a", "missing.result -> lacks.b"]

    run = run_both_ways(user, drain, settings, draw(nodes, arrows))

    assert ahead.records[-1] == ["a", "b", "join", "out"]
    assert NodeExecution.objects.get(execution=run, status="INCOMPLETE").later_inputs.count() == 1


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_price_goes_by_all_inputs(user: User, drain: Drain, ahead: Ahead, settings: Settings, size: str) -> None:
    set_balance(user.pk, 1_000)
    nodes: dict[str, Node] = {
        "size": (CONVERTER, {"type": "string", "value": size}),
        "value": (PAID, {"value": 3}),
        "paid": (PAID, {}),
        "after": (PAID, {}),
        "out": OUT,
    }
    arrows = ["size.value -> paid.size", "value.value -> paid.value", "paid.value -> after.value"]

    run = run_both_ways(user, drain, settings, draw(nodes, [*arrows, "after.value -> out.value"]))

    assert ahead.records[-2:] == [["size"], ["value", "paid", "after", "out"]]
    assert charges(user) == 2 * [7, 20 if size == "large" else 7, 7]
    assert [name for name, _ in describe_books(run)] == ["value", "paid", "after"]
    assert (outputs_of(run), Hold.objects.count(), has_orphans()) == ({"out": [3]}, 0, False)


def test_what_cannot_be_paid_is_not_run_ahead(user: User, drain: Drain, ahead: Ahead) -> None:
    set_balance(user.pk, 20)
    nodes: dict[str, Node] = {**LATE, "join": (PAID, {"size": "large"}), "other": (PAID, {"value": 2}), "out": OUT}
    arrows = ["in.value -> join.value", "other.value -> join.failures", "join.value -> out.value"]
    run = start(user, draw(nodes, arrows))

    drain.run()

    assert (ended(run).status, run.cost, charges(user)) == (Status.FAILED, 7, [7])
    assert (standing(user.pk), Hold.objects.count(), has_orphans()) == ((13, 0, 0), 0, False)


@pytest.mark.parametrize("hears", [True, False])
def test_nothing_stays_of_a_run_that_is_stopped(user: User, drain: Drain, ahead: Ahead, *, hears: bool) -> None:
    run = start(user, draw(TWO, TWO_ARROWS))

    def stop() -> None:
        stop_execution(execution_id=run.pk)
        if hears:
            raise AttemptStoppedError

    ahead.happen["join"] = stop
    sweep_until_quiet(drain)

    assert (ended(run).status, ahead.records) == (Status.TERMINATED, [["in"]])
    assert (outputs_of(run), has_orphans()) == ({}, False)


@pytest.mark.parametrize("lost", [0, 1])
def test_who_has_lost_one_of_several_claims_records_the_other(
    user: User, drain: Drain, ahead: Ahead, lost: int
) -> None:
    """What would have come of both is not recorded, and comes later."""
    run = start(user, draw(TWO, TWO_ARROWS))
    attempts = begin_next(run_plain([begin_first(drain)], goes_on=always), publish=drain.send)

    def take_away() -> None:
        claimed = attempts[lost].claimed
        running = Running(node_execution_id=claimed.id, execution_id=claimed.execution_id, token=claimed.token)
        drain.send(hand_back(running))
        if lost == 0:
            raise AttemptStoppedError

    ahead.happen["join"] = take_away
    run_on(attempts, drain)
    meanwhile = ahead.records[1:]
    sweep_until_quiet(drain)

    assert meanwhile == [["ba"[lost]]]
    assert outputs_of(ended(run)) == {"out": [4]}
    assert (run.node_count, run.opened, has_orphans()) == (5, 5, False)


def test_all_is_recorded_once_although_the_answer_is_lost(
    user: User, drain: Drain, ahead: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks = break_commits(lose_answer, of=lambda names: "complete_waiting" in names, monkeypatch=monkeypatch)
    set_balance(user.pk, 100)
    run = start(user, draw({**LATE, "other": (PAID, {"value": 1})}, LATE_ARROWS))

    drain.run()

    assert (len(breaks), ended(run).node_count, charges(user), outputs_of(run)) == (1, 4, [7], {"out": [2]})
    assert not has_orphans()


def test_what_lies_in_the_storage_is_not_waited_for(user: User, drain: Drain, ahead: Ahead, settings: Settings) -> None:
    settings.LARGE_VALUE_BYTES = 100
    nodes: dict[str, Node] = {**LATE, "in": (CONVERTER, {"type": "string", "value": "1" * 200})}
    run = start(user, draw(nodes, LATE_ARROWS))

    drain.run()

    assert (ahead.records, ahead.in_vain) == ([["in"], ["other"], ["join", "out"]], [])
    assert ended(run).status == Status.COMPLETED


def test_a_join_that_has_fired_before_is_known_to_have(user: User, drain: Drain, ahead: Ahead) -> None:
    """What fires it for the second time comes of first executions all the same."""
    arrows = [f"{name}.value -> join.{pin}" for name in ("in", "other") for pin in "ab"]
    run = start(user, draw(LATE, [*arrows, LATE_ARROWS[-1]]))

    drain.run()

    assert (ahead.records[:2], ahead.in_vain) == ([["in", "join", "out"], ["other"]], [])
    assert outputs_of(ended(run)) == {"out": [2, 2]}


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


@pytest.mark.parametrize("seed", range(8))
def test_graphs_of_chance(user: User, drain: Drain, ahead: Ahead, settings: Settings, seed: int) -> None:
    """Each takes of one or two before it, some are paid, and some slow ones come between."""
    chance = random.Random(seed)
    set_balance(user.pk, 10_000)
    nodes: dict[str, Any] = {f"in{number}": IN for number in range(chance.randint(1, 4))}
    arrows = []
    for number in range(30):
        name, before = f"p{number}", list(nodes)[-8:]
        one, other = chance.choice(before), chance.choice(before)
        is_paid = chance.random() < 0.3
        nodes[name] = (PAID, {}) if is_paid else (CALCULATOR, {"operation": "Add", "b": 1})
        arrows.append(f"{one}.{_pin_of(nodes[one])} -> {name}.{'value' if is_paid else 'a'}")
        if not is_paid and chance.random() < 0.5:
            arrows.append(f"{other}.{_pin_of(nodes[other])} -> {name}.b")
    document = draw({**nodes, "out": OUT}, [*arrows, f"{name}.{_pin_of(nodes[name])} -> out.value"])

    run = run_both_ways(user, drain, settings, document)

    assert (run.status, ahead.in_vain, has_orphans()) == (Status.COMPLETED, [], False)
    assert ahead.most > 2


def _pin_of(node: Node) -> str:
    return "result" if node[0] == CALCULATOR else "value"
