"""A join that becomes ready by a record is claimed with it, as what is new is: with its inputs, paid for, once."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User

from credits.models import Hold, LedgerEntry
from credits.pricing import Cost
from execution import prices
from execution.beginning import begin, begin_next
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, NodeInput, OnInsufficientCredits
from execution.store.claims import claim
from execution.store.taking import Taker
from tests.credits.booking import set_balance, standing
from tests.execution.charging.paid_runs import charges, start, statuses
from tests.execution.drain import Drain
from tests.execution.going_on import run_on, take_next
from tests.execution.paid_blocks import PAID
from tests.execution.small_graphs import CALCULATOR, CONVERTER, INPUT, OUTPUT
from tests.execution.small_runs import ended, outputs_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("paid_blocks")]

COST = 3
ADD: tuple[str, dict[str, Any]] = (CALCULATOR, {"operation": "Add"})
INPUTS: dict[str, Any] = {pin: (INPUT, {"name": pin, "value": number}) for number, pin in enumerate("ab", start=4)}
JOIN: dict[str, Any] = {**INPUTS, "add": ADD, "out": (OUTPUT, {"name": "out"})}
ARROWS = ["a.result -> add.a", "b.result -> add.b", "add.result -> out.value"]


@pytest.fixture
def priced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block that joins costs something, whatever it is given."""
    listed, cost = prices.list_costs, Cost(amount=Decimal(COST))
    monkeypatch.setattr(prices, "list_costs", lambda block: (cost,) if block.id == CALCULATOR else listed(block))


def end_inputs(drain: Drain) -> Taker:
    """Let what the join waits for end; the last of them takes what comes of it."""
    first, second = (begin(ready.id, publish=drain.send) for ready in drain.waiting)
    drain.waiting.clear()
    assert first is not None and second is not None
    assert not take_next(first, value=first.claimed.inputs.get("value", 4)).claimed
    return take_next(second, value=second.claimed.inputs.get("value", 5))


def find_join() -> NodeExecution:
    return NodeExecution.objects.get(pk__in=NodeInput.objects.values("node_execution"))


def test_it_is_claimed_with_all_that_was_delivered(user: User, drain: Drain) -> None:
    start(user, JOIN, ARROWS)

    (claimed,) = end_inputs(drain).claimed

    join = find_join()
    assert claimed.inputs == {"a": 4, "b": 5}
    assert (join.status, join.token, join.attempt, join.pk) == (Status.RUNNING, claimed.token, 1, claimed.id)
    assert join.worker and join.lease_until and join.queued_at and join.started_at == join.claimed_at
    assert claim(join.pk, lease_seconds=10) is None


def test_its_answer_is_that_of_one_that_comes_by_a_message(user: User, drain: Drain, goes_on: None) -> None:
    run = start(user, JOIN, ARROWS)

    assert drain.run() == 2

    assert outputs_of(ended(run)) == {"out": [9]}
    assert not NodeExecution.objects.exclude(attempt=1).exists()


@pytest.mark.usefixtures("priced")
def test_what_it_costs_is_set_aside_with_it(user: User, drain: Drain) -> None:
    set_balance(user.pk, 10)
    start(user, JOIN, ARROWS)

    taker = end_inputs(drain)

    (claimed,) = taker.claimed
    hold = Hold.objects.get()
    assert (hold.key, hold.amount, claimed.is_paid) == (claimed.id, COST, True)
    run_on(begin_next(taker, publish=drain.send), drain)
    drain.run()
    assert (charges(user), standing(user.pk)) == ([COST], (10 - COST, 0, 0))
    assert LedgerEntry.objects.get(type="USAGE").key == f"usage:{claimed.id}"


@pytest.mark.usefixtures("priced")
@pytest.mark.parametrize("policy", [OnInsufficientCredits.FAIL, OnInsufficientCredits.PARK])
def test_one_that_cannot_be_paid_is_treated_like_any_other(user: User, drain: Drain, policy: str) -> None:
    set_balance(user.pk, COST - 1)
    run = start(user, JOIN, ARROWS, on_insufficient_credits=policy)

    taker = end_inputs(drain)
    assert not taker.claimed
    run_on(begin_next(taker, publish=drain.send), drain)
    drain.run()

    run.refresh_from_db()
    failed = policy == OnInsufficientCredits.FAIL
    assert run.status == (Status.FAILED if failed else Status.RUNNING)
    assert statuses(run) == {"COMPLETED": 2, "FAILED" if failed else "SUSPENDED": 1}
    assert (charges(user), standing(user.pk)) == ([], (COST - 1, 0, 0))


def test_one_whose_price_goes_by_its_inputs_is_claimed_by_itself(user: User, drain: Drain) -> None:
    set_balance(user.pk, 100)
    texts: dict[str, Any] = {"size": (CONVERTER, {"type": "string", "value": "large"})}
    nodes = {"a": (INPUT, {"name": "a", "value": 1}), **texts, "paid": (PAID, {})}
    run = start(user, nodes, ["a.result -> paid.value", "size.value -> paid.size"])
    first, second = (begin(ready.id, publish=drain.send) for ready in drain.waiting)
    drain.waiting.clear()
    assert first is not None and second is not None
    take_next(first)

    taker = take_next(second, pin="value", value="large")

    assert not taker.claimed and [ready.id for ready, _ in taker.to_claim] == [find_join().pk]
    run_on(begin_next(taker, publish=drain.send), drain)
    assert (ended(run).cost, charges(user)) == (20, [20])


@pytest.mark.usefixtures("priced")
def test_a_mask_of_its_own_is_no_obstacle(user: User, drain: Drain) -> None:
    set_balance(user.pk, 10)
    run = start(user, JOIN, ARROWS)
    masks = {str(find_node(run, CALCULATOR)): {"b": 40}}
    Execution.objects.filter(pk=run.pk).update(nodes_input_masks=masks)
    first, _ = (begin(ready.id, publish=drain.send) for ready in drain.waiting)
    assert first is not None

    (claimed,) = take_next(first, value=2).claimed

    assert (claimed.inputs, claimed.mask) == ({"a": 2}, {"b": 40})


def find_node(run: Execution, block_id: str) -> Any:
    return run.graph_version.nodes.get(block_id=block_id).node_id


@pytest.mark.usefixtures("priced")
def test_a_price_that_goes_wrong_is_left_to_an_ordinary_claim(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_balance(user.pk, 10)
    run = start(user, JOIN, ARROWS)
    monkeypatch.setattr("execution.store.prices_at_hand.flat_price", _go_wrong)

    taker = end_inputs(drain)

    assert not taker.claimed and [ready.id for ready, _ in taker.to_claim] == [find_join().pk]
    run_on(begin_next(taker, publish=drain.send), drain)
    assert outputs_of(ended(run)) == {"out": [9]}


def _go_wrong(*_arguments: Any, **_options: Any) -> None:
    raise ArithmeticError("no price")
