"""Buying credits: one payment, one entry, whoever tells of it, how often and in whatever order."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from pytest_django import Settings
from rest_framework.test import APIClient

from credits.models import TopUp
from credits.top_ups import LEAST, MOST, look_after_checkouts, order_top_up
from tests.credits.booking import standing
from tests.credits.paying import WEBHOOK, by_late_webhook, by_payment, by_return, by_webhook, entries_of, start, tell
from tests.credits.stripe_double import StripeDouble

pytestmark = pytest.mark.django_db(transaction=True)


def test_credits_are_there_when_they_have_been_paid(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    started = client.post("/v1/credits/top-up", {"amount": 1_000}).json()
    session = started["checkout_url"].rpartition("/")[2]
    before = client.get(f"/v1/credits/top-up/{started['id']}").json()
    unpaid = standing(payer)

    stripe_double.pay(session)
    after = client.get(f"/v1/credits/top-up/{started['id']}").json()

    assert (started["status"], before["status"], after["status"]) == ("PENDING", "PENDING", "PAID")
    assert unpaid == (100, 0, 0)
    assert standing(payer) == (1_100, 0, 0)


@pytest.mark.parametrize(
    "ways",
    [
        [by_webhook, by_webhook],
        [by_webhook, by_return],
        [by_return, by_webhook, by_return],
        [by_payment, by_late_webhook, by_return, by_webhook],
    ],
)
def test_a_payment_counts_once_in_whatever_order_it_is_told(
    client: APIClient, payer: int, stripe_double: StripeDouble, ways: list[Callable[[StripeDouble, str], int]]
) -> None:
    session = start(client)
    stripe_double.pay(session)

    statuses = [way(stripe_double, session) for way in ways]

    assert set(statuses) <= {200, 204}
    assert entries_of(payer) == [1_000]
    assert standing(payer) == (1_100, 0, 0)


def test_a_payment_counts_once_when_all_tell_of_it_at_once(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    session = start(client)
    stripe_double.pay(session)
    gate, statuses = threading.Barrier(8), []

    def run(way: Callable[[StripeDouble, str], int]) -> None:
        try:
            gate.wait()
            statuses.append(way(stripe_double, session))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(way,)) for way in (by_webhook, by_return) * 4]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(statuses) == [200] * 4 + [204] * 4
    assert entries_of(payer) == [1_000]


def test_a_payment_counts_although_its_row_was_lost(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    session = start(client)
    stripe_double.pay(session)
    TopUp.objects.all().delete()

    by_webhook(stripe_double, session)
    by_webhook(stripe_double, session)

    assert entries_of(payer) == [1_000]


@pytest.mark.parametrize("change", [{"currency": "jpy"}, {"metadata": {}}, {"metadata": {"top_up_id": "x"}}])
def test_a_payment_that_is_none_of_ours_is_left_alone(
    client: APIClient, payer: int, stripe_double: StripeDouble, change: dict[str, Any]
) -> None:
    session = start(client)
    stripe_double.pay(session)
    stripe_double.things[session] |= change

    assert by_webhook(stripe_double, session) == 204
    assert entries_of(payer) == []


def test_a_page_that_expires_ends_its_top_up(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    session = start(client)
    stripe_double.expire(session)

    tell(stripe_double, "checkout.session.expired", session)

    assert TopUp.objects.get().status == "FAILED"
    assert standing(payer) == (100, 0, 0)


@pytest.mark.parametrize("secret", ["whsec_of_somebody_else"])
def test_what_somebody_else_signed_is_refused(
    client: APIClient, payer: int, stripe_double: StripeDouble, secret: str
) -> None:
    session = start(client)
    stripe_double.pay(session)

    answer = tell(stripe_double, "checkout.session.completed", session, secret=secret)

    assert answer.status_code == 400
    assert entries_of(payer) == []


@pytest.mark.parametrize("signature", [None, "", "nonsense", "t=x,v1=y", "t=1,v1=00"])
@pytest.mark.parametrize("body", ["", "{}", "no json", '{"type": 5}'])
def test_a_webhook_that_makes_no_sense_is_refused(
    stripe_double: StripeDouble, signature: str | None, body: str
) -> None:
    headers = {} if signature is None else {"Stripe-Signature": signature}

    answer = APIClient().post(WEBHOOK, body, content_type="application/json", headers=headers)

    assert answer.status_code == 400
    assert answer.json()["detail"] == "The webhook's signature doesn't fit."


def test_news_that_are_nothing_to_us_are_taken(stripe_double: StripeDouble) -> None:
    assert tell(stripe_double, "product.created", {"id": "prod_1", "object": "product"}).status_code == 204


@pytest.mark.parametrize("amount", [LEAST - 1, 0, -500, LEAST + 1, 550, MOST + 100, "many", None, 5e20])
def test_an_amount_that_cannot_be_bought_is_refused(
    client: APIClient, payer: int, stripe_double: StripeDouble, amount: Any
) -> None:
    answer = client.post("/v1/credits/top-up", {"amount": amount})

    assert answer.status_code == 400
    assert not TopUp.objects.exists()
    assert stripe_double.requests.total() == 0


def test_an_outage_is_told(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    stripe_double.outage = True

    answer = client.post("/v1/credits/top-up", {"amount": 500})

    assert answer.status_code == 503
    assert "can't be reached" in answer.json()["detail"]
    assert "sk_test" not in answer.content.decode()


def test_without_a_provider_nothing_is_bought(client: APIClient, payer: int) -> None:
    assert client.post("/v1/credits/top-up", {"amount": 500}).status_code == 501
    assert client.put("/v1/credits/auto-top-up", {"amount": 500, "threshold": 5}).status_code == 501


def test_a_checkout_that_is_not_there_is_not_found(client: APIClient, stripe_double: StripeDouble) -> None:
    for session in ("cs_404", "", "../../refunds", "cs_%00"):
        assert APIClient().get(f"/v1/credits/top-up/return?session_id={session}").status_code == 404


def test_somebody_elses_top_up_is_not_there(client: APIClient, stripe_double: StripeDouble) -> None:
    stranger = User.objects.create_user("mallory")
    top_up = order_top_up(user_id=stranger.pk, amount=500)

    assert client.get(f"/v1/credits/top-up/{top_up.pk}").status_code == 404


def test_a_page_is_asked_for_when_nothing_is_locked(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    sending: dict[str, Any] = {"data": {"amount": 500}, "headers": {"Idempotency-Key": "once"}}

    first = client.post("/v1/credits/top-up", **sending)
    again = client.post("/v1/credits/top-up", **sending)

    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert TopUp.objects.count() == 1
    assert stripe_double.waiting_transactions == 0


def test_who_could_not_be_given_a_page_gets_it_with_the_same_key(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    sending: dict[str, Any] = {"data": {"amount": 500}, "headers": {"Idempotency-Key": "once"}}
    stripe_double.outage = True
    unlucky = client.post("/v1/credits/top-up", **sending)
    stripe_double.outage = False

    answer = client.post("/v1/credits/top-up", **sending)

    assert (unlucky.status_code, unlucky["Content-Type"], unlucky["Retry-After"]) == (
        503,
        "application/problem+json",
        "5",
    )
    assert answer.status_code == 201
    assert answer.json()["checkout_url"].startswith(stripe_double.address)
    assert TopUp.objects.count() == 1


def test_a_payment_of_which_nobody_tells_is_found(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    paid, open_one = start(client), start(client)
    stripe_double.pay(paid)

    look_after_checkouts(patience_seconds=600)
    too_early = entries_of(payer)
    look_after_checkouts(patience_seconds=0)

    assert (too_early, entries_of(payer)) == ([], [1_000])
    assert TopUp.objects.get(session_id=open_one).status == "PENDING"


def test_pages_that_nobody_pays_at_keep_no_others_waiting(
    client: APIClient, payer: int, stripe_double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("credits.top_ups.MOST_AT_ONCE", 1)
    _open_one, paid = start(client), start(client)
    stripe_double.pay(paid)

    for _ in range(2):
        look_after_checkouts(patience_seconds=0)

    assert entries_of(payer) == [1_000]


def test_a_failure_that_is_told_late_takes_nothing_back(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    session = start(client)
    stripe_double.pay(session)
    before = {**stripe_double.things[session], "status": "expired", "payment_status": "unpaid"}
    by_webhook(stripe_double, session)

    tell(stripe_double, "checkout.session.expired", before)
    tell(stripe_double, "payment_intent.payment_failed", stripe_double.things[session]["payment_intent"])

    assert TopUp.objects.get().status == "PAID"
    assert standing(payer) == (1_100, 0, 0)


def test_all_that_stripe_tells_is_taken(stripe_double: StripeDouble, settings: Settings) -> None:
    settings.API_RATES = dict.fromkeys(settings.API_RATES, 1)
    product = {"id": "prod_1", "object": "product"}

    statuses = {tell(stripe_double, "product.created", product).status_code for _ in range(5)}

    assert statuses == {204}
