"""What the books have to say of what Stripe knows of somebody, at any time and when all has been told."""

from collections import Counter
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Sum
from hypothesis.stateful import RuleBasedStateMachine, invariant

from credits.auditing import find_faults
from credits.models import LedgerEntry, RefundRequest, Reversal
from tests.credits.booking import account_of, set_balance, standing
from tests.credits.stripe_double import StripeDouble

HARMLESS = [
    "Declined.",
    "There is no saved card. Top up once at the checkout page.",
    "Not charged: it is not wanted any more.",
]
"""Why an automatic top-up may fail."""

# It is asked after every step, so it is asked at once.
_STANDING = """
SELECT (SELECT COALESCE(sum(amount - owed), 0) FROM credits_ledgerentry
         WHERE account_id = %(account)s AND type = 'TOP_UP'),
       (SELECT string_agg(error, ', ') FROM credits_topup
         WHERE account_id = %(account)s AND kind = 'AUTO' AND status = 'FAILED' AND error <> ALL(%(harmless)s))
"""


def stage_of(thing: dict[str, Any]) -> int:
    """Return how far the money of a refund or dispute has gone, as Stripe has it."""
    if thing["object"] == "dispute":
        return len(thing["balance_transactions"])
    return {"pending": 0, "succeeded": 1, "failed": 2}[thing["status"]]


class PaidBooks(RuleBasedStateMachine):
    """A user, and Stripe. `moved` is what was booked without it."""

    double: StripeDouble

    def __init__(self) -> None:
        super().__init__()
        self.user_id: int = User.objects.create_user(f"user-{uuid4()}").pk
        self.account_id = account_of(self.user_id).pk
        set_balance(self.user_id, 0)
        self.moved = 0
        self.known = set(self.double.things)

    def mine(self, kind: str) -> list[dict[str, Any]]:
        """What Stripe has of this user's."""
        return [each for key, each in self.double.things.items() if key not in self.known and each["object"] == kind]

    def pick(self, things: list[Any], which: int) -> Any:
        return things[which % len(things)]

    def payments(self) -> list[dict[str, Any]]:
        return [each for each in self.mine("payment_intent") if each["status"] == "succeeded"]

    def undisputed(self) -> list[dict[str, Any]]:
        """Payments that nobody wants back yet."""
        touched = {each["payment_intent"] for kind in ("refund", "dispute") for each in self.mine(kind)}
        return [each for each in self.payments() if each["id"] not in touched]

    @invariant()
    def nothing_is_charged_twice(self) -> None:
        charged = Counter(each["metadata"]["top_up_id"] for each in self.payments())
        assert not charged or max(charged.values()) == 1

    @invariant()
    def nothing_is_sent_back_twice(self) -> None:
        sent = Counter(tuple(each["metadata"].items()) for each in self.mine("refund"))
        assert not sent or max(sent.values()) == 1

    @invariant()
    def no_credits_without_a_payment_and_only_a_declined_card_switches_anything_off(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_STANDING, {"account": self.account_id, "harmless": HARMLESS})
            entered, errors = cursor.fetchone()
        assert entered <= sum(each["amount"] for each in self.payments())
        assert errors is None

    def entered(self, *types: str) -> int:
        found = LedgerEntry.objects.filter(account=self.account_id, type__in=types).aggregate(
            amount=Sum("amount"), owed=Sum("owed")
        )
        return int((found["amount"] or 0) - (found["owed"] or 0))

    def stages(self) -> dict[str, int]:
        """Return how far we think that money has gone, by refund or dispute."""
        return dict(Reversal.objects.filter(top_up__account=self.account_id).values_list("id", "stage"))

    def the_requests_stand_as_their_refunds(self) -> None:
        for refund in self.mine("refund"):
            asked = RefundRequest.objects.get(pk=refund["metadata"]["refund_request_id"])
            if asked.attempt == int(refund["metadata"]["attempt"]):
                expected = {"succeeded": "REFUNDED", "pending": "APPROVED", "failed": "PENDING"}
                assert asked.status == expected[refund["status"]]
            else:
                assert refund["status"] == "failed"
        assert not RefundRequest.objects.filter(account=self.account_id, status="APPROVED", refund_id=None).exists()

    def the_books_say_what_stripe_says(self) -> None:
        reversals = [*self.mine("refund"), *self.mine("dispute")]
        assert self.stages() == {each["id"]: stage_of(each) for each in reversals}
        paid = sum(each["amount"] for each in self.payments())
        refunded = sum(each["amount"] for each in self.mine("refund") if each["status"] == "succeeded")
        disputed = -sum(move["amount"] for each in self.mine("dispute") for move in each["balance_transactions"])
        balance, held, owed = standing(self.user_id)
        assert self.entered("TOP_UP") == paid
        assert (balance - owed, held) == (paid - refunded - disputed + self.moved, 0)
        assert find_faults() == ()
