"""Refunds as the provider tells of them: the books follow, however often, late and in whatever order."""

from itertools import permutations

import pytest
from rest_framework.test import APIClient

from credits.models import Notice, RefundRequest
from credits.refunds import approve_refund
from tests.credits.booking import standing
from tests.credits.paying import ask_back, buy, by_webhook, entries_of, refund_of, start, taken, tell
from tests.credits.stripe_double import StripeDouble

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_news_of_a_refund_count_once(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    ask_back(client, top_up)
    refund = refund_of(stripe_double)

    for kind in ("refund.created", "refund.updated", "refund.created"):
        tell(stripe_double, kind, refund)

    assert taken(payer) == [(-1_000, 0)]
    assert standing(payer) == (100, 0, 0)


def test_a_refund_that_takes_its_time_counts_when_it_is_done(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.refund_status = "pending"
    asked = ask_back(client, top_up).json()
    refund = refund_of(stripe_double)
    before = taken(payer)

    tell(stripe_double, "refund.updated", {**refund, "status": "succeeded"})

    assert (asked["status"], before) == ("APPROVED", [])
    assert taken(payer) == [(-1_000, 0)]
    assert RefundRequest.objects.get().status == "REFUNDED"


def test_a_refund_that_comes_back_is_given_back_once(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    ask_back(client, top_up)
    refund = refund_of(stripe_double)

    for _ in range(2):
        tell(stripe_double, "refund.failed", {**refund, "status": "failed"})

    assert standing(payer) == (1_100, 0, 0)
    assert RefundRequest.objects.get().status == "PENDING"
    assert "The refund of 1000 credits was not made" in Notice.objects.get(kind="REFUND_REQUESTED").text


def test_a_refund_made_at_the_provider_counts_too(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    refund = {"id": "re_by_hand", "object": "refund", "payment_intent": top_up.payment_id}

    tell(stripe_double, "refund.created", {**refund, "amount": 300, "status": "succeeded"})

    assert taken(payer) == [(-300, 0)]
    assert ask_back(client, top_up).status_code == 409


def test_a_refund_that_failed_is_made_anew_when_it_is_approved_again(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    ask_back(client, top_up)
    first = refund_of(stripe_double)
    first["status"] = "failed"
    tell(stripe_double, "refund.failed", first["id"])
    between = (RefundRequest.objects.get().status, standing(payer))

    approve_refund(request=RefundRequest.objects.get(), reason="Try another way.", actor_id=None)
    tell(stripe_double, "refund.failed", first["id"])

    assert between == ("PENDING", (1_100, 0, 0))
    assert refund_of(stripe_double)["id"] != first["id"]
    assert RefundRequest.objects.get().refund_id == refund_of(stripe_double)["id"]
    assert (RefundRequest.objects.get().status, standing(payer)) == ("REFUNDED", (100, 0, 0))


def test_news_of_a_refund_may_come_in_any_order(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    facts = {"object": "refund", "payment_intent": top_up.payment_id, "amount": 300}
    status = {"created": "pending", "updated": "succeeded", "failed": "failed"}

    for number, order in enumerate(permutations(status)):
        for _ in range(2):
            for kind in order:
                refund = {**facts, "id": f"re_{number}", "status": status[kind]}
                assert tell(stripe_double, f"refund.{kind}", refund).status_code == 204

            assert standing(payer) == (1_100, 0, 0)


def test_a_refund_at_the_provider_is_not_taken_for_the_one_that_was_approved(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.outage = True
    ask_back(client, top_up)
    by_hand = {"id": "re_1", "object": "refund", "payment_intent": top_up.payment_id, "amount": 300}

    tell(stripe_double, "refund.created", {**by_hand, "status": "succeeded"})

    assert (RefundRequest.objects.get().status, RefundRequest.objects.get().refund_id) == ("APPROVED", None)


def test_a_refund_may_be_told_before_its_payment(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    session = start(client)
    payment_id = stripe_double.pay(session)
    by_hand = {"id": "re_1", "object": "refund", "payment_intent": payment_id, "amount": 300, "status": "succeeded"}

    tell(stripe_double, "refund.created", by_hand)
    by_webhook(stripe_double, session)

    assert (entries_of(payer), taken(payer)) == ([1_000], [(-300, 0)])
