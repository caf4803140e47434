"""Graphs of chance, much of which is run ahead, and what must hold of each."""

import random
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from credits.auditing import find_faults
from credits.models import Hold
from execution.engine.statuses import Status
from tests.credits.booking import set_balance
from tests.execution.charging.paid_runs import charges
from tests.execution.drain import Drain
from tests.execution.paid_blocks import PAID, TALKING
from tests.execution.running_ahead import Ahead, has_orphans, run_both_ways
from tests.execution.small_graphs import CALCULATOR, CONVERTER, OUTPUT, draw
from tests.execution.small_runs import ended, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("paid_blocks")]

Node = tuple[str, dict[str, Any]]

IN: Node = (CONVERTER, {"type": "number", "value": "1"})
PLUS: Node = (CALCULATOR, {"operation": "Add", "b": 1})
FIRST_PINS = {CALCULATOR: "a", PAID: "value", TALKING: "items"}


def pin_of(node: Node) -> str:
    """Return the pin on which a node emits."""
    return "result" if node[0] == CALCULATOR else "value"


def draw_by_chance(chance: random.Random, *, merges: bool) -> dict[str, Any]:
    """Thirty nodes, each of which takes of one or two shortly before it; what it costs may go by what it takes.

    `merges`: some take two values on one pin, so they run more than once.
    """
    nodes: dict[str, Node] = {f"in{number}": IN for number in range(chance.randint(1, 4))}
    arrows = []
    for number in range(30):
        name, before = f"p{number}", list(nodes)[-8:]
        one, other = chance.choice(before), chance.choice(before)
        nodes[name] = chance.choice([PLUS, PLUS, (PAID, {}), (TALKING, {})])
        first = FIRST_PINS[nodes[name][0]]
        arrows.append(f"{one}.{pin_of(nodes[one])} -> {name}.{first}")
        if merges and chance.random() < 0.2 and one != other:
            arrows.append(f"{other}.{pin_of(nodes[other])} -> {name}.{first}")
        elif nodes[name] == PLUS and chance.random() < 0.5:
            arrows.append(f"{other}.{pin_of(nodes[other])} -> {name}.b")
    arrows.append(f"p29.{pin_of(nodes['p29'])} -> out.value")
    return draw({**nodes, "out": (OUTPUT, {"name": "out"})}, arrows)


@pytest.mark.parametrize("seed", range(6))
def test_all_comes_as_one_by_one(user: User, drain: Drain, ahead: Ahead, settings: Settings, seed: int) -> None:
    set_balance(user.pk, 10_000_000)

    run = run_both_ways(user, drain, settings, draw_by_chance(random.Random(seed), merges=False))

    assert (run.status, ahead.in_vain, has_orphans(), find_faults()) == (Status.COMPLETED, [], False, ())
    assert ahead.most > 2


@pytest.mark.parametrize("seed", range(6))
def test_where_ways_merge_and_credits_are_short_the_books_are_in_order(
    user: User, drain: Drain, ahead: Ahead, seed: int
) -> None:
    """In which order ways merge is open. So is where credits run out, but not that they do."""
    chance = random.Random(100 + seed)
    set_balance(user.pk, 10_000_000 if seed % 2 else 30)
    run = start(user, draw_by_chance(chance, merges=True), max_cost=chance.choice([None, 25]))

    drain.run()

    assert ended(run).status == (Status.COMPLETED if seed % 2 and run.max_cost is None else Status.FAILED)
    assert run.cost == sum(charges(user))
    assert run.max_cost is None or run.cost <= run.max_cost
    assert (Hold.objects.count(), has_orphans(), find_faults()) == (0, False, ())
    assert ahead.most > 2
