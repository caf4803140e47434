"""Credits are bought automatically only as their user wants it when the card is charged."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from rest_framework.test import APIClient

from credits.auto_top_ups import order_overdue, perform_auto_top_up, send_overdue, stop_auto_top_up
from credits.models import Notice, TopUp
from credits.refunds import refund_top_up
from tests.credits.booking import ROOT, account_of, set_balance, standing, use
from tests.credits.paying import ask_back, buy, entries_of, tell
from tests.credits.stripe_double import StripeDouble
from tests.credits.stripe_faults import BROKEN, BROKEN_AFTERWARDS, PASSING, Fault

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "/v1/credits/auto-top-up"


@pytest.fixture
def due(client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID]) -> UUID:
    """An automatic top-up of 700 credits that is to be made, by a user with 1,100 and a saved card."""
    buy(client, stripe_double)
    client.put(ADDRESS, {"threshold": 1_500, "amount": 700})
    (key,) = sent
    return key


def ask(client: APIClient, _double: StripeDouble, top_up: TopUp) -> None:
    assert ask_back(client, top_up).json()["status"] == "REFUNDED"


def send_unasked(_client: APIClient, _double: StripeDouble, top_up: TopUp) -> None:
    refund_top_up(top_up=top_up, amount=300, reason="Sorry.", key=uuid4(), actor_id=None)


def dispute(_client: APIClient, double: StripeDouble, top_up: TopUp) -> None:
    key = double.dispute(str(top_up.payment_id))
    double.move(key, -1_000)
    tell(double, "charge.dispute.funds_withdrawn", key)


@pytest.mark.parametrize("go_back", [ask, send_unasked, dispute])
def test_when_money_goes_back_nothing_is_charged_until_the_user_says_so(
    client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID], go_back: Callable[..., None]
) -> None:
    set_balance(payer, 0)
    top_up = buy(client, stripe_double)
    client.put(ADDRESS, {"threshold": 900, "amount": 500})

    go_back(client, stripe_double, top_up)
    use(payer, 1, run=ROOT)
    found = (order_overdue(), list(sent))
    stands = client.get(ADDRESS).json()
    told = Notice.objects.get(kind="AUTO_TOP_UP_PAUSED")
    client.put(ADDRESS, {"threshold": 900, "amount": 500})

    assert found == (0, [])
    assert (stands["threshold"], stands["paused_because"], stands["newest"]) == (900, told.text, None)
    assert told.text.startswith("A payment went back.")
    assert told.told_at is not None
    assert client.get(ADDRESS).json()["paused_because"] == ""
    assert len(sent) == 1


def test_when_money_goes_back_what_was_ordered_is_cancelled(
    client: APIClient, payer: int, stripe_double: StripeDouble, due: UUID
) -> None:
    ask(client, stripe_double, TopUp.objects.get(kind="CHECKOUT"))

    perform_auto_top_up(due)

    assert (stripe_double.charges, entries_of(payer)) == ([], [1_000])


def test_switched_off_what_was_ordered_is_not_charged(
    client: APIClient, payer: int, stripe_double: StripeDouble, due: UUID
) -> None:
    client.delete(ADDRESS)
    cancelled = TopUp.objects.get(pk=due)

    perform_auto_top_up(due)

    assert (cancelled.status, cancelled.error) == ("FAILED", "Not charged: it is not wanted any more.")
    assert (stripe_double.charges, entries_of(payer)) == ([], [1_000])
    assert not Notice.objects.filter(kind="AUTO_TOP_UP_FAILED").exists()


def test_switched_off_while_it_is_prepared_it_is_not_charged(
    payer: int, stripe_double: StripeDouble, due: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = stripe_double._prepare

    def stop_first(form: dict[str, str]) -> dict[str, Any]:
        stop_auto_top_up(user_id=payer)
        connection.close()
        return prepare(form)

    monkeypatch.setattr(stripe_double, "_prepare", stop_first)

    perform_auto_top_up(due)

    assert (stripe_double.charges, entries_of(payer)) == ([], [1_000])


def test_what_has_been_charged_before_it_was_switched_off_counts_once(
    client: APIClient, payer: int, stripe_double: StripeDouble, due: UUID
) -> None:
    stripe_double.fail("POST payment_intents/pi_", BROKEN_AFTERWARDS)
    perform_auto_top_up(due)
    client.delete(ADDRESS)

    for _ in range(2):
        perform_auto_top_up(due)

    assert (len(stripe_double.charges), entries_of(payer)) == (1, [1_000, 700])


def switch_off(client: APIClient, _double: StripeDouble, _top_up: TopUp) -> None:
    client.delete(ADDRESS)


@pytest.mark.parametrize("change_wish", [switch_off, ask, dispute])
def test_what_was_prepared_and_not_charged_is_cancelled(
    client: APIClient, payer: int, stripe_double: StripeDouble, due: UUID, change_wish: Callable[..., None]
) -> None:
    stripe_double.fail("POST payment_intents/pi_", BROKEN)
    perform_auto_top_up(due)
    change_wish(client, stripe_double, TopUp.objects.get(kind="CHECKOUT"))

    perform_auto_top_up(due)

    cancelled = TopUp.objects.get(pk=due)
    assert (cancelled.status, cancelled.error) == ("FAILED", "Not charged: it is not wanted any more.")
    assert stripe_double.things[str(cancelled.payment_id)]["status"] == "canceled"
    assert (stripe_double.charges, entries_of(payer)) == ([], [1_000])
    assert account_of(payer).auto_top_up_amount == (None if change_wish is switch_off else 700)
    assert not Notice.objects.filter(kind="AUTO_TOP_UP_FAILED").exists()


@pytest.mark.parametrize(
    ("troubles", "ends"),
    [
        ((BROKEN, "POST payment_intents/pi_"), ("FAILED", [1_000])),
        ((BROKEN_AFTERWARDS, "GET payment_intents"), ("PAID", [1_000, 700])),
    ],
)
def test_what_can_not_be_cancelled_at_once_is_tried_again(
    payer: int, stripe_double: StripeDouble, due: UUID, troubles: tuple[Fault, str], ends: tuple[str, list[int]]
) -> None:
    first, request_ = troubles
    stripe_double.fail("POST payment_intents/pi_", first)
    perform_auto_top_up(due)
    stop_auto_top_up(user_id=payer)
    stripe_double.fail(request_, *PASSING)

    stands = set()
    for _ in PASSING:
        perform_auto_top_up(due)
        stands.add(TopUp.objects.get(pk=due).status)
    perform_auto_top_up(due)

    assert (stands, stripe_double.faults) == ({"PENDING"}, [])
    assert (TopUp.objects.get(pk=due).status, entries_of(payer)) == ends
    assert not Notice.objects.filter(kind="AUTO_TOP_UP_FAILED").exists()


def test_what_was_prepared_for_who_is_gone_is_cancelled(
    user: User, stripe_double: StripeDouble, due: UUID, sent: list[UUID]
) -> None:
    stripe_double.fail("POST payment_intents/pi_", BROKEN)
    perform_auto_top_up(due)
    user.delete()

    for again in (1, 0):
        assert send_overdue(patience_seconds=0) == again
        perform_auto_top_up(due)

    assert (TopUp.objects.get(pk=due).status, stripe_double.charges) == ("FAILED", [])
    assert stripe_double.things[str(TopUp.objects.get(pk=due).payment_id)]["status"] == "canceled"


def test_who_wants_another_amount_of_what_was_prepared_is_charged_that(
    client: APIClient, payer: int, stripe_double: StripeDouble, due: UUID, sent: list[UUID]
) -> None:
    stripe_double.fail("POST payment_intents/pi_", BROKEN)
    perform_auto_top_up(due)
    client.put(ADDRESS, {"threshold": 1_500, "amount": 500})

    perform_auto_top_up(due)
    perform_auto_top_up(sent[-1])

    assert entries_of(payer) == [1_000, 500]


@pytest.mark.parametrize("tells_first", [False, True])
@pytest.mark.parametrize(("reason", "amount_left"), [("abandoned", 700), ("requested_by_customer", None)])
def test_our_cancellation_switches_nothing_off_and_that_of_others_does(
    payer: int, stripe_double: StripeDouble, due: UUID, *, tells_first: bool, reason: str, amount_left: int | None
) -> None:
    stripe_double.fail("POST payment_intents/pi_", BROKEN)
    perform_auto_top_up(due)
    payment = str(TopUp.objects.get(pk=due).payment_id)
    stripe_double.things[payment] |= {"status": "canceled", "cancellation_reason": reason}

    if tells_first:
        tell(stripe_double, "payment_intent.canceled", payment)
    perform_auto_top_up(due)
    tell(stripe_double, "payment_intent.canceled", payment)

    assert (TopUp.objects.get(pk=due).status, account_of(payer).auto_top_up_amount) == ("FAILED", amount_left)
    assert TopUp.objects.filter(kind="AUTO", status="PENDING").exists() is (amount_left is not None)


def test_who_wants_another_amount_is_charged_that(
    client: APIClient, payer: int, stripe_double: StripeDouble, due: UUID, sent: list[UUID]
) -> None:
    client.put(ADDRESS, {"threshold": 1_500, "amount": 700})
    unchanged = set(sent)
    client.put(ADDRESS, {"threshold": 1_500, "amount": 500})

    for key in list(sent):
        perform_auto_top_up(key)

    assert unchanged == {due}
    assert entries_of(payer) == [1_000, 500]


def test_what_is_not_needed_any_more_is_not_charged(
    client: APIClient, payer: int, stripe_double: StripeDouble, due: UUID, sent: list[UUID]
) -> None:
    buy(client, stripe_double)
    perform_auto_top_up(due)
    rich = standing(payer)

    use(payer, 1_000, run=ROOT)
    perform_auto_top_up(sent[-1])

    assert rich == (2_100, 0, 0)
    assert entries_of(payer) == [1_000, 1_000, 700]
