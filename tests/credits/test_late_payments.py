"""Payments whose money comes later, or never, or when there is nobody any more to have credits for it."""

from collections.abc import Callable
from uuid import UUID

import pytest
import structlog
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from credits.auto_top_ups import perform_auto_top_up
from credits.models import TopUp
from credits.top_ups import PAID_BY_NOBODY, look_after_checkouts
from tests.credits.paying import buy, by_late_webhook, by_payment, by_return, by_webhook, entries_of, start, tell
from tests.credits.stripe_double import StripeDouble
from tests.credits.stripe_faults import BROKEN_AFTERWARDS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_bank_that_does_not_pay_after_all_ends_its_top_up(
    client: APIClient, payer: int, stripe_double: StripeDouble, is_told: bool
) -> None:
    session = start(client)
    payment = stripe_double.pay_by_bank(session)
    by_webhook(stripe_double, session)
    look_after_checkouts(patience_seconds=0)
    before = TopUp.objects.get().status

    stripe_double.bounce(payment, "Your account lacks the money.")
    if is_told:
        tell(stripe_double, "checkout.session.async_payment_failed", session)
    else:
        look_after_checkouts(patience_seconds=0)

    assert (before, TopUp.objects.get().status) == ("PENDING", "FAILED")
    assert TopUp.objects.get().error == "Your account lacks the money."
    assert entries_of(payer) == []


def test_a_bank_that_pays_after_days_is_believed(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    session = start(client)
    payment = stripe_double.pay_by_bank(session)
    by_webhook(stripe_double, session)

    stripe_double.things[payment]["status"], stripe_double.things[session]["payment_status"] = "succeeded", "paid"
    by_late_webhook(stripe_double, session)

    assert (TopUp.objects.get().status, entries_of(payer)) == ("PAID", [1_000])


@pytest.mark.parametrize("way", [by_webhook, by_payment, by_return])
def test_what_somebody_who_is_gone_has_paid_is_shown_and_said_once(
    client: APIClient, user: User, stripe_double: StripeDouble, way: Callable[[StripeDouble, str], int]
) -> None:
    session = start(client)
    payment = stripe_double.pay(session)
    user.delete()

    with structlog.testing.capture_logs() as said:
        for _ in range(2):
            way(stripe_double, session)
            look_after_checkouts(patience_seconds=0)

    top_up = TopUp.objects.get()
    assert (top_up.status, top_up.payment_id, top_up.error) == ("FAILED", payment, PAID_BY_NOBODY)
    assert [each["event"] for each in said if each["log_level"] == "error"] == [
        "somebody who is gone has paid: send it back"
    ]


def test_what_was_charged_for_somebody_who_is_gone_is_shown(
    client: APIClient, user: User, stripe_double: StripeDouble, sent: list[UUID]
) -> None:
    buy(client, stripe_double)
    client.put("/v1/credits/auto-top-up", {"threshold": 5_000, "amount": 700})
    stripe_double.fail("POST payment_intents/pi_", BROKEN_AFTERWARDS)
    perform_auto_top_up(sent[0])
    user.delete()

    perform_auto_top_up(sent[0])

    top_up = TopUp.objects.get(kind="AUTO")
    assert (top_up.status, top_up.payment_id, top_up.error) == ("FAILED", *stripe_double.charges, PAID_BY_NOBODY)
