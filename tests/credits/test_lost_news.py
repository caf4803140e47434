"""Refunds and disputes of which nobody tells: what a webhook would have said is asked for once a day."""

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from credits.models import RefundRequest, Reversal
from credits.reversals import look_after_reversals
from credits.tasks import find_lost_news
from tests.credits.booking import set_balance, standing
from tests.credits.paying import ask_back, buy, entries_of, refund_of, taken
from tests.credits.stripe_double import StripeDouble
from tests.credits.stripe_faults import BROKEN, Fault

pytestmark = pytest.mark.django_db(transaction=True)

MONTHS = 121 * 24 * 3_600


def test_a_refund_that_failed_after_it_was_made_is_found(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    ask_back(client, buy(client, stripe_double))
    refund_of(stripe_double)["status"] = "failed"

    for _ in range(2):
        find_lost_news()

    assert (standing(payer), entries_of(payer, "ADJUSTMENT")[-1]) == ((1_100, 0, 0), 1_000)
    assert RefundRequest.objects.get().status == "PENDING"


def test_a_refund_made_by_hand_is_found(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.refund_by_hand(str(top_up.payment_id), 300)

    for _ in range(2):
        find_lost_news()

    assert taken(payer) == [(-300, 0)]


def test_all_pages_are_read(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    stripe_double.page_size = 1
    for amount in (100, 200, 300):
        stripe_double.refund_by_hand(str(buy(client, stripe_double).payment_id), amount)
    disputes = [stripe_double.dispute(str(buy(client, stripe_double).payment_id)) for _ in range(3)]

    find_lost_news()

    assert sorted(taken(payer)) == [(-300, 0), (-200, 0), (-100, 0)]
    assert sorted(Reversal.objects.filter(kind="DISPUTE").values_list("pk", flat=True)) == sorted(disputes)


def test_a_dispute_is_found_and_answered_even_if_that_takes_a_second_try(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_ups = [buy(client, stripe_double) for _ in range(2)]
    set_balance(payer, 0)
    disputes = [stripe_double.dispute(str(each.payment_id)) for each in top_ups]
    for each in disputes:
        stripe_double.move(each, -1_000)
    stripe_double.fail("POST disputes", BROKEN)

    find_lost_news()
    answered = [stripe_double.things[each]["status"] for each in disputes]
    find_lost_news()

    assert answered == ["under_review", "needs_response"]  # the newest is asked about first
    assert {stripe_double.things[each]["status"] for each in disputes} == {"under_review"}
    assert standing(payer) == (0, 0, 2_000)


def test_a_dispute_that_can_not_be_asked_about_keeps_no_other_waiting(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    other, strange = (stripe_double.dispute(str(buy(client, stripe_double).payment_id)) for _ in range(2))
    set_balance(payer, 0)
    stripe_double.fail(f"GET disputes/{strange}", Fault(status=400, type="invalid_request_error"))

    find_lost_news()

    assert [stripe_double.things[each]["status"] for each in (strange, other)] == ["needs_response", "under_review"]


def test_what_is_long_over_and_what_is_not_ours_is_left_alone(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    old, known = (stripe_double.dispute(str(buy(client, stripe_double).payment_id)) for _ in range(2))
    stripe_double.things[old]["created"] -= MONTHS
    stripe_double.things[known]["status"] = "under_review"
    look_after_reversals()
    stripe_double._add("re", object="refund", payment_intent="pi_of_a_shop", amount=1, status="failed", metadata={})
    asked = stripe_double.requests.copy()

    look_after_reversals()

    assert list(Reversal.objects.values_list("pk", flat=True)) == [known]
    assert stripe_double.requests - asked == {"GET refunds": 1, "GET disputes": 1}


def test_without_payments_nothing_is_asked(settings: Settings, db: None) -> None:
    settings.STRIPE_SECRET_KEY = ""

    find_lost_news()
