"""Payments through Stripe: Checkout pages, saved cards, signed webhooks, refunds, disputes.

Stripe forgets an idempotency key after a day, answers a repeated request as it did the first (an error, too), and
refuses a key that comes with other parameters. So nothing here relies on a key alone: a payment intent succeeds once,
however often it is confirmed, and a refund is looked for before it is made.

An error of Stripe's own leaves open what has happened, and so does no answer at all: the same key is used again. If
that is answered with the error that was kept, the request has ended; if there is no refund then, nothing has happened,
nor will it under this key. Another key is safe from then on; and Stripe sends no more back than was paid.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import stripe
import structlog
from django.conf import settings

from credits.exceptions import (
    EventNotAuthenticError,
    PaymentFailedError,
    PaymentUnavailableError,
    RefundNotMadeError,
)
from credits.payments.provider import (
    Checkout,
    Dispute,
    News,
    Order,
    Payment,
    Refund,
    RefundOrder,
)
from credits.payments.stripe_objects import (
    CURRENCY,
    OUR_REASON,
    label_order,
    label_refund,
    read_dispute,
    read_event,
    read_intent,
    read_refund,
    read_session,
)

TIMEOUT_SECONDS: Final = 20
RETRIES: Final = 2
MOST_AT_ONCE: Final = 100
SIGNATURE_HEADER: Final = "Stripe-Signature"
REPLAYED_HEADER: Final = "idempotent-replayed"
UNEXPECTED_STATE: Final = "payment_intent_unexpected_state"

logger = structlog.get_logger(__name__)


@contextmanager
def _explaining() -> Iterator[None]:
    """Raise our own errors; what Stripe tells its developers stays out of them.

    No to a card or to what was asked is a refusal. Everything else may pass: an outage, a limit, a lock, a key that is
    in use, and even our own secret key, which an operator has to mend and no user can help.
    """
    try:
        yield
    except stripe.CardError as error:
        raise PaymentFailedError(error.user_message or "The card was declined.") from error
    except stripe.InvalidRequestError as error:
        logger.warning("Stripe refuses", code=error.code, error=str(error))
        why = f" ({error.code})" if error.code else ""
        raise PaymentFailedError(f"The payment provider refuses{why}.") from error
    except stripe.StripeError as error:
        logger.error("Stripe doesn't answer as it should", kind=type(error).__name__, error=str(error))
        raise PaymentUnavailableError("The payment provider can't be reached at the moment.") from error


class StripeProvider:
    """Stripe's API."""

    def __init__(self, *, secret_key: str, webhook_secret: str, api_base: str) -> None:
        self._client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api_base},
            max_network_retries=RETRIES,
            http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
        )
        self._webhook_secret = webhook_secret

    def make_customer(self, *, account_id: int, user_id: int, email: str) -> str:
        """Return the id of a new customer for an account."""
        params: dict[str, Any] = {"metadata": {"account_id": str(account_id), "user_id": str(user_id)}}
        if email:
            params["email"] = email
        with _explaining():
            return str(self._client.v1.customers.create(params).id)  # type: ignore[arg-type]

    def start_checkout(self, order: Order, *, customer_id: str) -> Checkout:
        """Return Stripe's page for an order; the card is saved for automatic top-ups."""
        item = {
            "price_data": {
                "currency": CURRENCY,
                "unit_amount": order.amount,
                "product_data": {"name": f"{order.amount:,} credits"},
            },
            "quantity": 1,
        }
        params: dict[str, Any] = {
            "mode": "payment",
            "customer": customer_id,
            "line_items": [item],
            "client_reference_id": str(order.id),
            "metadata": label_order(order),
            "payment_intent_data": {"metadata": label_order(order), "setup_future_usage": "off_session"},
            "success_url": settings.TOP_UP_RETURN_URL,
            "cancel_url": settings.TOP_UP_CANCEL_URL,
        }
        with _explaining():
            session = self._client.v1.checkout.sessions.create(params, _once(f"checkout:{order.id}"))  # type: ignore[arg-type]
        return Checkout(session_id=session.id, url=str(session.url))

    def open_portal(self, *, customer_id: str) -> str:
        """Return the address of Stripe's billing portal for a customer."""
        params: dict[str, Any] = {"customer": customer_id, "return_url": settings.TOP_UP_CANCEL_URL}
        with _explaining():
            return str(self._client.v1.billing_portal.sessions.create(params).url)  # type: ignore[arg-type]

    def find_checkout(self, session_id: str) -> Payment:
        """Return how the payment of a checkout page stands."""
        with _explaining():
            found = self._client.v1.checkout.sessions.retrieve(session_id, {"expand": ["payment_intent"]})
            return read_session(found.to_dict())

    def find_payment(self, payment_id: str) -> Payment:
        """Return how a payment intent stands."""
        with _explaining():
            return read_intent(self._client.v1.payment_intents.retrieve(payment_id).to_dict())

    def prepare_charge(self, order: Order, *, customer_id: str) -> str:
        """Return the id of a payment intent that is not confirmed."""
        params: dict[str, Any] = {
            "amount": order.amount,
            "currency": CURRENCY,
            "customer": customer_id,
            "payment_method_types": ["card"],
            "metadata": label_order(order),
        }
        with _explaining():
            return str(self._client.v1.payment_intents.create(params).id)  # type: ignore[arg-type]

    def charge(self, payment_id: str, *, customer_id: str) -> Payment:
        """Confirm a payment intent with the card that the customer paid with last."""
        with _explaining():
            found = self._client.v1.payment_intents.retrieve(payment_id).to_dict()
            if found["status"] not in ("requires_payment_method", "requires_confirmation") or found.get(
                "last_payment_error"
            ):
                return read_intent(found)
            cards = self._client.v1.customers.payment_methods.list(customer_id, {"type": "card", "limit": 1}).data
        if not cards:
            raise PaymentFailedError("There is no saved card. Top up once at the checkout page.")
        with _explaining():
            try:
                made = self._client.v1.payment_intents.confirm(
                    payment_id, {"payment_method": cards[0].id, "off_session": True}
                )
            except stripe.InvalidRequestError as error:
                if error.code != UNEXPECTED_STATE:
                    raise
                # Somebody else has just confirmed it.
                made = self._client.v1.payment_intents.retrieve(payment_id)
        return read_intent(made.to_dict())

    def cancel(self, payment_id: str) -> Payment:
        """Cancel a payment intent, unless it has come to its end or is about to."""
        with _explaining():
            try:
                found = self._client.v1.payment_intents.cancel(payment_id, {"cancellation_reason": OUR_REASON})
            except stripe.InvalidRequestError as error:
                if error.code != UNEXPECTED_STATE:
                    raise
                found = self._client.v1.payment_intents.retrieve(payment_id)
            return read_intent(found.to_dict())

    def refund(self, order: RefundOrder) -> Refund:
        """Send money back, unless the payment has a refund that was made for this order."""
        with _explaining():
            return self._find_ordered(order) or self._make_refund(order)

    def _find_ordered(self, order: RefundOrder) -> Refund | None:
        made = self._client.v1.refunds.list({"payment_intent": order.payment_id, "limit": MOST_AT_ONCE})
        for each in made.auto_paging_iter():
            known = read_refund(each.to_dict())
            if (known.request_id, known.attempt) == (order.request_id, order.attempt):
                return known
        return None

    def _make_refund(self, order: RefundOrder) -> Refund:
        params: dict[str, Any] = {
            "payment_intent": order.payment_id,
            "amount": order.amount,
            "metadata": label_refund(order),
        }
        key = f"refund:{order.request_id}:{order.attempt}:{order.failed_orders}"
        try:
            return read_refund(self._client.v1.refunds.create(params, _once(key)).to_dict())  # type: ignore[arg-type]
        except stripe.APIError as error:
            if not _is_last_word(error):
                raise
            found = self._find_ordered(order)
            if found is None:
                raise RefundNotMadeError("The payment provider could not make the refund.") from error
            return found

    def find_refund(self, refund_id: str) -> Refund:
        """Return how a refund stands."""
        with _explaining():
            return read_refund(self._client.v1.refunds.retrieve(refund_id).to_dict())

    def find_dispute(self, dispute_id: str) -> Dispute:
        """Return how a dispute stands."""
        with _explaining():
            found = read_dispute(self._client.v1.disputes.retrieve(dispute_id).to_dict())
        if found is None:
            raise PaymentFailedError("The dispute is about no payment of ours.")
        return found

    def list_refunds(self, *, since: datetime) -> Iterator[Refund]:
        """Return the refunds that were made since then, page by page."""
        with _explaining():
            for each in self._client.v1.refunds.list(_newest(since)).auto_paging_iter():
                yield read_refund(each.to_dict())

    def list_disputes(self, *, since: datetime) -> Iterator[Dispute]:
        """Return the disputes that were opened since then, page by page."""
        with _explaining():
            for each in self._client.v1.disputes.list(_newest(since)).auto_paging_iter():
                if dispute := read_dispute(each.to_dict()):
                    yield dispute

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
        return read_event(event.type, event.data.object.to_dict())


def _is_last_word(error: stripe.APIError) -> bool:
    """Whether this is the error that a request ended with, told again: it is not under way any more."""
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return headers.get(REPLAYED_HEADER) == "true"


def _newest(since: datetime) -> Any:
    return {"created": {"gte": int(since.timestamp())}, "limit": MOST_AT_ONCE}


def _once(key: str) -> Any:
    return {"idempotency_key": key}
