"""What a payment provider has to do. Amounts are US cents, which are credits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID


class PaymentState(StrEnum):
    """How a payment stands. CANCELLED: nobody has refused it, and it is never made."""

    OPEN = "OPEN"
    PAID = "PAID"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be paid for. `id` is the top-up's: it goes with the payment and comes back with it."""

    id: UUID
    user_id: int
    amount: int


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A page at which somebody pays."""

    session_id: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Payment:
    """A payment as the provider knows it. `order` is None where it was not ours to begin with."""

    state: PaymentState
    order: Order | None
    payment_id: str | None
    session_id: str | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class RefundOrder:
    """Money to send back for a request. `attempt` counts from 1: what was refused may be asked for anew.

    `failed_orders` is how often ordering it has come to nothing (`RefundNotMadeError`) before.
    """

    request_id: UUID
    attempt: int
    payment_id: str
    amount: int
    failed_orders: int = 0


@dataclass(frozen=True, kw_only=True)
class Refund:
    """Money that goes back. `is_done`: it has left; `has_failed`: it won't, or it came back to us.

    `request_id` and `attempt` are those of its order, None where it was made at the provider by hand.
    """

    id: str
    payment_id: str
    amount: int
    is_done: bool
    has_failed: bool = False
    request_id: UUID | None = None
    attempt: int | None = None


@dataclass(frozen=True, kw_only=True)
class Dispute:
    """Somebody's bank wants a payment back. The money `is_withdrawn` first, and `is_reinstated` if we win.

    `awaits_answer`: nobody has answered it yet.
    """

    id: str
    payment_id: str
    amount: int
    awaits_answer: bool
    is_withdrawn: bool = False
    is_reinstated: bool = False


@dataclass(frozen=True, kw_only=True)
class SessionNews:
    """Something happened to a checkout page: ask what."""

    session_id: str


News = SessionNews | Payment | Refund | Dispute


class PaymentProvider(Protocol):
    """Every call may raise `PaymentFailedError` (for good) and `PaymentUnavailableError` (try again).

    A call takes its time: none may be made while a transaction is open.
    """

    def make_customer(self, *, account_id: int, user_id: int, email: str) -> str:
        """Return the id of a new customer for an account."""
        ...

    def start_checkout(self, order: Order, *, customer_id: str) -> Checkout:
        """Return a page for an order; the same one if repeated."""
        ...

    def open_portal(self, *, customer_id: str) -> str:
        """Return the address of the page where a customer sees to their cards."""
        ...

    def find_checkout(self, session_id: str) -> Payment:
        """Return how the payment of a checkout page stands."""
        ...

    def find_payment(self, payment_id: str) -> Payment:
        """Return how a payment stands."""
        ...

    def prepare_charge(self, order: Order, *, customer_id: str) -> str:
        """Return the id of a payment that can be charged once. Nothing is charged yet: one too many does no harm."""
        ...

    def charge(self, payment_id: str, *, customer_id: str) -> Payment:
        """Charge the card that the customer paid with last, unless this payment has been made or has failed."""
        ...

    def cancel(self, payment_id: str) -> Payment:
        """Let a payment never be made, if it can still be helped, and return how it stands then."""
        ...

    def refund(self, order: RefundOrder) -> Refund:
        """Send money back, unless that has been done for this request and attempt. Raises `RefundNotMadeError`, too."""
        ...

    def find_refund(self, refund_id: str) -> Refund:
        """Return how a refund stands."""
        ...

    def find_dispute(self, dispute_id: str) -> Dispute:
        """Return how a dispute stands."""
        ...

    def list_refunds(self, *, since: datetime) -> Iterator[Refund]:
        """Return all refunds that were made since then, whoever made them, as they stand."""
        ...

    def list_disputes(self, *, since: datetime) -> Iterator[Dispute]:
        """Return all disputes of payments that were opened since then, as they stand."""
        ...

    def give_in(self, dispute_id: str) -> None:
        """Let the customer win a dispute."""
        ...

    def contest(self, dispute_id: str, *, evidence: str) -> None:
        """Answer a dispute with what the customer has had for the money."""
        ...

    def read_news(self, body: bytes, headers: Mapping[str, str]) -> News | None:
        """Return what a webhook tells, None if it is nothing to us. Raises `EventNotAuthenticError`."""
        ...
