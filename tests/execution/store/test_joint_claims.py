"""Several node executions that a process claims at once: which ones go together, and what becomes of the others."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from pytest_django import Settings

from execution.beginning import begin_next
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.paces import Paces
from execution.planning import NodeSpec, load_plan
from execution.store.claims import Claimed, claim_held_back, new_tokens
from execution.store.holding import InputsAwayError, claim_held_back_and_hold, unclaim, unclaim_held
from execution.store.taking import Taker
from tests.credits.booking import set_balance, standing
from tests.execution.drain import Drain
from tests.execution.families import AGENT
from tests.execution.going_on import COMPLETED, begin_first, begin_several, run_on
from tests.execution.lock_waits import running_into, session_beside
from tests.execution.paid_blocks import PAID
from tests.execution.random_graphs import TEMPLATE
from tests.execution.small_graphs import CONVERTER, OUTPUT, STEP, draw, node_id
from tests.execution.small_runs import ended, start

pytestmark = pytest.mark.django_db(transaction=True)

ITEMS = 6
TEXT: tuple[str, dict[str, Any]] = (CONVERTER, {"type": "string"})


@pytest.fixture(autouse=True)
def nothing_is_sent(settings: Settings) -> None:
    """Only one message of a run is under way."""
    settings.RUN_WINDOW = {"cpu": 1, "io": 1}


def hold_back(
    user: User, drain: Drain, nodes: dict[str, Any], arrows: Sequence[str], *, items: int = ITEMS
) -> Execution:
    """A run that holds back all that its first node's items have led to."""
    run = start(user, draw({"step": (STEP, {"items": []}), **nodes}, arrows))
    attempt = begin_first(drain)
    for number in range(items):
        attempt.emit("item", number)
    attempt.emit("key", 0)
    attempt.end(COMPLETED)
    NodeExecution.objects.filter(status=Status.QUEUED).update(held_back=True)
    drain.waiting.clear()
    return run


@pytest.fixture
def run(user: User, quick_blocks: None, drain: Drain) -> Execution:
    return hold_back(user, drain, {"to": TEXT}, ["step.item -> to.value"])


def take(run: Execution, *, most: int = 8) -> list[Claimed]:
    return claim_held_back_and_hold(run.pk, run_id=run.pk, tokens=new_tokens(most), lease_seconds=1000)


def name_of(node: Claimed | NodeExecution) -> str:
    version_id = node.graph_version_id if isinstance(node, Claimed) else node.execution.graph_version_id
    return load_plan(version_id).plan.nodes[node.node_id].name


def find_all(name: str) -> list[NodeExecution]:
    return [node for node in NodeExecution.objects.order_by("id") if name_of(node) == name]


def held_back() -> list[tuple[str, int]]:
    """Return what is held back and untouched, in order, as names of nodes and ordinals."""
    untouched = {"status": Status.QUEUED, "held_back": True, "token": None, "lease_until": None}
    return [(name_of(node), node.ordinal) for node in NodeExecution.objects.filter(**untouched).order_by("id")]


def test_the_oldest_are_claimed_each_with_a_token_of_its_own(run: Execution) -> None:
    claims = take(run, most=4)

    assert [claimed.ordinal for claimed in claims] == [0, 1, 2, 3]
    assert len({claimed.token for claimed in claims}) == 4
    rows = NodeExecution.objects.filter(status=Status.RUNNING).values_list("id", "token", "attempt", "held_back")
    assert set(rows) == {(claimed.id, claimed.token, 1, False) for claimed in claims}
    assert held_back() == [("to", 4), ("to", 5)]
    assert all(claimed.run_holds_back for claimed in claims)


