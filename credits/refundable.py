"""What is on its way back, and what of what was paid can still be sent back: what goes can't go again."""

from collections.abc import Collection
from uuid import UUID

from credits.models import (
    Account,
    RefundRequest,
    RefundStatus,
    Reversal,
    ReversalKind,
    ReversalStage,
    TopUp,
    TopUpStatus,
)


def find_refundable(top_ups: Collection[TopUp]) -> dict[UUID, int]:
    """Return how many credits of each of these top-ups can be sent back, below zero: how many too many are approved.

    Of what was not paid that is none. Judge by it with the account locked.
    """
    left = {each.pk: each.amount if each.status == TopUpStatus.PAID else 0 for each in top_ups}
    approved = list(RefundRequest.objects.filter(top_up__in=left, status=RefundStatus.APPROVED))
    for request in approved:
        left[request.top_up_id] -= request.amount
    # An order that the provider has is known twice.
    ordered = {request.refund_id for request in approved}
    for reversal in Reversal.objects.filter(top_up__in=left).exclude(stage=ReversalStage.BACK):
        is_only_feared = reversal.kind == ReversalKind.DISPUTE and reversal.stage == ReversalStage.OPEN
        if reversal.pk not in ordered and not is_only_feared:
            left[reversal.top_up_id] -= reversal.amount
    return left


def find_on_its_way(account: Account) -> int:
    """Return how many of an account's credits are being sent back and have not left its balance yet."""
    approved = RefundRequest.objects.filter(account=account, status=RefundStatus.APPROVED)
    refunds = Reversal.objects.filter(top_up__account=account, kind=ReversalKind.REFUND, stage=ReversalStage.OPEN)
    # An order that the provider has is known twice; what was ordered there by hand is known from there only.
    by_hand = refunds.exclude(pk__in=approved.filter(refund_id__isnull=False).values("refund_id"))
    return sum(approved.values_list("amount", flat=True)) + sum(by_hand.values_list("amount", flat=True))
