"""What many do to one account at the same moment is counted and told once each."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from credits.auditing import find_faults
from credits.models import LedgerEntry, Notice, TopUp
from credits.pricing import Usage
from tests.credits.booking import GRAPH, account_of, capture, charge_fee, flat_price, set_balance, standing, subject
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 16
TIMES = 5


def at_once(work: Callable[[], object]) -> None:
    """Let many threads do it, each several times."""

    def work_on() -> None:
        for _ in range(TIMES):
            work()

    run_at_once(*[work_on] * THREADS)


def test_a_crossing_is_told_once_and_leads_to_one_top_up(user: User) -> None:
    set_balance(user.pk, 550)
    Notice.objects.all().delete()
    type(account_of(user.pk)).objects.filter(user=user).update(auto_top_up_threshold=300, auto_top_up_amount=500)

    at_once(lambda: capture(user_id=user.pk, subject=subject(), price=flat_price(7), usage=Usage(), has_failed=False))

    notices = Notice.objects.order_by("kind").values_list("kind", "balance")
    assert list(notices) == [("LOW_BALANCE", 494), ("OUT_OF_CREDITS", 0)]
    assert not Notice.objects.filter(told_at=None).exists()
    assert TopUp.objects.filter(account__user=user, kind="AUTO").count() == 1
    assert standing(user.pk) == (0, 0, TIMES * THREADS * 7 - 550)
    assert find_faults() == ()


def test_every_hundredth_node_execution_costs_a_credit_whoever_counts_it(user: User) -> None:
    set_balance(user.pk, 1_000)

    at_once(
        lambda: charge_fee(
            user_id=user.pk, execution_id=(run := uuid4()), root_execution_id=run, graph_id=GRAPH, count=33
        )
    )

    counted = TIMES * THREADS * 33
    account = account_of(user.pk)
    assert (account.node_executions, account.unbilled_executions) == (counted, counted % 100)
    assert standing(user.pk) == (1_000 - counted // 100, 0, 0)
    fees = LedgerEntry.objects.filter(account=account, key__startswith="fee:").values_list("amount", flat=True)
    assert list(fees) == [-1] * (counted // 100)
    assert find_faults() == ()
