"""`max_cost`: what a run and its sub-runs are charged, the fee included, never exceeds it."""

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from credits.models import LedgerEntry
from credits.price_list import set_price
from execution.engine.statuses import Status
from execution.models import OnInsufficientCredits
from tests.credits.booking import set_balance, standing
from tests.execution.charging.paid_runs import charges, start, statuses
from tests.execution.drain import Drain
from tests.execution.paid_blocks import COUNTING, PAID, TALKING
from tests.execution.small_graphs import CALCULATOR

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_costs_no_more_than_it_may(payer: User, drain: Drain) -> None:
    run = start(
        payer,
        {"a": (PAID, {}), "b": (PAID, {}), "c": (PAID, {})},
        ["a.value -> b.value", "b.value -> c.value"],
        max_cost=20,
        on_insufficient_credits=OnInsufficientCredits.PARK,
    )

    drain.run()

    run.refresh_from_db()
    assert (run.status, run.cost) == (Status.FAILED, 14)
    assert "The run may cost 20 credits (max_cost)" in run.error


def test_what_is_used_beyond_it_is_not_charged_and_what_follows_fails(payer: User, drain: Drain) -> None:
    run = start(
        payer,
        {"a": (COUNTING, {"items": 100}), "b": (PAID, {})},
        ["a.value -> b.value"],
        max_cost=20,
    )

    drain.run()

    run.refresh_from_db()
    assert (run.status, run.cost, statuses(run)) == (Status.FAILED, 20, {"COMPLETED": 1, "FAILED": 1})
    assert "The run may cost 20 credits (max_cost): it has cost or holds 20, and this needs 7 more." in run.error
    assert standing(payer.pk) == (80, 0, 0)
    assert LedgerEntry.objects.get(type="USAGE").details["waived"] == 10


def test_a_run_that_costs_just_so_much_completes(payer: User, drain: Drain) -> None:
    run = start(
        payer,
        {"a": (PAID, {}), "b": (PAID, {}), "c": (CALCULATOR, {"operation": "Add", "a": 1})},
        ["a.value -> b.value", "b.value -> c.b"],
        max_cost=14,
    )

    drain.run()

    run.refresh_from_db()
    assert (run.status, run.cost) == (Status.COMPLETED, 14)


@pytest.mark.parametrize(("max_cost", "fee"), [(100, 2), (8, 1), (7, 0)])
def test_it_bounds_the_fee(payer: User, drain: Drain, settings: Settings, max_cost: int, fee: int) -> None:
    settings.NODE_EXECUTIONS_PER_CREDIT = 1
    run = start(
        payer,
        {"a": (PAID, {}), "b": (CALCULATOR, {"operation": "Add", "a": 1})},
        ["a.value -> b.b"],
        max_cost=max_cost,
    )

    drain.run()

    run.refresh_from_db()
    payer.credit_account.refresh_from_db()
    assert (run.status, run.cost) == (Status.COMPLETED, 7 + fee)
    assert payer.credit_account.node_executions == 2
    assert standing(payer.pk) == (93 - fee, 0, 0)


def test_what_of_the_fee_is_waived_stands_in_its_entry(payer: User, drain: Drain, settings: Settings) -> None:
    settings.NODE_EXECUTIONS_PER_CREDIT = 1
    start(payer, {"a": (PAID, {}), "b": (CALCULATOR, {"operation": "Add", "a": 1})}, ["a.value -> b.b"], max_cost=8)

    drain.run()

    fee = LedgerEntry.objects.get(key__startswith="fee:")
    assert (fee.amount, fee.owed, fee.details) == (-1, 0, {"waived": 1})


def test_what_is_owed_counts_too(user: User, drain: Drain) -> None:
    set_balance(user.pk, 10)
    run = start(user, {"a": (COUNTING, {"items": 100})}, max_cost=20)

    drain.run()

    run.refresh_from_db()
    assert (run.status, run.cost, standing(user.pk)) == (Status.COMPLETED, 20, (0, 0, 10))


def test_what_may_cost_something_is_not_begun_when_nothing_is_left(payer: User, drain: Drain) -> None:
    # By its flat price, and by what such a block used lately, it costs nothing.
    set_price(
        block_id=TALKING, costs=[{"amount": 0, "type": "TOKENS", "rates": {"large": {"output": 5000}}}], reason="Free?"
    )
    run = start(
        payer,
        {"a": (PAID, {}), "b": (TALKING, {})},
        ["a.value -> b.items"],
        max_cost=7,
    )

    drain.run()

    run.refresh_from_db()
    assert (run.status, run.cost) == (Status.FAILED, 7)
    assert charges(payer) == [7]


def test_what_may_cost_something_waits_where_there_is_nothing(user: User, drain: Drain) -> None:
    set_price(
        block_id=TALKING, costs=[{"amount": 0, "type": "TOKENS", "rates": {"large": {"output": 5000}}}], reason="Free?"
    )
    set_balance(user.pk, 7)
    run = start(
        user,
        {"a": (PAID, {"value": 1}), "b": (TALKING, {})},
        ["a.value -> b.items"],
        on_insufficient_credits=OnInsufficientCredits.PARK,
    )

    drain.run()

    assert statuses(run) == {"COMPLETED": 1, "SUSPENDED": 1}
    assert standing(user.pk) == (0, 0, 0)
