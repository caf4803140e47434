"""What was run ahead and comes otherwise than foreseen is as if it had not been: it runs again, with a claim."""

from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from execution import foresight, outlook
from execution.attempts import Attempt, Publish
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, PastAttempt, Review
from execution.paces import paces
from execution.planning import load_plan
from execution.store.claims import Claimed
from execution.store.parts import End
from tests.credits.booking import set_balance
from tests.execution.charging.paid_runs import charges
from tests.execution.drain import Drain
from tests.execution.going_on import COMPLETED, begin_first, run_on
from tests.execution.paid_blocks import PAID
from tests.execution.running_ahead import Ahead, has_orphans, name_of, run_both_ways
from tests.execution.small_graphs import ASK, CALCULATOR, CONVERTER, OUTPUT, STEP, draw
from tests.execution.small_runs import ended, outputs_of, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("paid_blocks")]

Node = tuple[str, dict[str, Any]]

CONDITION = "715696a0-e1da-45c8-b209-c2fa9c3b0be6"
IN: Node = (CONVERTER, {"type": "number", "value": "1"})
PLUS: Node = (CALCULATOR, {"operation": "Add", "b": 1})
OUT: Node = (OUTPUT, {"name": "out"})


def draw_chain(third: Node, pin: str = "value", **settings: Any) -> dict[str, Any]:
    """A chain in which a third node, that may cost something, gets 2 on this pin."""
    nodes = {"in": IN, "a": PLUS, "third": third, "b": (CONVERTER, {"type": "number"}), "out": OUT}
    nodes["errors"] = (OUTPUT, {"name": "errors"})
    arrows = ["in.value -> a.a", f"a.result -> third.{pin}", "third.value -> b.value", "b.value -> out.value"]
    return draw(nodes, [*arrows, "third.error -> errors.value"], **settings)


def draw_loop(**settings: Any) -> dict[str, Any]:
    """Counts from 1 to 5, around a loop of three nodes."""
    nodes: dict[str, Node] = {"in": IN, "plus": PLUS, "to": (CONVERTER, {"type": "number"}), "out": OUT}
    nodes["is less"] = (CONDITION, {"operator": "<", "value2": 5})
    arrows = ["in.value -> plus.a", "plus.result -> to.value", "to.value -> is less.value1"]
    arrows += ["is less.yes_output -> plus.a", "is less.no_output -> out.value"]
    return draw(nodes, arrows, **settings)


@pytest.fixture
def payer(user: User) -> User:
    set_balance(user.pk, 1_000)
    return user


@pytest.mark.parametrize("on_error", ["continue", "fail_run"])
@pytest.mark.parametrize("pin", ["value", "refuses"])
def test_what_fails_runs_again_and_fails(
    payer: User, drain: Drain, ahead: Ahead, settings: Settings, *, on_error: str, pin: str
) -> None:
    """By itself, or because what comes to it is no boolean."""
    third: Node = (PAID, {"refuses": True} if pin == "value" else {})

    run = run_both_ways(payer, drain, settings, draw_chain(third, pin, on_error=on_error))

    assert run.status == (Status.FAILED if on_error == "fail_run" else Status.COMPLETED)
    assert (run.node_error_count, charges(payer)) == (1, [])
    records = [["in", "a"], ["third"], *([["errors"]] if on_error == "continue" else [])]
    assert ahead.records[-len(records) :] == records
    assert (ahead.unclaimed, ahead.claimed.count("third")) == (["a", "third"], 2)
    assert not has_orphans()


@pytest.mark.parametrize("third", [(PAID, {"seconds": 0.01}), (PAID, {"failures": 1})], ids=["sleeps", "tries again"])
def test_what_waits_runs_again_and_waits(
    payer: User, drain: Drain, ahead: Ahead, settings: Settings, third: Node
) -> None:
    run = run_both_ways(payer, drain, settings, draw_chain(third))

    assert outputs_of(run) == {"out": [2]}
    # In the end it is not fresh any more, so nothing is run ahead of it.
    assert ahead.records[-3:] == [["in", "a"], ["third"], ["b", "out"]]
    assert charges(payer) == [7, 7]
    assert PastAttempt.objects.count() == (2 if "failures" in third[1] else 0)
    assert not has_orphans()


