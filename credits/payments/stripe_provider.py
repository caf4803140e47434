"""Payments through Stripe: Checkout pages, saved cards, signed webhooks, refunds, disputes."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

import stripe
from django.conf import settings

from credits.exceptions import EventNotAuthenticError, PaymentFailedError, PaymentUnavailableError
from credits.payments.provider import (
    Checkout,
    Dispute,
    DisputeStage,
    News,
    Order,
    Payment,
    PaymentState,
    Refund,
    SessionNews,
)

CURRENCY: Final = "usd"
TIMEOUT_SECONDS: Final = 20
RETRIES: Final = 2
SIGNATURE_HEADER: Final = "Stripe-Signature"

# Trying again may help; with everything else Stripe says no.
_PASSING = (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError)

_PAYMENT_STATES: Final = {
    "succeeded": PaymentState.PAID,
    "canceled": PaymentState.FAILED,
    "requires_payment_method": PaymentState.FAILED,
}
_DISPUTE_STAGES: Final = {
    "charge.dispute.created": DisputeStage.OPENED,
    "charge.dispute.funds_withdrawn": DisputeStage.WITHDRAWN,
    "charge.dispute.funds_reinstated": DisputeStage.REINSTATED,
}


@contextmanager
def _explaining() -> Iterator[None]:
    """Raise our own errors; what Stripe tells its developers stays out of them."""
    try:
        yield
    except _PASSING as error:
        raise PaymentUnavailableError("The payment provider can't be reached at the moment.") from error
    except stripe.StripeError as error:
        raise PaymentFailedError(error.user_message or "The payment provider refuses.") from error


class StripeProvider:
    """Stripe's API. Every call that makes something carries an idempotency key, so that it can be repeated."""

    def __init__(self, *, secret_key: str, webhook_secret: str, api_base: str) -> None:
        self._client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api_base},
            max_network_retries=RETRIES,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
        )
        self._webhook_secret = webhook_secret

    def make_customer(self, *, account_id: int, user_id: int, email: str) -> str:
        """Return the id of the customer for an account; the same one if repeated."""
        params: dict[str, Any] = {"metadata": {"account_id": str(account_id), "user_id": str(user_id)}}
        if email:
            params["email"] = email
        with _explaining():
            return str(self._client.v1.customers.create(params, _once("customer", account_id)).id)  # type: ignore[arg-type]

    def start_checkout(self, order: Order, *, customer_id: str) -> Checkout:
        """Return a page for an order. The card is kept for automatic top-ups."""
        params: dict[str, Any] = {
            "mode": "payment",
            "customer": customer_id,
            "client_reference_id": str(order.id),
            "line_items": [
                {
                    "price_data": {
                        "currency": CURRENCY,
                        "product_data": {"name": f"{order.amount:,} credits"},
                        "unit_amount": order.amount,
                    },
                    "quantity": 1,
                }
            ],
            "metadata": _label(order),
            "payment_intent_data": {"metadata": _label(order), "setup_future_usage": "off_session"},
            "success_url": settings.TOP_UP_RETURN_URL,
            "cancel_url": settings.TOP_UP_CANCEL_URL,
        }
        with _explaining():
            session = self._client.v1.checkout.sessions.create(params, _once("checkout", order.id))  # type: ignore[arg-type]
        return Checkout(session_id=session.id, url=str(session.url))

    def find_payment(self, session_id: str) -> Payment:
        """Return how the payment of a checkout page stands."""
        with _explaining():
            session = self._client.v1.checkout.sessions.retrieve(session_id)
        state = PaymentState.FAILED if session.status == "expired" else PaymentState.OPEN
        return Payment(
            state=PaymentState.PAID if session.payment_status == "paid" else state,
            order=_read_order(session.metadata, amount=session.amount_total, currency=session.currency),
            payment_id=_id_of(session.payment_intent),
            session_id=session.id,
        )

    def charge_saved_card(self, order: Order, *, customer_id: str) -> Payment:
        """Charge the card that the customer paid with last."""
        with _explaining():
            cards = self._client.v1.customers.payment_methods.list(customer_id, {"type": "card", "limit": 1}).data
        if not cards:
            raise PaymentFailedError("There is no saved card. Top up once at the checkout page.")
        params: dict[str, Any] = {
            "amount": order.amount,
            "currency": CURRENCY,
            "customer": customer_id,
            "payment_method": cards[0].id,
            "off_session": True,
            "confirm": True,
            "metadata": _label(order),
        }
        with _explaining():
            intent = self._client.v1.payment_intents.create(params, _once("charge", order.id))  # type: ignore[arg-type]
        return _read_intent(intent.to_dict())

    def refund(self, *, payment_id: str, amount: int, key: str) -> Refund:
        """Send money back."""
        with _explaining():
            refund = self._client.v1.refunds.create(
                {"payment_intent": payment_id, "amount": amount}, {"idempotency_key": f"refund:{key}"}
            )
        return _read_refund(refund.to_dict())

    def give_in(self, dispute_id: str) -> None:
        """Let the customer win a dispute."""
        with _explaining():
            self._client.v1.disputes.close(dispute_id)

    def contest(self, dispute_id: str, *, evidence: str) -> None:
        """Answer a dispute with what the customer has had for the money."""
        with _explaining():
            self._client.v1.disputes.update(dispute_id, {"evidence": {"access_activity_log": evidence}, "submit": True})

    def read_news(self, body: bytes, headers: Mapping[str, str]) -> News | None:
        """Return what a webhook tells, if its signature is Stripe's and not older than five minutes."""
        try:
            event = self._client.construct_event(body, headers.get(SIGNATURE_HEADER), self._webhook_secret)
        # Besides its own error the library lets those of a header or a body pass that make no sense.
        except (stripe.SignatureVerificationError, ValueError, IndexError, KeyError, TypeError) as error:
            raise EventNotAuthenticError("The webhook's signature doesn't fit.") from error
        return _read_event(event.type, event.data.object.to_dict())


