"""What AutoGPT's clients call buying credits and asking for them back."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from credits.models import RefundRequest, TopUp
from tests.credits.booking import set_balance, standing
from tests.credits.paying import buy
from tests.credits.stripe_double import StripeDouble

pytestmark = pytest.mark.django_db(transaction=True)


def test_credits_are_asked_for_and_looked_after_when_they_were_paid(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    started = client.post("/v1/credits", {"credit_amount": 1_000}, headers={"Idempotency-Key": "once"})
    again = client.post("/v1/credits", {"credit_amount": 1_000}, headers={"Idempotency-Key": "once"})
    unpaid = client.patch("/v1/credits").json()

    stripe_double.pay(started.json()["checkout_url"].rpartition("/")[2])
    paid = client.patch("/v1/credits")

    assert started.json() == again.json()
    assert TopUp.objects.count() == 1
    assert (unpaid["credits"], paid.status_code, paid.json()["credits"]) == (100, 200, 1_100)
    assert client.get("/v1/credits").json()["credits"] == 1_100


def test_a_body_still_says_when_to_be_told(client: APIClient, payer: int) -> None:
    assert client.patch("/v1/credits", {"low_balance_threshold": 20}).json()["low_balance_threshold"] == 20
    assert client.patch("/v1/credits", {"balance": 20}).status_code == 400
    assert client.patch("/v1/credits", [1]).status_code == 400


@pytest.mark.parametrize("body", [{}, {"credit_amount": 501}, {"amount": 500, "credit_amount": 600}, [500]])
def test_an_amount_that_cannot_be_bought_is_refused(
    client: APIClient, payer: int, stripe_double: StripeDouble, body: Any
) -> None:
    assert client.post("/v1/credits", body).status_code == 400


def test_automatic_top_ups_are_configured_and_ended(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    set_balance(payer, 5_000)

    configured = client.post("/v1/credits/auto-top-up", {"threshold": 500, "amount": 2_000}).json()
    ended = client.post("/v1/credits/auto-top-up", {"threshold": 0, "amount": 0}).json()

    assert configured["auto_top_up"] == {"threshold": 500, "amount": 2_000}
    assert ended["auto_top_up"] is None
    assert client.post("/v1/credits/auto-top-up", {"threshold": 500, "amount": 20}).status_code == 400


def test_the_webhook_has_autogpts_address_too(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    session = client.post("/v1/credits", {"credit_amount": 1_000}).json()["checkout_url"].rpartition("/")[2]
    stripe_double.pay(session)
    body, signature = stripe_double.sign("checkout.session.completed", session)

    answer = APIClient().post(
        "/v1/credits/stripe_webhook",
        body,
        content_type="application/json",
        headers={"Stripe-Signature": signature},
    )

    assert (answer.status_code, standing(payer)) == (204, (1_100, 0, 0))


@pytest.mark.parametrize(("balance", "told"), [(500, (1_000, "REFUNDED")), (499, (0, "PENDING"))])
def test_a_refund_tells_how_much_goes_back(
    client: APIClient, payer: int, stripe_double: StripeDouble, balance: int, told: tuple[int, str]
) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, balance)

    answer = client.post(f"/v1/credits/top-up:{top_up.pk}/refund", {"reason": "By mistake."})
    (listed,) = client.get("/v1/credits/refunds").json()

    assert (answer.status_code, (answer.json(), listed["status"])) == (201, told)
    assert (listed["transaction_key"], listed["reason"]) == (str(top_up.pk), "By mistake.")


def test_a_refund_that_was_asked_for_is_answered_again(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, 500)

    answers = [
        client.post(
            f"/v1/credits/{top_up.pk}/refund", {"reason": "By mistake."}, headers={"Idempotency-Key": "once"}
        ).json()
        for _ in range(2)
    ]

    assert answers == [1_000, 1_000]
    assert RefundRequest.objects.count() == 1


def test_somebody_elses_refunds_are_not_there(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    client.post(f"/v1/credits/{top_up.pk}/refund", {"reason": "By mistake."})
    stranger = APIClient()
    stranger.force_login(User.objects.create_user("mallory"))

    assert stranger.get("/v1/credits/refunds").json() == []
    for key in (str(top_up.pk), "top-up:nothing"):
        assert stranger.post(f"/v1/credits/{key}/refund", {"reason": "Mine."}).status_code == 404


def test_the_portal_is_the_customers_own(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    answer = client.get("/v1/credits/manage")

    (session,) = stripe_double.all_of("billing_portal.session")
    (customer,) = stripe_double.all_of("customer")
    assert (answer.json(), session["customer"]) == ({"url": f"{stripe_double.address}/portal"}, customer["id"])


def test_without_a_provider_there_are_no_payments_and_no_coming_again(client: APIClient, payer: int) -> None:
    answers = [client.post("/v1/credits", {"credit_amount": 500}), client.get("/v1/credits/manage")]

    assert [answer.status_code for answer in answers] == [501, 501]
    assert [answer.has_header("Retry-After") for answer in answers] == [False, False]
