"""One balance is sent back once, however many top-ups it may have come from."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from credits.models import Notice, RefundRequest, TopUp
from credits.refundable import find_on_its_way
from credits.refunds import request_refund, send_overdue_refunds
from tests.credits.booking import account_of, flat_price, hold, set_balance, standing, subject
from tests.credits.paying import ask_back, buy, tell
from tests.credits.stripe_double import StripeDouble
from tests.execution.lock_waits import lock_account, running_into, session_beside

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def paid(client: APIClient, payer: int, stripe_double: StripeDouble) -> tuple[TopUp, TopUp]:
    """Two top-ups of 1,000 credits, from two weeks, of which one has been spent."""
    first, second = buy(client, stripe_double), buy(client, stripe_double)
    TopUp.objects.filter(pk=first.pk).update(created_at=first.created_at - timedelta(weeks=1))
    set_balance(payer, 1_000)
    return first, second


def ask(user_id: int, top_up: TopUp) -> str:
    return request_refund(user_id=user_id, top_up_id=top_up.pk, reason="By mistake.").status


@pytest.mark.parametrize("is_away", [True, False])
def test_what_is_on_its_way_is_not_sent_back_again(
    client: APIClient, payer: int, stripe_double: StripeDouble, paid: tuple[TopUp, TopUp], is_away: bool
) -> None:
    stripe_double.refund_status, stripe_double.outage = "pending", is_away

    asked = [
        client.post("/v1/credits/refund-requests", {"top_up_id": each.pk, "reason": "By mistake."}).json()["status"]
        for each in paid
    ]
    stripe_double.outage = False
    send_overdue_refunds(patience_seconds=0)

    assert asked == ["APPROVED", "PENDING"]
    assert find_on_its_way(account_of(payer)) == 1_000
    assert "1000 more are on their way back" in Notice.objects.get(kind="REFUND_REQUESTED").text
    (made,) = stripe_double.all_of("refund")
    tell(stripe_double, "refund.updated", {**made, "status": "succeeded"})
    assert (standing(payer), find_on_its_way(account_of(payer))) == ((0, 0, 0), 0)


def test_what_is_being_sent_back_by_hand_is_on_its_way_too(
    payer: int, stripe_double: StripeDouble, paid: tuple[TopUp, TopUp]
) -> None:
    first, second = paid
    by_hand = {"id": "re_1", "object": "refund", "payment_intent": first.payment_id, "amount": 1_000}

    tell(stripe_double, "refund.created", {**by_hand, "status": "pending"})

    assert (ask(payer, second), find_on_its_way(account_of(payer))) == ("PENDING", 1_000)


def test_of_two_requests_at_once_one_is_sent_back(user: User, payer: int, paid: tuple[TopUp, TopUp]) -> None:
    with session_beside() as session:
        lock_account(session, user)
        with (
            running_into(session, lambda: ask(payer, paid[0])) as first,
            running_into(session, lambda: ask(payer, paid[1])) as second,
        ):
            pass

    assert sorted([first.result(), second.result()]) == ["APPROVED", "PENDING"]
    assert RefundRequest.objects.filter(status="APPROVED").count() == 1


def test_what_was_spent_is_sent_back_by_itself_for_one_week_only(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    set_balance(payer, 0)
    paid = [buy(client, stripe_double, 500) for _ in range(3)]
    for weeks, each in enumerate(paid):
        TopUp.objects.filter(pk=each.pk).update(created_at=each.created_at - timedelta(weeks=weeks))
    set_balance(payer, 0)

    asked = [ask_back(client, each).json()["status"] for each in paid]

    assert asked == ["REFUNDED", "PENDING", "PENDING"]
    assert standing(payer) == (0, 0, 500)


def test_what_is_held_for_something_under_way_is_not_left(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    set_balance(payer, 0)
    top_up = buy(client, stripe_double)
    hold(user_id=payer, subject=subject(), price=flat_price(501))

    assert ask_back(client, top_up).json()["status"] == "PENDING"