def test_a_question_is_asked_once(user: User, drain: Drain, ahead: Ahead) -> None:
    nodes = {"in": IN, "a": PLUS, "ask": (ASK, {"name": "question"})}
    run = start(user, draw(nodes, ["in.value -> a.a", "a.result -> ask.data"]))

    drain.run()

    assert (ahead.records, ahead.unclaimed) == ([["in", "a"]], ["a", "ask"])
    (asked,) = Review.objects.all()
    assert (asked.node_execution.execution, asked.data) == (run, 2)


@pytest.fixture
def slow_third(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the third node emits is due to be recorded at once, if that is run ahead."""

    def make(claimed: Claimed, publish: Publish) -> Attempt:
        attempt = Attempt(claimed, publish)
        if name_of(claimed) == "third":
            attempt._flush_after = 0.0
        return attempt

    monkeypatch.setattr(foresight, "Attempt", make)


@pytest.mark.usefixtures("slow_third")
def test_what_is_so_slow_that_it_is_to_be_recorded_runs_again(
    payer: User, drain: Drain, ahead: Ahead, settings: Settings
) -> None:
    run = run_both_ways(payer, drain, settings, draw_chain((PAID, {})))

    assert outputs_of(run) == {"out": [2]}
    assert ahead.records[-2:] == [["in", "a"], ["third", "b", "out"]]
    assert charges(payer) == [7, 7]
    assert not has_orphans()


@pytest.mark.parametrize("limit", range(1, 14))
def test_the_run_ends_where_it_has_opened_too_many(
    payer: User, drain: Drain, ahead: Ahead, settings: Settings, limit: int
) -> None:
    names = [f"p{number}" for number in range(12)]
    arrows = [f"{one}.value -> {other}.value" for one, other in pairwise(names)]
    document = draw(dict.fromkeys(names, (PAID, {})), arrows, max_node_executions=limit)

    run = run_both_ways(payer, drain, settings, document)

    assert run.status == (Status.FAILED if limit < 12 else Status.COMPLETED)
    assert bool(ahead.in_vain) is (limit < 12)
    assert charges(payer) == [7] * min(limit, 12) * 2
    assert not has_orphans()


@pytest.mark.parametrize("limit", [1_000, *range(2, 14, 3)])
def test_a_loop_comes_back_to_what_has_run(
    user: User, drain: Drain, ahead: Ahead, settings: Settings, limit: int
) -> None:
    run = run_both_ways(user, drain, settings, draw_loop(max_node_executions=limit))

    assert outputs_of(run) == ({"out": [5]} if limit == 1_000 else {})
    assert bool(ahead.in_vain) is (limit == 2)
    counts = [
        len(NodeExecution.objects.filter(execution=run, node_id=row.node_id)) for row in run.node_executions.all()
    ]
    assert max(counts) == (4 if limit == 1_000 else max(counts))


def test_a_node_that_another_way_leads_to_meanwhile_has_run(payer: User, drain: Drain, ahead: Ahead) -> None:
    nodes = {"in": IN, "late": IN, "a": PLUS, "b": (PAID, {}), "out": OUT}
    arrows = ["in.value -> b.value", "late.value -> a.a", "a.result -> b.value", "b.value -> out.value"]
    run = start(payer, draw(nodes, arrows))
    late, early = begin_first(drain), begin_first(drain)
    if name_of(late.claimed) == "in":
        late, early = early, late

    def deliver() -> None:
        early.emit("value", 1)
        early.end(COMPLETED)

    ahead.happen["b"] = deliver
    run_on([late], drain)
    drain.run()

    assert outputs_of(ended(run)) == {"out": [1, 2]}
    assert ahead.in_vain == [["late", "a", "b", "out"]]
    # Nor is it foreseen again for a while; what would have come of it is not to blame.
    specs = {spec.plan.name: spec for spec in load_plan(run.graph_version_id).specs.values()}
    assert [name for name in ("a", "b", "out") if not paces.may_run_ahead(specs[name])] == ["b"]
    assert charges(payer) == [7] * 2
    assert not has_orphans()


def start_two(user: User, drain: Drain) -> tuple[Execution, Attempt]:
    """Start a run in which a node runs twice; the first of the two has begun, and nobody goes on in place."""
    nodes: dict[str, Node] = {"step": (STEP, {"items": ["1", "2"]}), "a": (CONVERTER, {"type": "number"}), "b": PLUS}
    run = start(user, draw({**nodes, "out": OUT}, ["step.item -> a.value", "a.value -> b.a", "b.result -> out.value"]))
    drain.goes_on = False
    drain.run_one(drain.waiting.pop(0))
    return run, begin_first(drain)


def test_what_an_older_one_holds_back_does_not_come(user: User, drain: Drain, ahead: Ahead) -> None:
    run, older = start_two(user, drain)
    drain.goes_on = True

    drain.run()
    meanwhile = (list(ahead.in_vain), list(ahead.records), run.node_executions.count())
    older.emit("value", 1)
    older.end(COMPLETED)
    drain.run()

    # One that isn't the first of its node may have to wait, so nothing is run ahead of it.
    assert meanwhile == ([], [["step"], ["a"]], 3)
    assert outputs_of(ended(run)) == {"out": [2, 3]}
    assert not has_orphans()


def test_what_it_released_comes_with_more(user: User, drain: Drain, ahead: Ahead) -> None:
    run, older = start_two(user, drain)
    drain.run()
    drain.goes_on = True

    run_on([older], drain)

    # The first of each was foreseen; the second comes with it, and is no reason to doubt that.
    assert (ahead.records, ahead.in_vain) == ([["step"], ["a"], ["a", "b", "out"], ["b"], ["out"]], [])
    assert outputs_of(ended(run)) == {"out": [2, 3]}


@pytest.mark.parametrize("is_noticed", [True, False])
@pytest.mark.parametrize("emits", ["[1]", "[]"])
def test_it_does_not_come_with_what_was_recorded_before(
    user: User, drain: Drain, ahead: Ahead, monkeypatch: pytest.MonkeyPatch, *, emits: str, is_noticed: bool
) -> None:
    """What comes of the first one may have been opened by then, even where it is silent."""
    nodes: dict[str, Node] = {"in": (CONVERTER, {"type": "list", "value": emits}), "each": (STEP, {}), "out": OUT}
    run = start(user, draw(nodes, ["in.value -> each.items", "each.item -> out.value"]))
    keep_end = Attempt.keep_end

    def flush_before_or_later(attempt: Attempt, end: End) -> None:
        if name_of(attempt.claimed) == "in" and is_noticed:
            attempt.flush()
        elif name_of(attempt.claimed) == "in":
            ahead.happen["each"] = attempt.flush
        keep_end(attempt, end)

    monkeypatch.setattr(Attempt, "keep_end", flush_before_or_later)

    drain.run()

    assert (ahead.claimed.count("each"), "each" in ahead.unclaimed, ahead.in_vain) == (1, not is_noticed, [])
    assert outputs_of(ended(run)) == ({"out": [1]} if emits == "[1]" else {})
    assert (ended(run).opened, ended(run).node_count) == (NodeExecution.objects.count(),) * 2
    assert not has_orphans()


def test_what_cannot_be_foreseen_is_no_reason_to_lose_anything(
    payer: User, drain: Drain, ahead: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise OSError("the storage is away")

    monkeypatch.setattr(outlook, "open_claim", fail)
    run = start(payer, draw_chain((PAID, {})))

    drain.run()

    assert (ended(run).status, max(map(len, ahead.records))) == (Status.COMPLETED, 1)
