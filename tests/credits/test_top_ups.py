"""Buying credits: one payment, one entry, whoever tells of it, how often and in whatever order."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connections
from rest_framework.test import APIClient

from credits.models import Account, LedgerEntry, Notice, TopUp
from credits.top_ups import LEAST, MOST, perform_auto_top_up, send_overdue, start_top_up
from tests.credits.booking import account_of, give, set_balance, standing
from tests.credits.stripe_double import StripeDouble

pytestmark = pytest.mark.django_db(transaction=True)

WEBHOOK = "/v1/credits/stripe-webhook"


def tell(double: StripeDouble, kind: str, thing: Any, **other: Any) -> Any:
    body, signature = double.sign(kind, thing, **other)
    return APIClient().post(WEBHOOK, body, content_type="application/json", headers={"Stripe-Signature": signature})


def entries_of(user_id: int, kind: str = "TOP_UP") -> list[int]:
    found = LedgerEntry.objects.filter(account__user_id=user_id, type=kind).order_by("sequence")
    return list(found.values_list("amount", flat=True))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The ids of automatic top-ups that would have been sent to a worker."""
    ids: list[UUID] = []
    monkeypatch.setattr(
        "credits.tasks.top_up_automatically.apply_async", lambda *, args, **_options: ids.append(UUID(args[0]))
    )
    return ids


def buy(client: APIClient, amount: int = 1_000) -> str:
    """Start a top-up; return the session's id."""
    answer = client.post("/v1/credits/top-up", {"amount": amount})
    assert answer.status_code == 201, answer.json()
    return str(TopUp.objects.get(pk=answer.json()["id"]).session_id)


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


def by_webhook(double: StripeDouble, session: str) -> int:
    return int(tell(double, "checkout.session.completed", session).status_code)


def by_late_webhook(double: StripeDouble, session: str) -> int:
    return int(tell(double, "checkout.session.async_payment_succeeded", session).status_code)


def by_payment(double: StripeDouble, session: str) -> int:
    return int(tell(double, "payment_intent.succeeded", double.things[session]["payment_intent"]).status_code)


def by_return(double: StripeDouble, session: str) -> int:
    return int(APIClient().get(f"/v1/credits/top-up/return?session_id={session}").status_code)


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
    session = buy(client)
    stripe_double.pay(session)

    statuses = [way(stripe_double, session) for way in ways]

    assert set(statuses) <= {200, 204}
    assert entries_of(payer) == [1_000]
    assert standing(payer) == (1_100, 0, 0)


def test_a_payment_counts_once_when_all_tell_of_it_at_once(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    session = buy(client)
    stripe_double.pay(session)
    start, statuses = threading.Barrier(8), []

    def run(way: Callable[[StripeDouble, str], int]) -> None:
        try:
            start.wait()
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
    session = buy(client)
    stripe_double.pay(session)
    TopUp.objects.all().delete()

    by_webhook(stripe_double, session)
    by_webhook(stripe_double, session)

    assert entries_of(payer) == [1_000]


@pytest.mark.parametrize("change", [{"currency": "jpy"}, {"metadata": {}}, {"metadata": {"top_up_id": "x"}}])
def test_a_payment_that_is_none_of_ours_is_left_alone(
    client: APIClient, payer: int, stripe_double: StripeDouble, change: dict[str, Any]
) -> None:
    session = buy(client)
    stripe_double.pay(session)
    stripe_double.things[session] |= change

    assert by_webhook(stripe_double, session) == 204
    assert entries_of(payer) == []


def test_a_page_that_expires_ends_its_top_up(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    session = buy(client)
    stripe_double.expire(session)

    tell(stripe_double, "checkout.session.expired", session)

    assert TopUp.objects.get().status == "FAILED"
    assert standing(payer) == (100, 0, 0)


@pytest.mark.parametrize("secret", ["whsec_of_somebody_else"])
def test_what_somebody_else_signed_is_refused(
    client: APIClient, payer: int, stripe_double: StripeDouble, secret: str
) -> None:
    session = buy(client)
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
    assert client.post("/v1/credits/top-up", {"amount": 500}).status_code == 503
    assert client.put("/v1/credits/auto-top-up", {"amount": 500, "threshold": 5}).status_code == 503


def test_a_checkout_that_is_not_there_is_not_found(client: APIClient, stripe_double: StripeDouble) -> None:
    for session in ("cs_404", "", "../../refunds", "cs_%00"):
        assert APIClient().get(f"/v1/credits/top-up/return?session_id={session}").status_code == 404


def test_somebody_elses_top_up_is_not_there(client: APIClient, stripe_double: StripeDouble) -> None:
    stranger = User.objects.create_user("mallory")
    top_up, _checkout = start_top_up(user_id=stranger.pk, amount=500)

    assert client.get(f"/v1/credits/top-up/{top_up.pk}").status_code == 404


def prepare_card(client: APIClient, double: StripeDouble) -> None:
    """Pay once at the checkout page, so that there is a card."""
    session = buy(client)
    double.pay(session)
    by_webhook(double, session)


def test_credits_are_bought_when_the_balance_falls_below_the_threshold(
    client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID]
) -> None:
    prepare_card(client, stripe_double)
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
    prepare_card(client, stripe_double)

    client.put("/v1/credits/auto-top-up", {"threshold": 5_000, "amount": 700})

    assert sent == [TopUp.objects.get(kind="AUTO").pk]


def test_a_declined_card_switches_it_off_and_tells_the_user(
    client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID]
) -> None:
    prepare_card(client, stripe_double)
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
    prepare_card(client, stripe_double)
    client.put("/v1/credits/auto-top-up", {"threshold": 5_000, "amount": 700})
    stripe_double.outage = True
    perform_auto_top_up(sent[0])
    still_on = account_of(payer).auto_top_up_amount

    stripe_double.outage = False
    resent = send_overdue(patience_seconds=0)
    for due in sent:
        perform_auto_top_up(due)

    assert (still_on, resent, len(sent)) == (700, 1, 2)
    assert entries_of(payer) == [1_000, 700]


def test_a_charge_of_which_nobody_heard_is_not_repeated(
    client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID]
) -> None:
    prepare_card(client, stripe_double)
    client.put("/v1/credits/auto-top-up", {"threshold": 5_000, "amount": 700})
    perform_auto_top_up(sent[0])
    TopUp.objects.filter(kind="AUTO").update(status="PENDING", payment_id=None)

    perform_auto_top_up(sent[0])

    intents = [each for each in stripe_double.things.values() if each["object"] == "payment_intent"]
    assert len(intents) == 2
    assert entries_of(payer) == [1_000, 700]


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
