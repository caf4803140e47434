"""Refunds: asked for once per week, sent back at once or decided by an admin."""

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from credits.exceptions import ReasonMissingError, RefundRefusedError
from credits.models import Notice, RefundRequest, TopUp
from credits.refunds import approve_refund, reject_refund
from tests.credits.booking import set_balance, standing
from tests.credits.paying import ask_back, buy, taken
from tests.credits.stripe_double import StripeDouble

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_is_hardly_spent_is_sent_back_at_once(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, 500)

    answer = ask_back(client, top_up)

    assert (answer.status_code, answer.json()["status"]) == (201, "REFUNDED")
    assert taken(payer) == [(-500, 500)]
    assert standing(payer) == (0, 0, 500)


def test_what_is_mostly_spent_waits_for_an_admin(
    client: APIClient, user: User, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, 499)

    asked = ask_back(client, top_up).json()
    told = Notice.objects.get(kind="REFUND_REQUESTED")
    approved = approve_refund(request=RefundRequest.objects.get(), reason="All right.", actor_id=user.pk)

    assert asked["status"] == "PENDING"
    assert "1000 credits: By mistake." in told.text
    assert (approved.status, approved.result, approved.decided_by_id) == ("REFUNDED", "All right.", user.pk)
    assert taken(payer) == [(-499, 501)]


def test_an_admin_may_refuse(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, 0)
    ask_back(client, top_up)
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
    ask_back(client, top_up)

    with pytest.raises(ReasonMissingError):
        reject_refund(request=RefundRequest.objects.get(), reason=reason, actor_id=None)

    assert ask_back(client, top_up, reason=reason).status_code == 400


def test_there_is_one_request_for_a_week(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    first, second = buy(client, stripe_double), buy(client, stripe_double)
    set_balance(payer, 0)

    answers = [ask_back(client, top_up) for top_up in (first, first, second)]

    assert [each.status_code for each in answers] == [201, 409, 409]
    assert RefundRequest.objects.count() == 1


def test_what_was_not_paid_is_not_sent_back(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = TopUp.objects.get(pk=client.post("/v1/credits/top-up", {"amount": 500}).json()["id"])

    assert ask_back(client, top_up).status_code == 409
    assert not RefundRequest.objects.exists()


def test_somebody_elses_top_up_is_not_there(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    stranger = APIClient()
    stranger.force_authenticate(User.objects.create_user("mallory"))

    assert ask_back(stranger, top_up).status_code == 404
    assert stranger.get("/v1/credits/refund-requests").json()["results"] == []
