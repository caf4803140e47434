"""Bringing all that is under way to its end, as recovery, news and admins do; then the books can be looked at."""

from typing import Any
from uuid import UUID

from credits.auto_top_ups import perform_auto_top_up
from credits.models import RefundRequest, TopUp
from credits.refunds import approve_refund, look_after_refunds, send_overdue_refunds
from credits.reversals import look_after_reversals
from credits.top_ups import look_after_checkouts
from credits.webhooks import follow_news
from tests.credits.paid_books import PaidBooks, stage_of

KINDS = {
    "payment_intent": ("payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled"),
    "checkout.session": ("checkout.session.completed", "checkout.session.expired"),
    "refund": ("refund.created", "refund.updated", "refund.failed"),
    "dispute": ("charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed"),
}


class SettlingBooks(PaidBooks):
    """A user, Stripe, and what brings all that is between them to its end. `heard` is what Stripe has told us."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[dict[str, Any]] = []

    def deliver(self, kind: str, thing: dict[str, Any]) -> None:
        body, signature = self.double.sign(kind, thing)
        follow_news(body=body.encode(), headers={"Stripe-Signature": signature})
        self.heard.append(dict(thing))

    def sweep(self) -> None:
        """Recover what is under way, by what Stripe answers alone: of all that, no news come any more."""
        for _ in range(3):  # what broke down is looked at, and ordered anew
            send_overdue_refunds(patience_seconds=0)
        look_after_refunds(patience_seconds=0)
        look_after_checkouts(patience_seconds=0)
        for top_up in TopUp.objects.filter(account=self.account_id, kind="AUTO", status="PENDING"):
            perform_auto_top_up(UUID(str(top_up.pk)))

    def what_was_heard_stands(self) -> None:
        """Older news, and asking anew, must not have undone it."""
        stages = self.stages()
        for thing in self.heard:
            if thing["object"] in ("refund", "dispute"):
                assert stages[thing["id"]] >= stage_of(thing)

    def tell_what_nobody_asks_for(self) -> None:
        """Tell of pages that nobody was shown."""
        shown = set(TopUp.objects.filter(account=self.account_id).values_list("session_id", flat=True))
        for thing in self.mine("checkout.session"):
            if thing["id"] not in shown and thing not in self.heard:
                self.deliver(KINDS[thing["object"]][0], thing)

    def ask_what_nobody_tells(self) -> None:
        """Ask about disputes, and whether money came back after it had gone."""
        look_after_reversals()

    def approve_what_is_open(self) -> None:
        """Whoever is promised their money gets it: unless Stripe has sent it back already, it is sent anew."""
        for request in RefundRequest.objects.filter(account=self.account_id, status="PENDING"):
            payment = request.top_up.payment_id
            sent = [each for each in self.mine("refund") if each["payment_intent"] == payment]
            disputed = [each for each in self.mine("dispute") if each["payment_intent"] == payment]
            is_lost = any(len(each["balance_transactions"]) == 1 for each in disputed)
            if all(each["status"] == "failed" for each in sent) and not is_lost:
                approve_refund(request=request, reason="Now.", actor_id=None)
                assert RefundRequest.objects.get(pk=request.pk).status == "REFUNDED"

    def retire(self) -> None:
        """Leave nothing that would be asked about while the next one is at it."""
        self.double.things = {key: thing for key, thing in self.double.things.items() if key in self.known}
        TopUp.objects.filter(account=self.account_id, status="PENDING").update(status="FAILED")
        RefundRequest.objects.filter(account=self.account_id, status="APPROVED").update(status="REJECTED")
