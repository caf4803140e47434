"""Credits are set aside for several claims at once: in whose way that is, and what becomes of them if it goes wrong."""

from dataclasses import replace
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from credits.models import Hold
from execution.beginning import _put_off_unpaid
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.store import holding
from execution.store.claims import claim_held_back, new_tokens
from tests.credits.booking import set_balance
from tests.execution.charging.paid_runs import start
from tests.execution.drain import Drain
from tests.execution.lock_waits import running_into, session_beside
from tests.execution.paid_blocks import PAID

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("paid_blocks")]

COUNT = 4


@pytest.fixture
def run(user: User, drain: Drain, quick_blocks: None) -> Execution:
    """A run that can be paid, and of which nothing has begun."""
    set_balance(user.pk, 100)
    return start(user, {f"n{number}": (PAID, {}) for number in range(COUNT)})


def test_an_account_is_locked_after_all_of_the_claims(run: Execution) -> None:
    NodeExecution.objects.update(held_back=True)
    claims = claim_held_back(run.pk, run_id=run.pk, tokens=new_tokens(COUNT), lease_seconds=1000)
    assert len(claims) == COUNT

    with session_beside() as other:
        other.execute("SELECT FROM execution_nodeexecution WHERE id = %s FOR NO KEY UPDATE", [claims[-1].id])
        with running_into(other, lambda: holding._hold_all(claims)):
            # Whoever has locked one of them by chance may get the account.
            other.execute("SELECT FROM credits_account WHERE user_id = %s FOR NO KEY UPDATE NOWAIT", [run.user_id])

    assert Hold.objects.count() == COUNT


def test_nothing_is_set_aside_for_a_claim_that_is_lost(run: Execution) -> None:
    NodeExecution.objects.update(held_back=True)
    claims = claim_held_back(run.pk, run_id=run.pk, tokens=new_tokens(COUNT), lease_seconds=1000)
    lost, stopped = claims[1], claims[2]
    NodeExecution.objects.filter(pk=lost.id).update(token=uuid4())
    NodeExecution.objects.filter(pk=stopped.id).update(status="TERMINATED")

    held = holding._hold_all(claims)

    assert [claimed.id for claimed in held] == [claims[0].id, claims[3].id]
    assert set(Hold.objects.values_list("key", flat=True)) == {claims[0].id, claims[3].id}


def test_one_that_cannot_be_paid_does_not_wait_for_one_that_waits_itself(run: Execution) -> None:
    NodeExecution.objects.update(held_back=True)
    paid, other, third = claim_held_back(run.pk, run_id=run.pk, tokens=new_tokens(3), lease_seconds=1000)
    unpaid, parked = replace(other, is_unpaid=True), replace(third, is_parked=True)

    assert _put_off_unpaid([unpaid, parked]) == [unpaid, parked]
    assert [claimed.id for claimed in _put_off_unpaid([paid, unpaid, parked])] == [paid.id, parked.id]
    assert NodeExecution.objects.get(pk=unpaid.id).status == Status.QUEUED
