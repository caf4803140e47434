"""Credits that are bought automatically: charged once, whatever Stripe answers, and switched off by a refusal only."""

import threading
from uuid import UUID

import pytest
from django.db import connections
from rest_framework.test import APIClient

from credits.auto_top_ups import perform_auto_top_up, send_overdue
from credits.models import Account, Notice, TopUp
from tests.credits.booking import ROOT, account_of, give, set_balance, standing, use
from tests.credits.paying import buy, entries_of, tell
from tests.credits.stripe_double import StripeDouble
from tests.credits.stripe_faults import BROKEN, BROKEN_AFTERWARDS, PASSING

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def due(client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID]) -> UUID:
    """An automatic top-up of 700 credits that is to be made, by a user with 1,100 and a saved card."""
    buy(client, stripe_double)
    client.put("/v1/credits/auto-top-up", {"threshold": 1_500, "amount": 700})
    (key,) = sent
    return key


def test_credits_are_bought_when_the_balance_falls_below_the_threshold(
    client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID]
) -> None:
    buy(client, stripe_double)
    shown = client.put("/v1/credits/auto-top-up", {"threshold": 600, "amount": 700}).json()
    set_balance(payer, 650)
    nothing = list(sent)

    set_balance(payer, 590)
    set_balance(payer, 580)
    (due,) = set(sent)
    perform_auto_top_up(due)
    perform_auto_top_up(due)

    assert shown["auto_top_up"] == {"threshold": 600, "amount": 700}
    assert nothing == []
    assert entries_of(payer) == [1_000, 700]
    assert standing(payer) == (1_280, 0, 0)


def test_credits_are_bought_at_once_where_the_balance_is_below_already(
    client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID]
) -> None:
    buy(client, stripe_double)

    client.put("/v1/credits/auto-top-up", {"threshold": 5_000, "amount": 700})

    assert sent == [TopUp.objects.get(kind="AUTO").pk]


def test_credits_are_bought_one_after_the_other_until_nothing_is_owed(
    client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID]
) -> None:
    buy(client, stripe_double)
    client.put("/v1/credits/auto-top-up", {"threshold": 300, "amount": 500})
    use(payer, 3_100, run=ROOT)
    owed = standing(payer)

    under_way = []
    while pending := list(TopUp.objects.filter(kind="AUTO", status="PENDING")):
        under_way.append(len(pending))
        assert pending[0].pk in sent
        perform_auto_top_up(pending[0].pk)

    assert owed == (0, 0, 2_000)
    assert under_way == [1, 1, 1, 1, 1]
    assert standing(payer) == (500, 0, 0)


def test_a_declined_card_switches_it_off_and_tells_the_user(
    client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID]
) -> None:
    buy(client, stripe_double)
    client.put("/v1/credits/auto-top-up", {"threshold": 5_000, "amount": 700})
    stripe_double.decline = "Your card was declined."

    perform_auto_top_up(sent[0])
    perform_auto_top_up(sent[0])

    assert client.get("/v1/credits").json()["auto_top_up"] is None
    told = Notice.objects.get(kind="AUTO_TOP_UP_FAILED")
    assert (told.text, told.told_at is not None) == ("Your card was declined.", True)
    assert entries_of(payer) == [1_000]


def test_without_a_card_it_is_switched_off(
    client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID]
) -> None:
    client.put("/v1/credits/auto-top-up", {"threshold": 5_000, "amount": 700})

    perform_auto_top_up(sent[0])

    assert Account.objects.get(user_id=payer).auto_top_up_amount is None
    assert "no saved card" in Notice.objects.get(kind="AUTO_TOP_UP_FAILED").text


def test_after_an_outage_it_is_tried_again_and_paid_once(
    client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID]
) -> None:
    buy(client, stripe_double)
    client.put("/v1/credits/auto-top-up", {"threshold": 1_500, "amount": 700})
    stripe_double.outage = True
    perform_auto_top_up(sent[0])
    still_on = account_of(payer).auto_top_up_amount

    stripe_double.outage = False
    resent = send_overdue(patience_seconds=0)
    for due in sent:
        perform_auto_top_up(due)

    assert (still_on, resent, len(sent)) == (700, 1, 2)
    assert entries_of(payer) == [1_000, 700]


@pytest.mark.parametrize(
    "request_", ["POST payment_intents", "GET payment_intents", "GET customers", "POST payment_intents/pi_"]
)
def test_what_passes_switches_nothing_off_and_it_is_paid_once(
    payer: int, stripe_double: StripeDouble, due: UUID, request_: str
) -> None:
    between = set()
    for fault in PASSING:
        stripe_double.fail(request_, fault)
        perform_auto_top_up(due)
        between.add((account_of(payer).auto_top_up_amount, TopUp.objects.get(pk=due).status))

    perform_auto_top_up(due)

    assert stripe_double.faults == []
    assert between == {(700, "PENDING")}
    assert len(stripe_double.charges) == 1
    assert entries_of(payer) == [1_000, 700]
    assert not Notice.objects.filter(kind="AUTO_TOP_UP_FAILED").exists()


