"""What goes wrong at Stripe, as its API tells it."""

from dataclasses import dataclass
from typing import Any

Answer = tuple[int, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An answer in place of the right one. `works`: what was asked for is done all the same."""

    status: int
    type: str
    code: str | None = None
    works: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether a repeated idempotency key is answered with it: only if the work had begun."""
        return self.status >= 500

    @property
    def answer(self) -> Answer:
        return self.status, {"error": {"type": self.type, "code": self.code, "message": "A text for developers."}}


BROKEN = Fault(status=500, type="api_error")
BROKEN_AFTERWARDS = Fault(status=500, type="api_error", works=True)
KEY_IN_USE = Fault(status=409, type="idempotency_error", code="idempotency_key_in_use")
KEY_REUSED = Fault(status=400, type="idempotency_error")
LOCKED = Fault(status=429, type="invalid_request_error", code="lock_timeout")
TOO_MANY = Fault(status=429, type="invalid_request_error", code="rate_limit")
WRONG_SECRET = Fault(status=401, type="invalid_request_error")
NOT_ALLOWED = Fault(status=403, type="invalid_request_error")

PASSING = (KEY_IN_USE, KEY_REUSED, LOCKED, TOO_MANY, WRONG_SECRET, NOT_ALLOWED, BROKEN, BROKEN_AFTERWARDS)
"""What says nothing about a card or a user, and may be over at the next try."""