def test_all_are_claimed_if_there_are_no_more(run: Execution) -> None:
    claims = take(run)

    assert [claimed.ordinal for claimed in claims] == list(range(ITEMS))
    assert not any(claimed.run_holds_back for claimed in claims)
    assert take(run) == []


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("past", ["attempt", "losses", "suspicions", "waits"])
def test_what_was_tried_before_takes_no_others_with_it(run: Execution, past: str, number: int) -> None:
    NodeExecution.objects.filter(ordinal=number, status=Status.QUEUED).update(**{past: 1})

    (claimed,) = take(run)

    assert (claimed.ordinal, claimed.run_holds_back) == (0, True)
    assert held_back() == [("to", ordinal) for ordinal in range(1, ITEMS)]
    assert getattr(find_all("to")[number], past) == (2 if (past, number) == ("attempt", 0) else 1)


def be_quick_but_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_quick(_paces: Paces, spec: NodeSpec) -> bool:
        return spec.plan.name != name

    monkeypatch.setattr(Paces, "is_quick", is_quick)


@pytest.fixture
def mixed_run(user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch) -> Execution:
    """A run that holds back three that are quick, and behind them one that isn't."""
    be_quick_but_for("slow", monkeypatch)
    arrows = ["step.item -> to.value", "step.key -> slow.value"]
    return hold_back(user, drain, {"to": TEXT, "slow": TEXT}, arrows, items=3)


def test_the_first_ones_that_are_quick_go_together_and_the_rest_is_not_forgotten(mixed_run: Execution) -> None:
    claims = take(mixed_run)

    assert [claimed.ordinal for claimed in claims] == [0, 1, 2]
    assert held_back() == [("slow", 0)]
    # Nothing else was held back when they were claimed.
    assert all(claimed.run_holds_back for claimed in claims)