def _read_event(kind: str, thing: Any) -> News | None:
    if kind.startswith("checkout.session."):
        return SessionNews(session_id=thing["id"])
    if kind in _DISPUTE_STAGES:
        payment_id = _id_of(thing.get("payment_intent"))
        if payment_id is None:
            return None
        return Dispute(id=thing["id"], payment_id=payment_id, amount=thing["amount"], stage=_DISPUTE_STAGES[kind])
    readers: dict[str, Callable[[Any], News]] = {
        "payment_intent.succeeded": _read_intent,
        "payment_intent.payment_failed": _read_intent,
        "refund.created": _read_refund,
        "refund.updated": _read_refund,
        "refund.failed": _read_refund,
    }
    reader = readers.get(kind)
    return reader(thing) if reader else None


def _read_intent(intent: Any) -> Payment:
    failure = intent.get("last_payment_error") or {}
    return Payment(
        state=_PAYMENT_STATES.get(intent["status"], PaymentState.OPEN),
        order=_read_order(intent.get("metadata"), amount=intent["amount"], currency=intent["currency"]),
        payment_id=intent["id"],
        error=str(failure.get("message") or ""),
    )


def _read_refund(refund: Any) -> Refund:
    return Refund(
        id=refund["id"],
        payment_id=_id_of(refund.get("payment_intent")) or "",
        amount=refund["amount"],
        is_done=refund["status"] == "succeeded",
        has_failed=refund["status"] in ("failed", "canceled"),
    )


def _read_order(metadata: Any, *, amount: int | None, currency: str | None) -> Order | None:
    """Return whose payment it is; None if it was not made here, or is not in our currency."""
    try:
        order = Order(id=UUID(metadata["top_up_id"]), user_id=int(metadata["user_id"]), amount=int(amount or 0))
    except (KeyError, TypeError, ValueError):
        return None
    return order if currency == CURRENCY and order.amount > 0 else None


def _label(order: Order) -> dict[str, str]:
    return {"top_up_id": str(order.id), "user_id": str(order.user_id)}


def _once(what: str, key: Any) -> Any:
    return {"idempotency_key": f"{what}:{key}"}


def _id_of(value: Any) -> str | None:
    """Return the id of something that may have come whole."""
    return value if isinstance(value, str) or value is None else str(value["id"])
