"""The fee for node executions: every hundredth of a user costs a credit, counted exactly, whatever repeats."""

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from credits.exceptions import FundsLackingError
from credits.models import LedgerEntry
from execution.engine.statuses import Status
from execution.models import Execution
from execution.services import resume_execution, start_execution
from tests.credits.booking import give, set_balance, standing
from tests.execution.charging.paid_runs import charges, save, start
from tests.execution.drain import Drain
from tests.execution.paid_blocks import PAID
from tests.execution.small_graphs import CALCULATOR, STEP

pytestmark = pytest.mark.django_db(transaction=True)


def test_node_executions_are_counted_for_the_fee(payer: User, drain: Drain, settings: Settings) -> None:
    settings.NODE_EXECUTIONS_PER_CREDIT = 5
    version = save(payer, {"each": (STEP, {"items": [1, 2]}), "paid": (PAID, {})}, ["each.item -> paid.value"])

    runs = [start_execution(user=payer, version=version, input_data={}) for _ in range(4)]
    drain.run()

    account = payer.credit_account
    account.refresh_from_db()
    assert account.node_executions == 12
    fees = LedgerEntry.objects.filter(account=account, key__startswith="fee:")
    assert [-entry.amount for entry in fees] == [1, 1]
    assert {entry.execution_id for entry in fees} <= {run.pk for run in runs}
    assert sum(Execution.objects.values_list("cost", flat=True)) == 8 * 7 + 2


def test_a_fee_that_the_balance_does_not_cover_is_owed(user: User, drain: Drain, settings: Settings) -> None:
    settings.NODE_EXECUTIONS_PER_CREDIT = 1
    set_balance(user.pk, 8)
    run = start(user, {"a": (PAID, {}), "b": (CALCULATOR, {"operation": "Add", "a": 1})}, ["a.value -> b.b"])

    drain.run()
    owed = standing(user.pk)
    with pytest.raises(FundsLackingError):
        start(user, {"free": (CALCULATOR, {"operation": "Add", "a": 1, "b": 2})})
    give(user.pk, 10)

    run.refresh_from_db()
    assert (run.status, run.cost, owed) == (Status.COMPLETED, 9, (0, 0, 1))
    assert standing(user.pk) == (9, 0, 0)


def test_what_goes_on_is_counted_for_the_fee_once(user: User, drain: Drain, settings: Settings) -> None:
    settings.NODE_EXECUTIONS_PER_CREDIT = 1
    set_balance(user.pk, 10)
    run = start(user, {"a": (PAID, {"value": 5}), "b": (PAID, {})}, ["a.value -> b.value"])
    drain.run()
    run.refresh_from_db()
    counted = (run.status, run.billed_executions, user.credit_account.entries.filter(key__startswith="fee:").count())
    give(user.pk, 100)

    resume_execution(execution_id=run.pk)
    drain.run()

    run.refresh_from_db()
    user.credit_account.refresh_from_db()
    assert counted == (Status.FAILED, 2, 1)
    assert (run.status, run.node_count, run.cost) == (Status.COMPLETED, 2, 16)
    assert user.credit_account.node_executions == 2


def test_a_simulated_run_is_not_counted_for_the_fee(payer: User, drain: Drain, settings: Settings) -> None:
    settings.NODE_EXECUTIONS_PER_CREDIT = 1
    run = start(payer, {"a": (PAID, {}), "b": (CALCULATOR, {"operation": "Add", "a": 1, "b": 2})}, simulate=True)

    drain.run()

    run.refresh_from_db()
    payer.credit_account.refresh_from_db()
    assert (run.status, run.node_count, run.cost) == (Status.COMPLETED, 2, 0)
    assert (payer.credit_account.node_executions, charges(payer)) == (0, [])


def test_fees_can_be_switched_off(payer: User, drain: Drain, settings: Settings) -> None:
    settings.NODE_EXECUTIONS_PER_CREDIT = 0
    run = start(payer, {"a": (PAID, {}), "b": (CALCULATOR, {"operation": "Add", "a": 1, "b": 2})})

    drain.run()

    run.refresh_from_db()
    payer.credit_account.refresh_from_db()
    assert (run.status, run.cost, charges(payer)) == (Status.COMPLETED, 7, [7])
    assert payer.credit_account.node_executions == 0
