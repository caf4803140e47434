"""Credits are set aside for several claims at once: in whose way that is, and what becomes of them if it goes wrong."""

from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError

from credits.models import Hold
from execution.beginning import _put_off_unpaid, begin_with_others
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.store import holding
from execution.store.claims import claim_held_back
from execution.store.holding import claim_held_back_and_hold
from tests.credits.booking import set_balance
from tests.execution.charging.paid_runs import charges, start
from tests.execution.drain import Drain
from tests.execution.going_on import run_on
from tests.execution.lock_waits import running_into, session_beside
from tests.execution.paid_blocks import PAID
from tests.execution.small_runs import ended

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("paid_blocks")]

COUNT = 4


@pytest.fixture
def run(user: User, drain: Drain, quick_blocks: None) -> Execution:
    """A run that can be paid, and of which nothing has begun."""
    set_balance(user.pk, 100)
    return start(user, {f"n{number}": (PAID, {}) for number in range(COUNT)})


def queued() -> int:
    return NodeExecution.objects.filter(status=Status.QUEUED, attempt=0, token=None).count()


def test_an_account_is_locked_after_all_of_the_claims(run: Execution) -> None:
    NodeExecution.objects.update(held_back=True)
    claims = claim_held_back(run.pk, run_id=run.pk, most=COUNT, lease_seconds=1000)
    assert len(claims) == COUNT

    with session_beside() as other:
        other.execute("SELECT FROM execution_nodeexecution WHERE id = %s FOR NO KEY UPDATE", [claims[-1].id])
        with running_into(other, lambda: holding._hold_all(claims)):
            # Whoever has locked one of them by chance may get the account.
            other.execute("SELECT FROM credits_account WHERE user_id = %s FOR NO KEY UPDATE NOWAIT", [run.user_id])

    assert Hold.objects.count() == COUNT


def fail_once(monkeypatch: pytest.MonkeyPatch) -> None:
    failures, hold_all = iter(["once"]), holding._hold_all

    def hold_or_fail(claims: Any) -> Any:
        if len(claims) > 1 and next(failures, None):
            raise OperationalError("deadlock detected")
        return hold_all(claims)

    monkeypatch.setattr(holding, "_hold_all", hold_or_fail)


def test_claims_for_which_nothing_can_be_set_aside_are_given_back(
    run: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    NodeExecution.objects.update(held_back=True)
    fail_once(monkeypatch)

    with pytest.raises(OperationalError):
        claim_held_back_and_hold(run.pk, run_id=run.pk, most=COUNT, lease_seconds=1000)

    assert (queued(), Hold.objects.count()) == (COUNT, 0)


def test_the_one_that_comes_by_a_message_is_run_all_the_same(
    run: Execution, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_once(monkeypatch)

    attempts = begin_with_others(drain.waiting.pop(0).id, publish=drain.send)

    assert (len(attempts), queued()) == (1, COUNT - 1)
    run_on(attempts, drain)
    drain.run()
    assert (ended(run).status, charges(run.user)) == (Status.COMPLETED, [7] * COUNT)
    assert not NodeExecution.objects.exclude(attempt=1).exists()


def test_one_that_cannot_be_paid_does_not_wait_for_one_that_waits_itself(run: Execution) -> None:
    NodeExecution.objects.update(held_back=True)
    paid, other, third = claim_held_back(run.pk, run_id=run.pk, most=3, lease_seconds=1000)
    unpaid, parked = replace(other, is_unpaid=True), replace(third, is_parked=True)

    assert _put_off_unpaid([unpaid, parked]) == [unpaid, parked]
    assert [claimed.id for claimed in _put_off_unpaid([paid, unpaid, parked])] == [paid.id, parked.id]
    assert NodeExecution.objects.get(pk=unpaid.id).status == Status.QUEUED
