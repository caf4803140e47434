"""Where links join, and where several lead on, is run ahead, too: with what others have delivered before."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from credits.models import Hold
from execution.beginning import begin_next
from execution.engine.statuses import Status
from execution.interruptions import AttemptStoppedError
from execution.models import NodeExecution, NodeInput
from execution.places import Running
from execution.runner import run_plain
from execution.services import stop_execution
from execution.store.claims import worker_name
from execution.store.losses import hand_back
from tests.credits.booking import set_balance
from tests.execution.charging.paid_runs import charges
from tests.execution.drain import Drain
from tests.execution.going_on import always, begin_first, run_on, sweep_until_quiet
from tests.execution.outages_of_sessions import break_commits, lose_answer
from tests.execution.paid_blocks import PAID
from tests.execution.running_ahead import Ahead, describe_books, has_orphans, name_of, run_both_ways
from tests.execution.small_graphs import CALCULATOR, CONVERTER, INPUT, OUTPUT, draw
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


def test_nothing_is_recorded_that_would_only_come_of_itself(user: User, drain: Drain, ahead: Ahead) -> None:
    """In a loop, what was run ahead delivers what it began with; who should have, has lost its claim."""
    none, same = (CALCULATOR, {"operation": "Multiply", "b": 0}), (CALCULATOR, {"operation": "Add", "b": 0})
    nodes: dict[str, Node] = {"in": TWO["in"], "c": none, "a": PLUS, "x": JOIN, "y": same, "out": OUT}
    arrows = ["in.result -> c.a", "in.result -> a.a", "a.result -> x.a", "c.result -> x.b", "x.result -> y.a"]
    run = start(user, draw(nodes, [*arrows, "y.result -> x.a", "x.result -> out.value"]))
    attempts = begin_next(run_plain([begin_first(drain)], goes_on=always), publish=drain.send)
    lost = next(attempt.claimed for attempt in attempts if name_of(attempt.claimed) == "a")

    def take_away() -> None:
        running = Running(node_execution_id=lost.id, execution_id=lost.execution_id, token=lost.token)
        drain.send(hand_back(running))

    ahead.happen["y"] = take_away
    run_on(attempts, drain)
    meanwhile = ahead.records[1:]
    sweep_until_quiet(drain)

    assert (meanwhile, outputs_of(ended(run)), has_orphans()) == ([["c"]], {"out": [2]}, False)