@pytest.mark.parametrize("request_", ["POST payment_intents", "POST payment_intents/pi_"])
def test_a_day_later_it_is_still_charged_once(
    payer: int, stripe_double: StripeDouble, due: UUID, request_: str
) -> None:
    stripe_double.fail(request_, BROKEN_AFTERWARDS)
    perform_auto_top_up(due)
    stripe_double.forget_keys()

    perform_auto_top_up(due)

    assert len(stripe_double.charges) == 1
    assert entries_of(payer) == [1_000, 700]


def test_another_card_in_between_is_charged_instead(payer: int, stripe_double: StripeDouble, due: UUID) -> None:
    stripe_double.fail("POST payment_intents/pi_", BROKEN)
    perform_auto_top_up(due)
    stripe_double.add_card(account_of(payer).customer_id)

    perform_auto_top_up(due)

    assert account_of(payer).auto_top_up_amount == 700
    assert entries_of(payer) == [1_000, 700]


def test_a_charge_of_which_nobody_heard_is_not_repeated(payer: int, stripe_double: StripeDouble, due: UUID) -> None:
    perform_auto_top_up(due)
    TopUp.objects.filter(pk=due).update(status="PENDING")

    perform_auto_top_up(due)

    assert len(stripe_double.charges) == 1
    assert entries_of(payer) == [1_000, 700]


def test_eight_workers_charge_once(payer: int, stripe_double: StripeDouble, due: UUID) -> None:
    start = threading.Barrier(8)

    def perform() -> None:
        try:
            start.wait()
            perform_auto_top_up(due)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=perform) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(stripe_double.charges) == 1
    assert entries_of(payer) == [1_000, 700]
    assert account_of(payer).auto_top_up_amount == 700


def test_a_refusal_of_which_nobody_heard_is_found_and_told_once(
    payer: int, stripe_double: StripeDouble, due: UUID
) -> None:
    stripe_double.decline = "Your card was declined."
    stripe_double.fail("POST payment_intents/pi_", BROKEN_AFTERWARDS)
    perform_auto_top_up(due)
    (intent,) = [each["id"] for each in stripe_double.all_of("payment_intent") if each["status"] != "succeeded"]
    stripe_double.decline = None

    perform_auto_top_up(due)
    tell(stripe_double, "payment_intent.payment_failed", intent)

    assert stripe_double.charges == []
    assert account_of(payer).auto_top_up_amount is None
    assert Notice.objects.get(kind="AUTO_TOP_UP_FAILED").text == "Your card was declined."


def test_nothing_is_locked_while_stripe_thinks(payer: int, stripe_double: StripeDouble, due: UUID) -> None:
    perform_auto_top_up(due)

    assert entries_of(payer) == [1_000, 700]
    assert stripe_double.waiting_transactions == 0


def test_switched_off_it_buys_nothing(
    client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID]
) -> None:
    give(payer, 900)
    client.put("/v1/credits/auto-top-up", {"threshold": 500, "amount": 700})
    client.delete("/v1/credits/auto-top-up")

    set_balance(payer, 10)

    assert sent == []


@pytest.mark.parametrize("wanted", [{"threshold": -1, "amount": 500}, {"threshold": 5, "amount": 550}, {}])
def test_an_automatic_top_up_that_makes_no_sense_is_refused(
    client: APIClient, payer: int, stripe_double: StripeDouble, wanted: dict[str, int]
) -> None:
    assert client.put("/v1/credits/auto-top-up", wanted).status_code == 400
    assert account_of(payer).auto_top_up_amount is None


def test_it_tells_how_it_stands(client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID]) -> None:
    off = client.get("/v1/credits/auto-top-up").json()
    client.put("/v1/credits/auto-top-up", {"threshold": 5_000, "amount": 700})
    under_way = client.get("/v1/credits/auto-top-up").json()
    perform_auto_top_up(sent[0])
    failed = client.get("/v1/credits/auto-top-up").json()

    nothing = {"threshold": None, "amount": None, "paused_until": None, "paused_because": "", "newest": None}
    assert off == {**nothing, "most_per_day": 10}
    assert (under_way["threshold"], under_way["amount"], under_way["newest"]["status"]) == (5_000, 700, "PENDING")
    assert (failed["threshold"], failed["newest"]["status"]) == (None, "FAILED")
    assert "no saved card" in failed["newest"]["error"]
