"""Money that goes back: asked for, made at the provider, or disputed."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from credits.exceptions import PaymentUnavailableError, ReasonMissingError, RefundRefusedError
from credits.models import LedgerEntry, Notice, RefundRequest, TopUp
from credits.refunds import approve_refund, reject_refund
from credits.webhooks import follow_news
from tests.credits.booking import give, set_balance, standing
from tests.credits.stripe_double import StripeDouble

pytestmark = pytest.mark.django_db(transaction=True)


def tell(double: StripeDouble, kind: str, thing: Any) -> None:
    body, signature = double.sign(kind, thing)
    follow_news(body=body.encode(), headers={"Stripe-Signature": signature})


def buy(client: APIClient, double: StripeDouble, amount: int = 1_000) -> TopUp:
    """Top up, and pay."""
    top_up = TopUp.objects.get(pk=client.post("/v1/credits/top-up", {"amount": amount}).json()["id"])
    double.pay(str(top_up.session_id))
    tell(double, "checkout.session.completed", str(top_up.session_id))
    top_up.refresh_from_db()
    return top_up


def ask(client: APIClient, top_up: TopUp, **other: Any) -> Any:
    return client.post("/v1/credits/refund-requests", {"top_up_id": top_up.pk, "reason": "By mistake.", **other})


def taken(user_id: int) -> list[tuple[int, int]]:
    found = LedgerEntry.objects.filter(account__user_id=user_id, type="REFUND").order_by("sequence")
    return [(entry.amount, entry.owed) for entry in found]


def dispute_about(top_up: TopUp, amount: int = 1_000) -> dict[str, Any]:
    return {"id": "dp_1", "object": "dispute", "payment_intent": top_up.payment_id, "amount": amount}


def test_what_is_hardly_spent_is_sent_back_at_once(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, 500)

    answer = ask(client, top_up)

    assert (answer.status_code, answer.json()["status"]) == (201, "REFUNDED")
    assert taken(payer) == [(-500, 500)]
    assert standing(payer) == (0, 0, 500)


def test_what_is_mostly_spent_waits_for_an_admin(
    client: APIClient, user: User, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, 499)

    asked = ask(client, top_up).json()
    told = Notice.objects.get(kind="REFUND_REQUESTED")
    approved = approve_refund(request=RefundRequest.objects.get(), reason="All right.", actor_id=user.pk)

    assert asked["status"] == "PENDING"
    assert "1000 credits: By mistake." in told.text
    assert (approved.status, approved.result, approved.decided_by_id) == ("REFUNDED", "All right.", user.pk)
    assert taken(payer) == [(-499, 501)]


def test_an_admin_may_refuse(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, 0)
    ask(client, top_up)
    request = RefundRequest.objects.get()

    reject_refund(request=request, reason="It is all spent.", actor_id=None)

    assert client.get("/v1/credits/refund-requests").json()["results"][0]["result"] == "It is all spent."
    with pytest.raises(RefundRefusedError):
        approve_refund(request=RefundRequest.objects.get(), reason="Or not?", actor_id=None)
    assert taken(payer) == []


@pytest.mark.parametrize("reason", ["", "   "])
def test_a_decision_needs_a_reason(client: APIClient, payer: int, stripe_double: StripeDouble, reason: str) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, 0)
    ask(client, top_up)

    with pytest.raises(ReasonMissingError):
        reject_refund(request=RefundRequest.objects.get(), reason=reason, actor_id=None)

    assert ask(client, top_up, reason=reason).status_code == 400


def test_there_is_one_request_for_a_week(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    first, second = buy(client, stripe_double), buy(client, stripe_double)
    set_balance(payer, 0)

    answers = [ask(client, top_up) for top_up in (first, first, second)]

    assert [each.status_code for each in answers] == [201, 409, 409]
    assert RefundRequest.objects.count() == 1


def test_what_was_not_paid_is_not_sent_back(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = TopUp.objects.get(pk=client.post("/v1/credits/top-up", {"amount": 500}).json()["id"])

    assert ask(client, top_up).status_code == 409
    assert not RefundRequest.objects.exists()


def test_somebody_elses_top_up_is_not_there(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    stranger = APIClient()
    stranger.force_authenticate(User.objects.create_user("mallory"))

    assert ask(stranger, top_up).status_code == 404
    assert stranger.get("/v1/credits/refund-requests").json()["results"] == []


def test_the_news_of_a_refund_count_once(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    ask(client, top_up)
    (refund,) = [each for each in stripe_double.things.values() if each["object"] == "refund"]

    for kind in ("refund.created", "refund.updated", "refund.created"):
        tell(stripe_double, kind, refund)

    assert taken(payer) == [(-1_000, 0)]
    assert standing(payer) == (100, 0, 0)


def test_a_refund_that_takes_its_time_counts_when_it_is_done(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.refund_status = "pending"
    asked = ask(client, top_up).json()
    (refund,) = [each for each in stripe_double.things.values() if each["object"] == "refund"]
    before = taken(payer)

    tell(stripe_double, "refund.updated", {**refund, "status": "succeeded"})

    assert (asked["status"], before) == ("APPROVED", [])
    assert taken(payer) == [(-1_000, 0)]
    assert RefundRequest.objects.get().status == "REFUNDED"


def test_a_refund_that_comes_back_is_given_back_once(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    ask(client, top_up)
    (refund,) = [each for each in stripe_double.things.values() if each["object"] == "refund"]

    for _ in range(2):
        tell(stripe_double, "refund.failed", {**refund, "status": "failed"})

    assert standing(payer) == (1_100, 0, 0)
    assert RefundRequest.objects.get().status == "PENDING"


def test_a_refund_made_at_the_provider_counts_too(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    refund = {"id": "re_by_hand", "object": "refund", "payment_intent": top_up.payment_id}

    tell(stripe_double, "refund.created", {**refund, "amount": 300, "status": "succeeded"})

    assert taken(payer) == [(-300, 0)]
    assert ask(client, top_up).status_code == 409


def test_after_an_outage_an_approved_refund_is_sent_once(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.outage = True
    unlucky = ask(client, top_up).status_code
    with pytest.raises(PaymentUnavailableError):
        approve_refund(request=RefundRequest.objects.get(), reason="Again.", actor_id=None)
    stripe_double.outage = False

    approve_refund(request=RefundRequest.objects.get(), reason="Again.", actor_id=None)

    assert unlucky == 503
    assert RefundRequest.objects.get().status == "REFUNDED"
    assert taken(payer) == [(-1_000, 0)]


def test_who_has_the_credits_still_wins_a_dispute(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    give(payer, 500)
    stripe_double.things["dp_1"] = dispute_about(top_up)

    tell(stripe_double, "charge.dispute.created", "dp_1")

    assert stripe_double.things["dp_1"]["status"] == "lost"


def test_who_has_spent_them_is_answered_with_evidence(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.things["dp_1"] = dispute_about(top_up)

    tell(stripe_double, "charge.dispute.created", "dp_1")

    evidence = stripe_double.things["dp_1"]["evidence"]
    assert "TOP_UP +1000 credits" in evidence["evidence[access_activity_log]"]
    assert evidence["submit"] == "True".lower()


def test_disputed_money_goes_and_comes_back_once(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, 400)
    dispute = dispute_about(top_up)

    for _ in range(2):
        tell(stripe_double, "charge.dispute.funds_withdrawn", dispute)
    withdrawn = standing(payer)
    for _ in range(2):
        tell(stripe_double, "charge.dispute.funds_reinstated", dispute)

    assert withdrawn == (0, 0, 600)
    assert standing(payer) == (400, 0, 0)


def test_news_of_a_payment_that_we_do_not_know_are_taken(payer: int, stripe_double: StripeDouble) -> None:
    refund = {"id": "re_1", "object": "refund", "payment_intent": "pi_of_another_shop", "amount": 5}

    tell(stripe_double, "refund.created", {**refund, "status": "succeeded"})
    tell(stripe_double, "charge.dispute.created", {**refund, "id": "dp_1", "object": "dispute"})

    assert standing(payer) == (100, 0, 0)
