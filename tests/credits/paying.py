"""What the tests of payments do over and over."""

from typing import Any

from rest_framework.test import APIClient

from credits.models import LedgerEntry, TopUp
from tests.credits.stripe_double import StripeDouble

WEBHOOK = "/v1/credits/stripe-webhook"


def tell(double: StripeDouble, kind: str, thing: Any, **other: Any) -> Any:
    """Let the double tell us of something; return our answer."""
    body, signature = double.sign(kind, thing, **other)
    return APIClient().post(WEBHOOK, body, content_type="application/json", headers={"Stripe-Signature": signature})


def entries_of(user_id: int, kind: str = "TOP_UP") -> list[int]:
    found = LedgerEntry.objects.filter(account__user_id=user_id, type=kind).order_by("sequence")
    return list(found.values_list("amount", flat=True))


def start(client: APIClient, amount: int = 1_000) -> str:
    """Start a top-up; return the session's id."""
    answer = client.post("/v1/credits/top-up", {"amount": amount})
    assert answer.status_code == 201, answer.json()
    return str(TopUp.objects.get(pk=answer.json()["id"]).session_id)


def by_webhook(double: StripeDouble, session: str) -> int:
    return int(tell(double, "checkout.session.completed", session).status_code)


def by_late_webhook(double: StripeDouble, session: str) -> int:
    return int(tell(double, "checkout.session.async_payment_succeeded", session).status_code)


def by_payment(double: StripeDouble, session: str) -> int:
    return int(tell(double, "payment_intent.succeeded", double.things[session]["payment_intent"]).status_code)


def by_return(double: StripeDouble, session: str) -> int:
    del double
    return int(APIClient().get(f"/v1/credits/top-up/return?session_id={session}").status_code)


def buy(client: APIClient, double: StripeDouble, amount: int = 1_000) -> TopUp:
    """Top up, and pay."""
    session = start(client, amount)
    double.pay(session)
    assert by_webhook(double, session) == 204
    return TopUp.objects.get(session_id=session)


def ask_back(client: APIClient, top_up: TopUp, **other: Any) -> Any:
    return client.post("/v1/credits/refund-requests", {"top_up_id": top_up.pk, "reason": "By mistake.", **other})


def taken(user_id: int) -> list[tuple[int, int]]:
    found = LedgerEntry.objects.filter(account__user_id=user_id, type="REFUND").order_by("sequence")
    return [(entry.amount, entry.owed) for entry in found]


def refund_of(double: StripeDouble) -> dict[str, Any]:
    """The one refund that Stripe has made and that has not failed."""
    (made,) = [each for each in double.all_of("refund") if each["status"] != "failed"]
    return made
