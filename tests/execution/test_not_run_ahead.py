"""What is not run ahead: what can't be told, is too much, isn't quick, or is noticed if it runs twice."""

from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.large_values import read_all
from execution.models import NodeExecution
from execution.paces import Paces
from execution.planning import NodeSpec
from execution.runner import run_plain
from graphs.blocks.contract import Need
from graphs.blocks.registry import find_block
from tests.credits.booking import set_balance
from tests.execution.charging.paid_runs import charges
from tests.execution.drain import Drain
from tests.execution.failing_blocks import FLAKY
from tests.execution.failing_blocks import MODULES as FAILING_BLOCKS
from tests.execution.going_on import always, begin_first, begin_several, run_on
from tests.execution.paid_blocks import COUNTING, PAID, PAID_ASYNC, TALKING
from tests.execution.running_ahead import Ahead
from tests.execution.small_graphs import CALCULATOR, CONVERTER, INPUT, OUTPUT, STEP, draw
from tests.execution.small_runs import ended, outputs_of, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("paid_blocks")]

Node = tuple[str, dict[str, Any]]

IS_QUICK = Paces.is_quick
PERSIST = "1d055e55-a2b9-4547-8311-907d05b0304d"
IN: Node = (CONVERTER, {"type": "number", "value": "1"})
PLUS: Node = (CALCULATOR, {"operation": "Add", "b": 1})
JOIN: Node = (CALCULATOR, {"operation": "Add"})
OUT: Node = (OUTPUT, {"name": "out"})

# Each with what is recorded, in order, and what of it was run ahead.
NOT_FIT: dict[str, tuple[dict[str, Node], list[str], list[list[str]], set[str]]] = {
    "more than there is room for": (
        {"in": IN, **{f"a{number}": PLUS for number in range(8)}},
        [f"in.value -> a{number}.a" for number in range(8)],
        [["in"], [f"a{number}" for number in range(8)]],
        set(),
    ),
    "a slow one among them": (
        {"in": IN, "a": PLUS, "slow": (STEP, {"items": [1]})},
        ["in.value -> a.a", "in.value -> slow.items_$_0"],
        [["in"], ["a"], ["slow"]],
        set(),
    ),
    "two values": (
        {"in": (STEP, {"items": [1, 2]}), "a": PLUS},
        ["in.item -> a.a"],
        [["in"], ["a", "a"]],
        set(),
    ),
    "a join that lacks a value": (
        {"in": IN, "other": IN, "join": JOIN, "out": OUT},
        ["in.value -> join.a", "other.value -> join.b", "join.result -> out.value"],
        [["in"], ["other", "join", "out"]],
        {"join", "out"},
    ),
    "a static link": (
        {"in": (INPUT, {"name": "in", "value": 1}), "a": PLUS, "out": OUT},
        ["in.result -> a.a", "a.result -> out.value"],
        [["in"], ["a", "out"]],
        {"out"},
    ),
    "a static value beside": (
        {"in": (INPUT, {"name": "in", "value": 1}), "a": IN, "join": JOIN, "out": OUT},
        ["a.value -> join.a", "in.result -> join.b", "join.result -> out.value"],
        [["in"], ["a"], ["join", "out"]],
        {"out"},
    ),
    "nothing": ({"in": IN, "out": OUT}, ["in.error -> out.value"], [["in"]], set()),
}


