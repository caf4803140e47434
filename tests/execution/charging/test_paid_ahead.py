"""What is run ahead is paid as if each had been claimed: nothing runs on credit, and nothing is charged in vain."""

from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from credits.auditing import find_faults
from credits.models import Hold, LedgerEntry
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, OnInsufficientCredits
from execution.planning import load_plan
from tests.credits.booking import give, set_balance, standing
from tests.execution.charging.paid_runs import charges, save, start, statuses
from tests.execution.drain import Drain
from tests.execution.going_on import sweep_until_quiet
from tests.execution.paid_blocks import COUNTING, PAID, STERN, TALKING
from tests.execution.running_ahead import Ahead, describe, describe_books, has_orphans
from tests.execution.small_graphs import OUTPUT

pytestmark = pytest.mark.django_db(transaction=True)

Node = tuple[str, dict[str, Any]]

CHEAP: Node = (PAID, {})
DEAR: Node = (PAID, {"size": "large"})
FREE: Node = (PAID, {"size": "free"})
TALKS: Node = (TALKING, {})
COUNTS: Node = (COUNTING, {})

ALIKE = [CHEAP] * 8
MIXED = [FREE, CHEAP, DEAR, FREE, TALKS, CHEAP, COUNTS, FREE, DEAR, CHEAP, (STERN, {})]


def draw_paid(chain: list[Node]) -> tuple[dict[str, Node], list[str]]:
    nodes = {f"p{number}": node for number, node in enumerate(chain)}
    arrows = [f"{one}.value -> {other}.{_pin(nodes[other])}" for one, other in pairwise(nodes)]
    return {**nodes, "out": (OUTPUT, {"name": "out"})}, [*arrows, f"p{len(chain) - 1}.value -> out.value"]


def _pin(node: Node) -> str:
    return "value" if node[0] in (PAID, STERN) else "items"


@pytest.fixture
def payers(user: User) -> list[User]:
    """Two who are alike."""
    return [user, User.objects.create_user(username="charles")]


def run_both_ways(
    payers: list[User], drain: Drain, settings: Settings, chain: list[Node], *, balance: int, **asked: Any
) -> Execution:
    """Run a chain one by one, and once more for somebody else; return the second run. Both cost the same."""
    found = []
    for payer, most in zip(payers, (1, 8), strict=True):
        settings.MOST_AT_ONCE = most
        set_balance(payer.pk, balance)
        run = start(payer, *draw_paid(chain), **asked)
        sweep_until_quiet(drain)
        found.append([describe(run), describe_books(run), standing(payer.pk), statuses(run)])
        if asked.get("on_insufficient_credits") == OnInsufficientCredits.PARK:
            give(payer.pk, 10_000)
            sweep_until_quiet(drain)
            found[-1] += [describe(run), describe_books(run), standing(payer.pk)]
    assert found[0] == found[1]
    assert not Hold.objects.exists()
    assert not has_orphans()
    assert find_faults() == ()
    return run


def test_each_is_charged_by_itself(payer: User, drain: Drain, ahead: Ahead) -> None:
    run = start(payer, *draw_paid(ALIKE))

    drain.run()

    run.refresh_from_db()
    assert ahead.records == [[f"p{number}" for number in range(8)], ["out"]]
    assert (run.status, run.cost, charges(payer)) == (Status.COMPLETED, 56, [7] * 8)
    assert (Hold.objects.count(), standing(payer.pk), find_faults()) == (0, (44, 0, 0), ())
    rows = NodeExecution.objects.filter(execution=run, is_paid=True).order_by("opened_at")
    entries = LedgerEntry.objects.filter(type="USAGE").order_by("sequence")
    assert [entry.node_execution_id for entry in entries] == [row.pk for row in rows]
    assert [(entry.node_id, entry.block_id) for entry in entries] == [(row.node_id, PAID) for row in rows]
    assert {(entry.execution_id, entry.root_execution_id) for entry in entries} == {(run.pk, run.pk)}