def test_one_that_is_slow_is_claimed_alone(user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    be_quick_but_for("slow", monkeypatch)
    run = hold_back(user, drain, {"slow": TEXT}, ["step.item -> slow.value"])

    (claimed,) = take(run)

    assert (claimed.ordinal, held_back()) == (0, [("slow", ordinal) for ordinal in range(1, ITEMS)])


@pytest.mark.usefixtures("goes_on")
def test_a_process_goes_on_with_what_it_has_given_back(mixed_run: Execution, drain: Drain) -> None:
    taker = Taker(take(mixed_run, most=1)[0], lease_seconds=1000)
    taker.run_holds_back = True

    attempts = begin_next(taker, publish=drain.send)
    run_on(attempts, drain)

    assert len(attempts) == 2
    assert held_back() == []
    assert len(drain.waiting) == 1  # for one that was given back: nobody had to sweep


def test_only_those_of_one_run_of_a_tree_go_together(user: User, quick_blocks: None, drain: Drain) -> None:
    sub = draw({"n": (STEP, {"items": [1] * 4}), "one": TEXT}, ["n.item -> one.value"])
    sub["id"] = node_id("sub")
    agent = {"graph_id": sub["id"], "graph_version": 1, "inputs": {}, "input_schema": {}, "output_schema": {}}
    run = start(user, {**draw({"a": (AGENT, agent), "b": (AGENT, agent)}), "sub_graphs": [sub]})
    while len(find_all("one")) < 8:
        drain.run_one(drain.waiting.pop(0))
    NodeExecution.objects.filter(status=Status.QUEUED).update(held_back=True)
    waiting = [node.execution_id for node in NodeExecution.objects.filter(status=Status.QUEUED).order_by("id")]
    assert len(set(waiting)) == 2

    claims = claim_held_back(run.pk, run_id=run.pk, tokens=new_tokens(8), lease_seconds=1000)

    assert [claimed.execution_id for claimed in claims] == [waiting[0]] * waiting.count(waiting[0])
    assert len(claims) > 1
    assert all(claimed.run_holds_back for claimed in claims)


def test_nothing_is_claimed_in_a_run_that_waits_for_its_turn(run: Execution) -> None:
    Execution.objects.update(admitted=False)

    assert take(run) == []


def test_all_can_be_given_back_if_what_one_costs_cannot_be_told(
    user: User, quick_blocks: None, paid_blocks: None, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_balance(user.pk, 100)
    run = hold_back(user, drain, {"paid": (PAID, {})}, ["step.item -> paid.value"])

    def be_away(*_arguments: Any) -> Any:
        raise OSError("The storage is away.")

    monkeypatch.setattr("execution.store.holding.read_all", be_away)

    tokens = new_tokens(8)
    with pytest.raises(InputsAwayError):
        claim_held_back_and_hold(run.pk, run_id=run.pk, tokens=tokens, lease_seconds=1000)
    unclaim_held(tokens)

    assert held_back() == [("paid", ordinal) for ordinal in range(ITEMS)]
    assert standing(user.pk) == (100, 0, 0)


def test_claims_are_given_back_in_the_order_of_their_ids(run: Execution) -> None:
    claims = take(run)
    first, second = claims[:2]
    # What is written last lies behind.
    NodeExecution.objects.filter(pk=first.id).update(log="moved")

    with session_beside() as other:
        other.execute("SELECT FROM execution_nodeexecution WHERE id = %s FOR NO KEY UPDATE", [first.id])
        with running_into(other, lambda: unclaim_from_table([first, second])):
            # Who gives them back waits for the first, and does not hold the second meanwhile.
            other.execute("SELECT FROM execution_nodeexecution WHERE id = %s FOR NO KEY UPDATE NOWAIT", [second.id])

    assert held_back() == [("to", 0), ("to", 1)]


def unclaim_from_table(claims: Sequence[Claimed]) -> None:
    """Give claims back with the rows read as they lie there: an index may have another order by chance."""
    with connection.cursor() as cursor:
        cursor.execute("SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off")
    try:
        unclaim(claims)
    finally:
        connections.close_all()


def test_who_has_lost_its_claim_gives_nothing_back(run: Execution) -> None:
    first, second = take(run, most=2)
    NodeExecution.objects.filter(pk=first.id).update(token="00000000-0000-4000-8000-000000000000")

    unclaim([first, second])

    assert NodeExecution.objects.get(pk=first.id).status == Status.RUNNING
    assert ("to", 1) in held_back()


def test_what_is_for_other_workers_is_not_opened_as_claimed(user: User, together: list[int], drain: Drain) -> None:
    nodes: dict[str, Any] = {"step": (STEP, {"items": []}), "to": TEXT, "io": (TEMPLATE, {"format": "x", "values": {}})}
    start(user, draw(nodes, ["step.item -> to.value", "step.item -> io.values_#_x"]))
    attempt = begin_first(drain)
    taker = Taker(attempt.claimed, lease_seconds=1000)
    attempt.emit("item", 1)

    attempt.end(COMPLETED, taker=taker)

    assert [name_of(claimed) for claimed in taker.claimed] == ["to"]
    (io,) = find_all("io")
    assert (io.status, io.queue, io.attempt) == (Status.QUEUED, "io", 0)


def test_several_are_opened_as_claimed_if_all_are_quick(
    user: User, together: list[int], drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_quick_but_for("slow", monkeypatch)
    nodes: dict[str, Any] = {"step": (STEP, {"items": []}), "to": TEXT, "slow": TEXT, "out": (OUTPUT, {"name": "out"})}
    run = start(user, draw(nodes, ["step.item -> to.value", "step.item -> slow.value", "to.value -> out.value"]))

    attempts = begin_several(drain, [1, 2])

    assert [name_of(attempt.claimed) for attempt in attempts] == ["to", "to"]
    assert len({attempt.claimed.token for attempt in attempts}) == 2
    run_on(attempts, drain)
    drain.run()
    assert ended(run).node_count == 7


@pytest.mark.parametrize(("name", "most"), [("step", 8), ("slow", 1)])
def test_several_are_claimed_after_one_that_was_quick(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    be_quick_but_for("slow", monkeypatch)
    start(user, draw({name: (STEP, {"items": []})}))

    assert Taker(begin_first(drain).claimed, lease_seconds=1000).most == most