@pytest.mark.parametrize("case", NOT_FIT)
def test_all_that_comes_must_be_quick_first_executions_that_need_nothing_else(
    user: User, drain: Drain, ahead: Ahead, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    nodes, arrows, records, unclaimed = NOT_FIT[case]
    monkeypatch.setattr(Paces, "is_quick", lambda _paces, spec: spec.plan.name != "slow")
    run = start(user, draw(nodes, arrows))

    drain.run()

    assert (ahead.records, ahead.in_vain) == (records, [])
    assert set(ahead.unclaimed) == unclaimed
    assert ended(run).status == Status.COMPLETED


def draw_after(second: Node, pin: str, **more: Node) -> dict[str, Any]:
    """A node that would be run ahead of the first one's record."""
    return draw({"in": IN, "second": second, **more}, [f"in.value -> second.{pin}"])


# How it is with real paces, of blocks that all take no time.
@pytest.fixture
def all_no_time(ahead: Ahead, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_quick(_paces: Paces, spec: NodeSpec) -> bool:
        known = Paces()
        known.note(spec, 0.0)
        return IS_QUICK(known, spec)

    monkeypatch.setattr(Paces, "is_quick", is_quick)


@pytest.mark.usefixtures("all_no_time")
def test_what_is_quick_is(user: User, drain: Drain, ahead: Ahead) -> None:
    start(user, draw_after(PLUS, "a"))

    drain.run()

    assert ahead.records == [["in", "second"]]


@pytest.mark.usefixtures("all_no_time")
def test_what_leaves_traces_is_not(user: User, drain: Drain, ahead: Ahead) -> None:
    run = start(user, draw_after((PERSIST, {"key": "key"}), "value"))

    drain.run()

    assert (ahead.records, ahead.unclaimed) == ([["in"], ["second"]], [])
    assert ended(run).node_error_count == 0


@pytest.mark.usefixtures("all_no_time")
def test_what_needs_something_outside_is_not(
    user: User, drain: Drain, ahead: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(find_block(CALCULATOR)), "needs", frozenset({Need.NETWORK}))
    start(user, draw_after(PLUS, "a"))

    drain.run()

    assert (ahead.records, ahead.unclaimed) == ([["in"], ["second"]], [])


@pytest.mark.parametrize("slow", [CONVERTER, CALCULATOR])
def test_neither_what_is_slow_nor_what_follows_it_is(
    user: User, drain: Drain, ahead: Ahead, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    monkeypatch.setattr(Paces, "is_quick", lambda _paces, spec: spec.plan.block_id != slow)
    start(user, draw_after(PLUS, "a"))

    drain.run()

    assert (ahead.records, ahead.unclaimed) == ([["in"], ["second"]], [])


def test_what_turns_out_to_be_slow_is_slow_from_then_on(
    user: User, drain: Drain, ahead: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str] = []
    monkeypatch.setattr(Paces, "note", lambda _paces, spec, _seconds, **_proof: noted.append(spec.plan.name))
    start(user, draw_after(PLUS, "a"))

    drain.run()

    assert noted == ["in", "second"]


def test_a_coroutine_is_for_other_workers(user: User, drain: Drain, ahead: Ahead) -> None:
    set_balance(user.pk, 100)
    start(user, draw_after((PAID_ASYNC, {}), "value"))

    assert drain.run() == 2

    assert (ahead.records, ahead.unclaimed, charges(user)) == ([["in"], ["second"]], [], [7])


@pytest.mark.parametrize(("block", "is_told"), [(PAID, True), (TALKING, True), (COUNTING, False)])
def test_a_price_must_be_told_by_the_list(user: User, drain: Drain, ahead: Ahead, block: str, *, is_told: bool) -> None:
    set_balance(user.pk, 10_000)
    start(user, draw_after((block, {}), "value" if block == PAID else "items"))

    drain.run()

    assert ahead.records == ([["in", "second"]] if is_told else [["in"], ["second"]])
    assert len(charges(user)) == 1


def test_a_value_in_the_storage_is_not_waited_for(user: User, drain: Drain, ahead: Ahead, settings: Settings) -> None:
    settings.LARGE_VALUE_BYTES = 100
    texts: dict[str, Node] = {
        "in": (CONVERTER, {"type": "string", "value": "x" * 200}),
        "a": (CONVERTER, {"type": "string"}),
        "out": OUT,
    }
    run = start(user, draw(texts, ["in.value -> a.value", "a.value -> out.value"]))

    drain.run()

    assert (ahead.records, ahead.unclaimed) == ([["in"], ["a"], ["out"]], [])
    assert read_all({"out": outputs_of(ended(run))["out"][0]}) == {"out": "x" * 200}


def test_nothing_is_run_ahead_of_what_was_tried_before(
    user: User, drain: Drain, ahead: Ahead, settings: Settings
) -> None:
    settings.BLOCK_MODULES = FAILING_BLOCKS
    run = start(user, draw({"in": (FLAKY, {"value": 1, "failures": 1}), "a": PLUS}, ["in.after -> a.a"]))

    drain.run()

    assert (ahead.records, ahead.unclaimed) == ([["in"], ["a"]], [])
    assert NodeExecution.objects.filter(execution=ended(run), attempt=2).count() == 1


@pytest.mark.parametrize("before", [{"losses": 1}, {"suspicions": 1}, {"waits": 1}, {"attempt": 2}], ids=str)
def test_nor_of_what_was_lost_or_has_waited_before(
    user: User, drain: Drain, ahead: Ahead, before: dict[str, Any]
) -> None:
    run = start(user, draw_after(PLUS, "a"))
    attempt = begin_first(drain)
    attempt.claimed = replace(attempt.claimed, **before)

    run_on([attempt], drain)

    assert (ahead.records, ahead.unclaimed) == ([["in"], ["second"]], [])
    assert ended(run).status == Status.COMPLETED


def test_nor_of_what_fails(user: User, drain: Drain, ahead: Ahead) -> None:
    nodes: dict[str, Node] = {"in": (PAID, {"refuses": True}), "a": (CONVERTER, {"type": "string"})}
    set_balance(user.pk, 100)
    start(user, draw(nodes, ["in.error -> a.value"]))

    drain.run()

    assert (ahead.records, ahead.unclaimed) == ([["in"], ["a"]], [])


def test_nor_of_several_executions_of_one_node(user: User, drain: Drain, ahead: Ahead) -> None:
    nodes = {"in": (STEP, {"items": [1, 2]}), "a": PLUS, "out": OUT}
    start(user, draw(nodes, ["in.item -> a.a", "a.result -> out.value"]))

    run_on(begin_several(drain, [1, 2]), drain)

    assert (ahead.records, ahead.unclaimed) == ([["in"], ["a", "a"], ["out", "out"]], [])


def test_nor_by_a_process_that_is_not_to_go_on(user: User, drain: Drain, ahead: Ahead) -> None:
    start(user, draw_after(PLUS, "a"))
    drain.goes_on = False

    drain.run()

    assert (ahead.records, ahead.unclaimed) == ([["in"], ["second"]], [])


def test_nor_if_all_is_recorded_one_by_one(user: User, drain: Drain, ahead: Ahead, settings: Settings) -> None:
    settings.MOST_AT_ONCE = 1
    start(user, draw_after(PLUS, "a"))

    drain.run()

    assert (ahead.records, ahead.unclaimed) == ([["in"], ["second"]], [])


def test_nor_of_what_has_recorded_something_by_itself(user: User, drain: Drain, ahead: Ahead) -> None:
    start(user, draw_after(PLUS, "a"))
    attempt = begin_first(drain)
    emit = attempt.emit

    def emit_and_flush(pin: str, value: Any) -> bool:
        emit(pin, value)
        attempt.flush()
        return False

    attempt.emit = emit_and_flush  # type: ignore[method-assign]

    run_plain([attempt], goes_on=always)

    assert (ahead.records, ahead.unclaimed) == ([["in"]], [])