@pytest.mark.parametrize("chain", [ALIKE, MIXED], ids=["alike", "mixed"])
def test_it_costs_the_same(
    payers: list[User], drain: Drain, ahead: Ahead, settings: Settings, chain: list[Node]
) -> None:
    run = run_both_ways(payers, drain, settings, chain, balance=10_000)

    assert run.status == Status.COMPLETED
    assert ahead.most >= 5


@pytest.mark.parametrize("on_insufficient_credits", [OnInsufficientCredits.FAIL, OnInsufficientCredits.PARK])
@pytest.mark.parametrize("balance", [1, 7, 8, 13, 14, 30, 49, 55, 56])
def test_what_credits_do_not_suffice_for_does_not_run(  # noqa: PLR0917 - fixtures
    payers: list[User],
    drain: Drain,
    ahead: Ahead,
    settings: Settings,
    balance: int,
    on_insufficient_credits: OnInsufficientCredits,
) -> None:
    asked = {"on_insufficient_credits": on_insufficient_credits}

    run = run_both_ways(payers, drain, settings, ALIKE, balance=balance, **asked)

    parks = on_insufficient_credits == OnInsufficientCredits.PARK
    assert run.status == (Status.COMPLETED if parks or balance == 56 else Status.FAILED)
    assert bool(ahead.in_vain) is (7 <= balance < 56)
    assert run.cost == (56 if parks else balance // 7 * 7)


@pytest.mark.parametrize("balance", range(5, 105, 9))
def test_nor_in_a_chain_of_different_prices(
    payers: list[User], drain: Drain, ahead: Ahead, settings: Settings, balance: int
) -> None:
    run_both_ways(payers, drain, settings, MIXED, balance=balance)

    assert ahead.unclaimed


@pytest.mark.parametrize("items", [1, 10, 100])
@pytest.mark.parametrize("balance", [5, 9, 12, 40])
def test_what_costs_more_than_is_set_aside_for_it_is_owed(
    payers: list[User], drain: Drain, ahead: Ahead, settings: Settings, *, items: int, balance: int
) -> None:
    talks: Node = (TALKING, {"items": items})

    run_both_ways(payers, drain, settings, [talks, talks, CHEAP, talks], balance=balance)

    assert ahead.unclaimed


@pytest.mark.parametrize("max_cost", [0, 6, 7, 13, 14, 40, 55, 56])
def test_nothing_runs_beyond_what_the_run_may_cost(
    payers: list[User], drain: Drain, ahead: Ahead, settings: Settings, max_cost: int
) -> None:
    run = run_both_ways(payers, drain, settings, ALIKE, balance=10_000, max_cost=max_cost)

    assert run.status == (Status.COMPLETED if max_cost == 56 else Status.FAILED)
    assert run.cost == max_cost // 7 * 7
    assert bool(ahead.in_vain) is (7 <= max_cost < 56)


@pytest.mark.parametrize("max_cost", [None, 60])
def test_the_fee_for_node_executions_counts_each(
    payers: list[User], drain: Drain, ahead: Ahead, settings: Settings, max_cost: int | None
) -> None:
    settings.NODE_EXECUTIONS_PER_CREDIT = 1

    run = run_both_ways(payers, drain, settings, ALIKE, balance=10_000, max_cost=max_cost)

    assert (run.node_count, run.billed_executions) == (9, 9)
    assert run.cost == (60 if max_cost else 65)


def test_a_mask_may_make_it_dear(payer: User, drain: Drain, ahead: Ahead) -> None:
    version = save(payer, *draw_paid([CHEAP, CHEAP, CHEAP]))
    (dear,) = (key for key, node in load_plan(version.pk).plan.nodes.items() if node.name == "p1")

    run = start(payer, version, nodes_input_masks={str(dear): {"size": "large"}})
    drain.run()

    run.refresh_from_db()
    assert (ahead.most, charges(payer), run.cost) == (4, [7, 20, 7], 34)
