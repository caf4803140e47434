"""Stripe's objects in our words, and the marks by which we know them again."""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from credits.payments.provider import Dispute, News, Order, Payment, PaymentState, Refund, RefundOrder, SessionNews

CURRENCY: Final = "usd"

OUR_REASON: Final = "abandoned"
"""For which we cancel payments; who cancels one at the dashboard has other reasons."""

_AWAITS_ANSWER: Final = ("needs_response", "warning_needs_response")


def read_event(kind: str, thing: Any) -> News | None:
    """Return what an event tells; None if it is nothing to us."""
    if kind.startswith("checkout.session."):
        return SessionNews(session_id=thing["id"])
    if kind.startswith("charge.dispute."):
        return read_dispute(thing, kind)
    readers: dict[str, Callable[[Any], News]] = {
        "payment_intent.succeeded": read_intent,
        "payment_intent.payment_failed": read_intent,
        "payment_intent.canceled": read_intent,
        "refund.created": read_refund,
        "refund.updated": read_refund,
        "refund.failed": read_refund,
    }
    reader = readers.get(kind)
    return reader(thing) if reader else None


def read_session(session: Any) -> Payment:
    """Return the payment of a checkout session, which comes with its payment intent.

    Who pays at it by their bank has left it long before that succeeds or fails: it never expires then.
    """
    intent = session.get("payment_intent")
    made = None if intent is None or session["status"] != "complete" else read_intent(intent)
    has_failed = made is not None and made.state in (PaymentState.FAILED, PaymentState.CANCELLED)
    state = PaymentState.FAILED if has_failed or session["status"] == "expired" else PaymentState.OPEN
    return Payment(
        state=PaymentState.PAID if session["payment_status"] == "paid" else state,
        error=made.error if made else "",
        order=_read_order(session.get("metadata"), amount=session["amount_total"], currency=session["currency"]),
        payment_id=id_of(session.get("payment_intent")),
        session_id=session["id"],
    )


def read_intent(intent: Any) -> Payment:
    """Return the payment of a payment intent. One that lacks a card has failed only if a card was tried.

    One that somebody else has cancelled, as at the dashboard, has failed: who did that wants no other in its place.
    """
    failure = intent.get("last_payment_error") or {}
    has_failed = intent["status"] == "requires_payment_method" and bool(failure)
    if intent["status"] == "canceled" and intent.get("cancellation_reason") != OUR_REASON:
        has_failed, failure = True, {"message": "It was cancelled at the payment provider."}
    ends = {"succeeded": PaymentState.PAID, "canceled": PaymentState.CANCELLED}
    return Payment(
        state=PaymentState.FAILED if has_failed else ends.get(intent["status"], PaymentState.OPEN),
        order=_read_order(intent.get("metadata"), amount=intent["amount"], currency=intent["currency"]),
        payment_id=intent["id"],
        error=str(failure.get("message") or ""),
    )


def read_refund(refund: Any) -> Refund:
    """Return a refund, with the order that it was made for, if it was."""
    request_id, attempt = _read_refund_label(refund.get("metadata"))
    return Refund(
        id=refund["id"],
        payment_id=id_of(refund.get("payment_intent")) or "",
        amount=refund["amount"],
        is_done=refund["status"] == "succeeded",
        has_failed=refund["status"] in ("failed", "canceled"),
        request_id=request_id,
        attempt=attempt,
    )


def read_dispute(dispute: Any, kind: str = "") -> Dispute | None:
    """Return a dispute, as it says itself and as the event of this kind says of it; None without a payment of ours."""
    payment_id = id_of(dispute.get("payment_intent"))
    if payment_id is None:
        return None
    moved = [each["amount"] for each in dispute.get("balance_transactions") or ()]
    return Dispute(
        id=dispute["id"],
        payment_id=payment_id,
        amount=dispute["amount"],
        awaits_answer=dispute.get("status") in _AWAITS_ANSWER
        and not (dispute.get("evidence_details") or {}).get("submission_count"),
        is_withdrawn=kind.endswith(".funds_withdrawn") or any(amount < 0 for amount in moved),
        is_reinstated=kind.endswith(".funds_reinstated") or any(amount > 0 for amount in moved),
    )


def label_order(order: Order) -> dict[str, str]:
    """Return the metadata by which a payment's order is known again."""
    return {"top_up_id": str(order.id), "user_id": str(order.user_id)}


def label_refund(order: RefundOrder) -> dict[str, str]:
    """Return the metadata by which a refund's order is known again."""
    return {"refund_request_id": str(order.request_id), "attempt": str(order.attempt)}


def id_of(value: Any) -> str | None:
    """Return the id of something that may have come whole."""
    return value if isinstance(value, str) or value is None else str(value["id"])


def _read_order(metadata: Any, *, amount: int | None, currency: str | None) -> Order | None:
    """Return whose payment it is; None if it was not made here, or is not in our currency."""
    try:
        order = Order(id=UUID(metadata["top_up_id"]), user_id=int(metadata["user_id"]), amount=int(amount or 0))
    except (KeyError, TypeError, ValueError):
        return None
    return order if currency == CURRENCY and order.amount > 0 else None


def _read_refund_label(metadata: Any) -> tuple[UUID | None, int | None]:
    try:
        return UUID(metadata["refund_request_id"]), int(metadata["attempt"])
    except (KeyError, TypeError, ValueError):
        return None, None
