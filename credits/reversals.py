"""Money that goes back: refunds, whoever made them, and disputes.

The ledger follows the provider: credits go when the money has gone, and come back if it comes back, once per refund or
dispute. News may come twice and in any order: what is kept is how far the money has gone, and that never goes back a
step. Of what has been spent already the rest is owed.
"""

from datetime import timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from credits.exceptions import PaymentFailedError, PaymentUnavailableError
from credits.models import (
    Account,
    EntryType,
    LedgerEntry,
    NoticeKind,
    RefundRequest,
    RefundStatus,
    Reversal,
    ReversalKind,
    ReversalStage,
    TopUp,
)
from credits.notices import note, tell_after_commit
from credits.payments import get_provider
from credits.payments.provider import Dispute, Refund
from credits.refundable import find_on_its_way
from credits.store.ledger import post
from credits.top_ups import complete_payment

EVIDENCE_ENTRIES: Final = 200

NEWS_EXPECTED: Final = timedelta(days=120)
"""So long after it was made a refund may fail, or a dispute be decided."""

logger = structlog.get_logger(__name__)


def follow_refund(refund: Refund) -> None:
    """Note that the provider has a refund; take its credits when it has been made, give them back if it failed.

    All of it is in the books or nothing, so that what nobody could note is asked for again.
    """
    top_up = _find_top_up(refund.payment_id)
    if top_up is None:
        return
    with transaction.atomic():
        _lock_account(top_up)
        ordered = _find_request(refund, top_up)
        reached = _advance(
            Reversal(id=refund.id, top_up=top_up, kind=ReversalKind.REFUND, amount=refund.amount),
            _stage_of(refund),
            request=ordered.first(),
        )
        if reached is ReversalStage.OPEN:
            ordered.filter(status=RefundStatus.APPROVED).update(refund_id=refund.id)
        elif reached is ReversalStage.GONE:
            ordered.filter(status=RefundStatus.APPROVED).update(status=RefundStatus.REFUNDED, refund_id=refund.id)
        elif reached is ReversalStage.BACK:
            sent = ordered.filter(status__in=[RefundStatus.APPROVED, RefundStatus.REFUNDED])
            for request in sent:
                reopen(request, sent, why="The refund failed at the payment provider.")


def reopen(request: RefundRequest, standing: QuerySet[RefundRequest], *, why: str) -> None:
    """Let an admin decide about a request anew, if it still is `standing`, and tell whoever asked. In a transaction."""
    # Who has not asked is not told.
    if standing.update(status=RefundStatus.PENDING, refund_id=None, result=why) and request.iso_week:
        account = Account.objects.get(pk=request.account_id)
        text = f"The refund of {request.amount} credits was not made: {why}"
        note(account_id=account.pk, kind=NoticeKind.REFUND_REQUESTED, balance=account.balance, text=text)
        if account.user_id is not None:
            tell_after_commit(account.user_id)


def _find_request(refund: Refund, top_up: TopUp) -> QuerySet[RefundRequest]:
    """Return the request that a refund was made for: none, if it was made by hand."""
    if refund.request_id is None or refund.attempt is None:
        return RefundRequest.objects.none()
    return RefundRequest.objects.filter(pk=refund.request_id, attempt=refund.attempt, top_up=top_up)


def follow_dispute(dispute: Dispute) -> None:
    """Follow the money of a dispute, and answer it if nobody has yet.

    Who has the credits still wins; otherwise the bank is shown what they were spent on. Raises
    `PaymentUnavailableError` if the provider can't be reached.
    """
    top_up = _find_top_up(dispute.payment_id)
    if top_up is None:
        return
    with transaction.atomic():
        _lock_account(top_up)
        _advance(
            Reversal(id=dispute.id, top_up=top_up, kind=ReversalKind.DISPUTE, amount=dispute.amount),
            _stage_of(dispute),
        )
    if dispute.awaits_answer:
        _answer(dispute, top_up)


def look_after_reversals() -> None:
    """Ask how all refunds and disputes stand of which there may be news: what should have told us may be lost.

    Those of payments that we don't know are nothing to us: if they are ours they are asked about themselves.
    """
    provider, since = get_provider(), timezone.now() - NEWS_EXPECTED
    for refund in provider.list_refunds(since=since):
        if _is_news(refund):
            follow_refund(refund)
    for dispute in provider.list_disputes(since=since):
        if _is_news(dispute):
            try:
                follow_dispute(dispute)
            except (PaymentFailedError, PaymentUnavailableError) as error:
                logger.warning("a dispute is to be answered", dispute=dispute.id, error=str(error))


