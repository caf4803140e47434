"""Refunds that were approved: ordered at the provider once, whatever it answers."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from rest_framework.test import APIClient

from credits.exceptions import PaymentUnavailableError
from credits.models import Notice, RefundRequest
from credits.refunds import (
    approve_refund,
    look_after_refunds,
    request_refund,
    send_overdue_refunds,
    send_refund,
)
from credits.tasks import catch_up
from tests.credits.crashes import dying_at
from tests.credits.paying import ask_back, buy, refund_of, taken
from tests.credits.stripe_double import StripeDouble
from tests.credits.stripe_faults import BROKEN, BROKEN_AFTERWARDS, KEY_IN_USE, PASSING, TOO_MANY, Fault

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("request_", ["GET refunds", "POST refunds"])
def test_an_approved_refund_that_could_not_be_sent_is_sent_once(
    client: APIClient, payer: int, stripe_double: StripeDouble, request_: str
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.fail(request_, *PASSING)
    asked = ask_back(client, top_up)
    send_overdue_refunds(patience_seconds=600)
    tried = len(PASSING) - len(stripe_double.faults)
    for _ in range(len(PASSING) + 1):
        send_overdue_refunds(patience_seconds=0)

    assert (asked.status_code, asked.json()["status"], tried) == (201, "APPROVED", 1)
    assert stripe_double.faults == []
    assert RefundRequest.objects.get().refund_id == refund_of(stripe_double)["id"]
    assert RefundRequest.objects.get().status == "REFUNDED"
    assert taken(payer) == [(-1_000, 0)]


def test_a_refund_that_broke_down_at_stripe_is_ordered_anew_as_soon_as_that_is_sure(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.fail("POST refunds", BROKEN)
    asked = ask_back(client, top_up)

    send_overdue_refunds(patience_seconds=0)
    between = (RefundRequest.objects.get().status, stripe_double.all_of("refund"))
    send_overdue_refunds(patience_seconds=0)

    assert (asked.status_code, asked.json()["status"], between) == (201, "APPROVED", ("APPROVED", []))
    assert (RefundRequest.objects.get().status, taken(payer)) == ("REFUNDED", [(-1_000, 0)])
    assert refund_of(stripe_double)["id"] == RefundRequest.objects.get().refund_id


@pytest.mark.parametrize("fault", [BROKEN_AFTERWARDS, KEY_IN_USE, TOO_MANY])
def test_a_refund_is_not_ordered_anew_while_it_may_have_been_made(
    client: APIClient, payer: int, stripe_double: StripeDouble, fault: Fault
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.fail("POST refunds", fault)
    ask_back(client, top_up)
    stripe_double.outage = True
    send_overdue_refunds(patience_seconds=0)
    stripe_double.outage = False

    send_overdue_refunds(patience_seconds=0)

    assert (RefundRequest.objects.get().failed_orders, RefundRequest.objects.get().status) == (0, "REFUNDED")
    assert refund_of(stripe_double)["id"] == RefundRequest.objects.get().refund_id


def test_a_refund_that_comes_to_be_while_it_is_asked_for_again_is_found(
    client: APIClient, payer: int, stripe_double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.fail("POST refunds", BROKEN_AFTERWARDS)
    ask_back(client, top_up)
    made, tell_again = stripe_double.things.pop(refund_of(stripe_double)["id"]), stripe_double._repeat

    def appear(key: str, form: dict[str, str]) -> Any:
        stripe_double.things[made["id"]] = made
        return tell_again(key, form)

    monkeypatch.setattr(stripe_double, "_repeat", appear)
    send_overdue_refunds(patience_seconds=0)

    assert (RefundRequest.objects.get().refund_id, RefundRequest.objects.get().failed_orders) == (made["id"], 0)
    assert taken(payer) == [(-1_000, 0)]


def test_a_refund_of_which_nobody_heard_for_a_day_is_found(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.fail("POST refunds", BROKEN_AFTERWARDS)
    ask_back(client, top_up)
    stripe_double.forget_keys()

    send_overdue_refunds(patience_seconds=0)

    assert (RefundRequest.objects.get().status, taken(payer)) == ("REFUNDED", [(-1_000, 0)])


def test_an_admin_may_send_it_again_too(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.outage = True
    ask_back(client, top_up)
    with pytest.raises(PaymentUnavailableError):
        approve_refund(request=RefundRequest.objects.get(), reason="Again.", actor_id=None)
    stripe_double.outage = False

    approve_refund(request=RefundRequest.objects.get(), reason="Again.", actor_id=None)

    assert RefundRequest.objects.get().status == "REFUNDED"
    assert taken(payer) == [(-1_000, 0)]


def test_what_the_provider_refuses_is_for_an_admin(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.things["re_lost"] = {
        **{"id": "re_lost", "object": "refund", "payment_intent": top_up.payment_id, "amount": 1_000},
        **{"status": "succeeded", "metadata": {}},
    }

    asked = ask_back(client, top_up)

    assert (asked.status_code, asked.json()["status"]) == (201, "PENDING")
    assert asked.json()["result"] == "The payment provider refuses (charge_already_refunded)."
    assert "charge_already_refunded" in Notice.objects.get(kind="REFUND_REQUESTED").text
    assert taken(payer) == []


def test_nothing_is_locked_while_stripe_thinks(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    sending: dict[str, Any] = {
        "data": {"top_up_id": top_up.pk, "reason": "By mistake."},
        "headers": {"Idempotency-Key": "once"},
    }

    first = client.post("/v1/credits/refund-requests", **sending)
    again = client.post("/v1/credits/refund-requests", **sending)

    assert (first.json()["status"], again.json()) == ("REFUNDED", first.json())
    assert len(stripe_double.all_of("refund")) == 1
    assert stripe_double.waiting_transactions == 0


@pytest.mark.parametrize("statement", range(2, 20, 2))
def test_a_refund_whose_process_died_comes_into_the_books(
    client: APIClient, payer: int, stripe_double: StripeDouble, statement: int
) -> None:
    top_up = buy(client, stripe_double)
    request = request_refund(user_id=payer, top_up_id=top_up.pk, reason="By mistake.")
    with dying_at(statement):
        send_refund(request.pk)

    send_overdue_refunds(patience_seconds=0)

    assert refund_of(stripe_double)["id"] == RefundRequest.objects.get().refund_id
    assert RefundRequest.objects.get().status == "REFUNDED"
    assert taken(payer) == [(-1_000, 0)]


@pytest.mark.parametrize(("status", "ends"), [("succeeded", ("REFUNDED", [(-1_000, 0)])), ("failed", ("PENDING", []))])
def test_a_refund_of_which_the_news_were_lost_is_asked_for(
    client: APIClient, payer: int, stripe_double: StripeDouble, status: str, ends: tuple[str, list[tuple[int, int]]]
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.refund_status = "pending"
    asked = ask_back(client, top_up).json()["status"]
    refund_of(stripe_double)["status"] = status

    catch_up()
    too_early = (RefundRequest.objects.get().status, stripe_double.requests["GET refunds"])
    RefundRequest.objects.update(tried_at=F("tried_at") - timedelta(hours=1))
    catch_up()

    assert (asked, too_early) == ("APPROVED", ("APPROVED", 1))
    assert (RefundRequest.objects.get().status, taken(payer)) == ends


def test_who_could_not_be_asked_for_a_refund_is_asked_again(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.refund_status = "pending"
    ask_back(client, top_up)
    refund_of(stripe_double)["status"] = "succeeded"
    stripe_double.fail("GET refunds", *PASSING)

    for _ in range(len(PASSING) + 1):
        look_after_refunds(patience_seconds=0)

    assert stripe_double.faults == []
    assert RefundRequest.objects.get().status == "REFUNDED"
