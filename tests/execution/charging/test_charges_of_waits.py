"""What is used before a wait is paid for like what is used after it; the waiting itself costs nothing."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from credits.models import LedgerEntry
from credits.price_list import set_price
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, Review
from execution.services import decide_review, resume_execution
from tests.execution.charging.paid_runs import charges, save, start
from tests.execution.drain import Drain
from tests.execution.small_graphs import CALCULATOR
from tests.execution.working_blocks import TAKES, WORKING, WORKING_ASYNC

pytestmark = pytest.mark.django_db(transaction=True)

BY_USE: list[dict[str, Any]] = [
    {"type": "ITEMS", "amount": 1},
    {"type": "COST_USD", "amount": 0.1},
    {"type": "TOKENS", "amount": 1, "rates": {"large": {"input": 1_000_000}}},
]


def go(user: User, drain: Drain, block: str = WORKING, **inputs: Any) -> tuple[Execution, NodeExecution]:
    """Run a working block until it has ended; what it asks a person is approved."""
    run = start(user, save(user, {"works": (block, inputs)}, on_error="fail_run"))
    drain.run()
    for review in Review.objects.filter(node_execution__execution=run):
        decide_review(user=user, review=review, approved=True, data=1)
        drain.run()
    return Execution.objects.get(pk=run.pk), NodeExecution.objects.get(execution=run)


@pytest.mark.parametrize("block", [WORKING, WORKING_ASYNC])
@pytest.mark.parametrize("waits", ["sleep", "ask", "graph"])
def test_seconds_before_waits_are_paid_and_counted(payer: User, drain: Drain, block: str, waits: str) -> None:
    below = save(payer, {"sum": (CALCULATOR, {"operation": "Add", "a": 1, "b": 2})})

    run, node = go(payer, drain, block, waits=str(below.graph_id) if waits == "graph" else waits)

    entry = LedgerEntry.objects.get(type="USAGE")
    assert (run.status, node.waits) == (Status.COMPLETED, 2)
    assert entry.quantity is not None
    assert entry.quantity >= TAKES
    assert charges(payer)[0] > TAKES / 0.1 - 1
    assert node.walltime == pytest.approx(entry.quantity)
    assert run.nodes_walltime == pytest.approx(node.walltime)
    assert run.nodes_cputime == pytest.approx(node.cputime)


def test_what_a_block_does_again_takes_its_time_again(payer: User, drain: Drain) -> None:
    _, node = go(payer, drain, remembers=False)

    assert node.walltime >= 3 * TAKES
    assert charges(payer)[0] >= 6


@pytest.mark.parametrize("price", BY_USE, ids=lambda price: price["type"])
@pytest.mark.parametrize("remembers", [True, False])
def test_what_was_told_before_waits_counts_once(
    payer: User, drain: Drain, price: dict[str, Any], remembers: bool
) -> None:
    set_price(block_id=WORKING, costs=[price], reason="By use.")

    run, _ = go(payer, drain, remembers=remembers)

    assert (run.cost, charges(payer)) == (16, [16])


@pytest.mark.parametrize("fails", ["to be tried again", "for good"])
def test_what_an_attempt_used_that_failed_is_not_paid(payer: User, drain: Drain, fails: str) -> None:
    set_price(block_id=WORKING, costs=[{"type": "ITEMS", "amount": 1}], reason="By use.")

    run, node = go(payer, drain, fails=fails)
    if fails == "for good":
        resume_execution(execution_id=run.pk)
        drain.run()

    run.refresh_from_db()
    node.refresh_from_db()
    assert (run.status, charges(payer)) == (Status.COMPLETED, [6])
    assert run.nodes_walltime == pytest.approx(node.walltime)
    assert node.walltime >= TAKES
