"""What a payment provider has to do. Amounts are US cents, which are credits."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID


class PaymentState(StrEnum):
    """How a payment stands."""

    OPEN = "OPEN"
    PAID = "PAID"
    FAILED = "FAILED"


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
class Refund:
    """Money that goes back. `is_done`: it has left; `has_failed`: it came back to us."""

    id: str
    payment_id: str
    amount: int
    is_done: bool
    has_failed: bool = False


class DisputeStage(StrEnum):
    """What happened to a dispute."""

    OPENED = "OPENED"
    WITHDRAWN = "WITHDRAWN"
    REINSTATED = "REINSTATED"


@dataclass(frozen=True, kw_only=True)
class Dispute:
    """Somebody's bank wants a payment back."""

    id: str
    payment_id: str
    amount: int
    stage: DisputeStage


@dataclass(frozen=True, kw_only=True)
class SessionNews:
    """Something happened to a checkout page: ask what."""

    session_id: str


News = SessionNews | Payment | Refund | Dispute


class PaymentProvider(Protocol):
    """Every call may raise `PaymentFailedError` (for good) and `PaymentUnavailableError` (try again)."""

    def make_customer(self, *, account_id: int, user_id: int, email: str) -> str:
        """Return the id of the customer for an account; the same one if repeated."""
        ...

    def start_checkout(self, order: Order, *, customer_id: str) -> Checkout:
        """Return a page for an order; the same one if repeated."""
        ...

    def find_payment(self, session_id: str) -> Payment:
        """Return how the payment of a checkout page stands."""
        ...

    def charge_saved_card(self, order: Order, *, customer_id: str) -> Payment:
        """Charge the card that the customer paid with before; the same payment if repeated."""
        ...

    def refund(self, *, payment_id: str, amount: int, key: str) -> Refund:
        """Send money back; the same refund if repeated with the same key."""
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