def _is_news(told: Refund | Dispute) -> bool:
    awaits_answer = isinstance(told, Dispute) and told.awaits_answer
    known = Reversal.objects.filter(pk=told.id, stage__gte=_stage_of(told))
    return (awaits_answer or not known.exists()) and TopUp.objects.filter(payment_id=told.payment_id).exists()


def _stage_of(told: Refund | Dispute) -> ReversalStage:
    """Return how far the money has gone, as it is told."""
    is_gone, is_back = (
        (told.is_done, told.has_failed) if isinstance(told, Refund) else (told.is_withdrawn, told.is_reinstated)
    )
    if is_back:
        return ReversalStage.BACK
    return ReversalStage.GONE if is_gone else ReversalStage.OPEN


def _find_top_up(payment_id: str) -> TopUp | None:
    """Return what a payment was for. That it has gone back may be told before it is told that it was made."""
    known = TopUp.objects.filter(payment_id=payment_id).select_related("account")
    top_up = known.first()
    if top_up is None and payment_id:
        try:
            complete_payment(payment_id)
        except PaymentFailedError:
            logger.warning("a refund or dispute of a payment that nobody knows", payment_id=payment_id)
        top_up = known.first()
    return top_up


def _lock_account(top_up: TopUp) -> Account:
    """Let whoever books or decides wait: an account is locked before its requests and reversals."""
    return Account.objects.select_for_update(no_key=True).get(pk=top_up.account_id)


def _advance(news: Reversal, stage: ReversalStage, *, request: RefundRequest | None = None) -> ReversalStage:
    """Note how far the money has gone, let the ledger follow, and return the furthest stage that was told."""
    Reversal.objects.bulk_create([news], ignore_conflicts=True)
    known = Reversal.objects.select_for_update(no_key=True).get(pk=news.pk)
    reached = ReversalStage(max(known.stage, stage))
    if reached > known.stage:
        Reversal.objects.filter(pk=known.pk).update(stage=reached)
    key = f"{known.kind.lower()}:{known.pk}"
    if reached is ReversalStage.GONE:
        _post(news, EntryType.REFUND, amount=-known.amount, key=key, request=request)
    elif reached is ReversalStage.BACK and LedgerEntry.objects.filter(key=key).exists():
        _post(news, EntryType.ADJUSTMENT, amount=known.amount, key=f"{key}:back")
    return reached


_REASONS: Final = {
    (ReversalKind.REFUND, EntryType.REFUND): "Refund",
    (ReversalKind.REFUND, EntryType.ADJUSTMENT): "The refund failed",
    (ReversalKind.DISPUTE, EntryType.REFUND): "Disputed payment",
    (ReversalKind.DISPUTE, EntryType.ADJUSTMENT): "Dispute won",
}


def _post(reversal: Reversal, kind: EntryType, *, amount: int, key: str, request: RefundRequest | None = None) -> None:
    top_up = reversal.top_up
    if top_up.account.user_id is None:
        logger.warning("the user of a payment that went back is gone", top_up=str(top_up.pk), reversal=reversal.pk)
        return
    facts = {
        "reason": _REASONS[ReversalKind(reversal.kind), kind],
        "actor_id": request.decided_by_id if request else None,
        "details": {"payment_id": top_up.payment_id, "top_up_id": str(top_up.pk)},
    }
    if request and not request.iso_week:
        facts["reason"] = request.reason
    post(user_id=top_up.account.user_id, key=key, type=kind, amount=amount, facts=facts)


def _answer(dispute: Dispute, top_up: TopUp) -> None:
    """Give in, or show what the money was spent on. The event may be old: what counts is how the dispute stands."""
    provider = get_provider()
    if not provider.find_dispute(dispute.id).awaits_answer:
        return
    with transaction.atomic():
        # What is withdrawn between the two questions would be counted twice.
        account = _lock_account(top_up)
        withdrawn = LedgerEntry.objects.filter(key=f"dispute:{dispute.id}").first()
        on_its_way = find_on_its_way(account)
    left = account.spendable - (withdrawn.amount if withdrawn else 0) - on_its_way
    try:
        if left - dispute.amount >= settings.REFUND_TOLERANCE:
            provider.give_in(dispute.id)
        else:
            provider.contest(dispute.id, evidence=_gather_evidence(account))
    except PaymentFailedError as error:
        # Somebody has just answered it, or it is too late: to be told again would not help.
        logger.error("a dispute can't be answered", dispute=dispute.id, error=str(error))


def _gather_evidence(account: Account) -> str:
    entries = LedgerEntry.objects.filter(account=account).order_by("-sequence")[:EVIDENCE_ENTRIES]
    return "\n".join(
        f"{entry.created_at:%Y-%m-%d %H:%M:%S} UTC {entry.type} {entry.amount:+d} credits"
        + (f", run {entry.root_execution_id}" if entry.root_execution_id else "")
        for entry in entries
    )
