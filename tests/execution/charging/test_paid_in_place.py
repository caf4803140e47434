"""What costs credits is gone on with like everything else, and not before its credits are set aside."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from credits.auditing import find_faults
from credits.models import Hold, LedgerEntry
from credits.price_list import set_price
from execution.beginning import begin_next
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, OnInsufficientCredits, PastAttempt
from execution.recovery import sweep
from execution.store.parts import End
from tests.credits.booking import give, set_balance, standing
from tests.execution.charging.paid_runs import charges, save, start, statuses
from tests.execution.drain import Drain
from tests.execution.going_on import begin_first, take_next
from tests.execution.outages_of_sessions import Send
from tests.execution.paid_blocks import BABBLING, PAID, PAID_ASYNC, STERN
from tests.execution.small_graphs import INPUT, OUTPUT, STEP

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("goes_on")]

IN: dict[str, Any] = {"in": (INPUT, {"name": "in", "value": 1})}
CHAIN: dict[str, Any] = {**IN, **{name: (PAID, {}) for name in ("a", "b", "c")}, "out": (OUTPUT, {"name": "Out"})}
ARROWS = ["in.result -> a.value", "a.value -> b.value", "b.value -> c.value", "c.value -> out.value"]


def start_one(user: User, block: str = PAID, **asked: Any) -> Execution:
    """A run in which one node follows another, and costs 7 credits."""
    return start(user, {**IN, "paid": (block, {})}, ["in.result -> paid.value"], **asked)


def find_paid() -> NodeExecution:
    return NodeExecution.objects.get(is_paid=True)


def waits_untouched(node: NodeExecution) -> bool:
    """Whether it is as if nobody had claimed it yet."""
    traces = (node.token, node.lease_until, node.started_at, node.attempt)
    return node.status == Status.QUEUED and traces == (None, None, None, 0)


def test_it_is_opened_as_claimed_with_its_credits_set_aside(payer: User, drain: Drain) -> None:
    start_one(payer)

    taker = take_next(begin_first(drain))

    node, (claimed,) = find_paid(), taker.claimed
    assert claimed.price is not None
    assert (node.pk, node.status, node.token, node.attempt) == (claimed.id, Status.RUNNING, claimed.token, 1)
    assert (taker.to_claim, taker.unsent) == ([], ())
    assert Hold.objects.get().key == node.pk
    assert standing(payer.pk) == (100, 7, 0)


def test_what_is_for_other_workers_is_sent(payer: User, drain: Drain) -> None:
    start_one(payer, PAID_ASYNC)

    taker = take_next(begin_first(drain))

    assert (taker.claimed, taker.to_claim, len(taker.unsent)) == ([], [], 1)
    assert waits_untouched(find_paid())
    assert standing(payer.pk) == (100, 0, 0)


def test_a_chain_takes_one_message_and_is_charged_once_each(payer: User, drain: Drain) -> None:
    run = start(payer, CHAIN, ARROWS)

    assert drain.run() == 1

    run.refresh_from_db()
    assert (run.status, run.cost, charges(payer)) == (Status.COMPLETED, 21, [7, 7, 7])
    assert standing(payer.pk) == (79, 0, 0)
    assert not Hold.objects.exists()
    assert not NodeExecution.objects.exclude(attempt=1).exists()
    assert find_faults() == ()


LITTLE: list[tuple[dict[str, Any], int, str]] = [
    ({}, 5, "“paid” failed: Not enough credits: this needs 7, and 5 can be spent."),
    (
        {"max_cost": 5},
        100,
        "“paid” failed: The run may cost 5 credits (max_cost): it has cost or holds 0, and this needs 7 more.",
    ),
]


@pytest.mark.parametrize(("asked", "balance", "reason"), LITTLE)
def test_what_cannot_be_paid_is_not_opened_as_claimed_and_fails_its_run(
    user: User, drain: Drain, asked: dict[str, Any], balance: int, reason: str
) -> None:
    set_balance(user.pk, balance)
    run = start_one(user, **asked)

    taker = take_next(begin_first(drain))
    opened = (taker.claimed, waits_untouched(find_paid()), Hold.objects.count(), standing(user.pk))
    assert not begin_next(taker, publish=drain.send)

    run.refresh_from_db()
    assert opened == ([], True, 0, (balance, 0, 0))
    assert (run.status, run.error) == (Status.FAILED, reason)
    assert (find_paid().attempt, drain.waiting, standing(user.pk)) == (1, [], (balance, 0, 0))


def test_what_cannot_be_paid_yet_is_parked_and_goes_on_when_it_can(user: User, drain: Drain) -> None:
    set_balance(user.pk, 5)
    run = start_one(user, on_insufficient_credits=OnInsufficientCredits.PARK)

    taker = take_next(begin_first(drain))
    was_untouched = waits_untouched(find_paid())
    assert not begin_next(taker, publish=drain.send)
    parked = find_paid()
    give(user.pk, 2)
    sweep(drain.send)
    drain.run()

    run.refresh_from_db()
    assert was_untouched
    assert (parked.status, parked.needs_credits, parked.attempt) == (Status.SUSPENDED, 7, 0)
    assert (run.status, charges(user), standing(user.pk)) == (Status.COMPLETED, [7], (0, 0, 0))
    assert find_paid().attempt == 1


@pytest.mark.parametrize(("max_cost", "is_taken"), [(13, False), (14, True)])
def test_what_its_predecessor_cost_counts(payer: User, drain: Drain, max_cost: int, is_taken: bool) -> None:
    run = start(payer, {"a": (PAID, {}), "b": (PAID, {})}, ["a.value -> b.value"], max_cost=max_cost)

    taker = take_next(begin_first(drain), pin="value")
    begin_next(taker, publish=drain.send)

    run.refresh_from_db()
    assert bool(taker.claimed) is is_taken
    assert charges(payer) == [7]
    assert (run.status, standing(payer.pk)) == (
        (Status.RUNNING, (93, 7, 0)) if is_taken else (Status.FAILED, (93, 0, 0))
    )


def test_what_its_predecessor_lets_go_can_be_set_aside_again(user: User, drain: Drain) -> None:
    set_balance(user.pk, 7)
    start(user, {"a": (PAID, {}), "b": (BABBLING, {})}, ["a.error -> b.quantity"])
    attempt = begin_first(drain)
    before = standing(user.pk)

    taker = take_next(attempt, pin="error", value="nan", end=End(status=Status.FAILED, error="nan"))

    assert taker.claimed
    assert (before, standing(user.pk)) == ((7, 7, 0), (7, 5, 0))


def test_an_input_in_the_storage_is_not_waited_for(payer: User, drain: Drain, settings: Settings) -> None:
    settings.LARGE_VALUE_BYTES = 1
    run = start(payer, {"each": (STEP, {"items": []}), "paid": (PAID, {})}, ["each.item -> paid.size"])

    taker = take_next(begin_first(drain), pin="item", value="large")
    opened = (taker.claimed, waits_untouched(find_paid()), standing(payer.pk))
    (attempt,) = begin_next(taker, publish=drain.send)

    assert opened == ([], True, (100, 0, 0))
    take_next(attempt, pin="value")
    run.refresh_from_db()
    assert (run.status, charges(payer)) == (Status.COMPLETED, [20])


def test_a_mask_in_the_storage_is_not_waited_for(payer: User, drain: Drain, settings: Settings) -> None:
    version = save(payer, {**IN, "paid": (PAID, {})}, ["in.result -> paid.value"])
    paid = str(version.nodes.get(block_id=PAID).node_id)
    settings.LARGE_VALUE_BYTES = 1
    run = start(payer, version, nodes_input_masks={paid: {"size": "large"}})

    taker = take_next(begin_first(drain))
    was_untouched = waits_untouched(find_paid())
    (attempt,) = begin_next(taker, publish=drain.send)

    assert (taker.claimed, was_untouched) == ([], True)
    take_next(attempt, pin="value")
    run.refresh_from_db()
    assert (run.status, charges(payer)) == (Status.COMPLETED, [20])


def test_it_costs_what_it_costs_who_is_sent_a_message_for_it(payer: User, drain: Drain) -> None:
    """By its size: all of its inputs count, wherever they come from, in the form in which the block gets them."""
    set_balance(payer.pk, 1000)
    set_price(block_id=STERN, costs=[{"amount": 0.5, "type": "BYTE"}], reason="By size.")
    version = save(payer, {**IN, "paid": (STERN, {"seconds": 0})}, ["in.result -> paid.value"])
    paid = str(version.nodes.get(block_id=STERN).node_id)
    for goes_on in (True, False):
        drain.goes_on = goes_on
        start(payer, version, nodes_input_masks={paid: {"size": "é" * 20}})
        drain.run()

    in_place, by_message = LedgerEntry.objects.filter(type="USAGE").order_by("sequence")
    assert in_place.details == by_message.details
    assert -in_place.amount == in_place.details["size"] // 2 > 70


def test_all_is_run_and_charged_once_although_connections_break_at_the_commit(
    payer: User, drain: Drain, losses: list[Send]
) -> None:
    run = start(payer, CHAIN, ARROWS)

    messages = drain.run()

    run.refresh_from_db()
    assert len(losses) == 4
    assert (messages, run.status, run.cost, charges(payer)) == (1, Status.COMPLETED, 21, [7, 7, 7])
    assert standing(payer.pk) == (79, 0, 0)
    assert not NodeExecution.objects.exclude(attempt=1, losses=0).exists()
    assert (PastAttempt.objects.count(), NodeExecution.objects.count(), find_faults()) == (0, 5, ())


def test_who_did_not_hear_that_it_cannot_be_paid_finds_that_out(user: User, drain: Drain, losses: list[Send]) -> None:
    set_balance(user.pk, 5)
    run = start_one(user)

    drain.run()

    run.refresh_from_db()
    assert len(losses) == 1
    assert (run.status, standing(user.pk)) == (Status.FAILED, (5, 0, 0))
    assert run.error == "“paid” failed: Not enough credits: this needs 7, and 5 can be spent."
    assert statuses(run) == {"COMPLETED": 1, "FAILED": 1}
