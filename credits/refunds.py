"""Money that goes back: refunds that users ask for, refunds made at the provider, disputes.

The ledger follows the provider: credits go when the money has gone, once per refund or dispute, whoever tells it first.
Of what has been spent already the rest is owed.
"""

from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from credits.exceptions import PaymentFailedError, RefundRefusedError, RefundRequestNotFoundError
from credits.models import (
    Account,
    EntryType,
    LedgerEntry,
    NoticeKind,
    RefundRequest,
    RefundStatus,
    TopUp,
    TopUpStatus,
)
from credits.money import check_reason
from credits.notices import note, tell_after_commit
from credits.payments import get_provider
from credits.payments.provider import Dispute, DisputeStage, Refund
from credits.store.ledger import post
from credits.top_ups import get_top_up

EVIDENCE_ENTRIES = 200

logger = structlog.get_logger(__name__)


def request_refund(*, user_id: int, top_up_id: UUID, reason: str) -> RefundRequest:
    """Ask for the money of a top-up: one request per ISO week in which top-ups were made.

    It is sent back at once if the balance lacks no more than `REFUND_TOLERANCE` of it; else an admin decides. Raises
    `TopUpNotFoundError`, `ReasonMissingError`, `RefundRefusedError` and the provider's errors.
    """
    top_up = get_top_up(user_id=user_id, top_up_id=top_up_id)
    if top_up.status != TopUpStatus.PAID:
        raise RefundRefusedError("Only what has been paid can be sent back.")
    if LedgerEntry.objects.filter(
        account=top_up.account, type=EntryType.REFUND, details__payment_id=top_up.payment_id
    ).exists():
        raise RefundRefusedError("This top-up was sent back before, wholly or in part.")
    year, week, _day = top_up.created_at.isocalendar()
    try:
        with transaction.atomic():
            request = RefundRequest.objects.create(
                account=top_up.account,
                top_up=top_up,
                iso_week=f"{year}-W{week:02}",
                amount=top_up.amount,
                reason=check_reason(reason),
                result="An admin will decide.",
            )
            balance = Account.objects.select_for_update().get(pk=top_up.account_id).balance
            is_automatic = top_up.amount - balance <= settings.REFUND_TOLERANCE
            if not is_automatic:
                note(
                    account_id=top_up.account_id,
                    kind=NoticeKind.REFUND_REQUESTED,
                    balance=balance,
                    text=f"Refund of {top_up.amount} credits: {request.reason}",
                )
                tell_after_commit(user_id)
    except IntegrityError:
        raise RefundRefusedError("A refund was asked for before in the week of this top-up.") from None
    return _send_back(request, decided_by_id=None, text="Sent back automatically.") if is_automatic else request


def approve_refund(*, request: RefundRequest, reason: str, actor_id: int | None) -> RefundRequest:
    """Send the money of a pending request back. Raises the errors of `request_refund`."""
    return _send_back(request, decided_by_id=actor_id, text=check_reason(reason))


def reject_refund(*, request: RefundRequest, reason: str, actor_id: int | None) -> RefundRequest:
    """Refuse a pending request. Raises `ReasonMissingError` and `RefundRefusedError`."""
    _decide(request, status=RefundStatus.REJECTED, text=check_reason(reason), decided_by_id=actor_id)
    return _fresh(request)


def _send_back(request: RefundRequest, *, decided_by_id: int | None, text: str) -> RefundRequest:
    """Decide first: a request that was sent back can't be refused meanwhile. If the provider says no, it is open again.

    Who can't reach the provider leaves it approved; approving it again sends the same refund.
    """
    if request.status != RefundStatus.APPROVED or request.refund_id:
        _decide(request, status=RefundStatus.APPROVED, text=text, decided_by_id=decided_by_id)
    provider = get_provider()
    try:
        refund = provider.refund(payment_id=str(request.top_up.payment_id), amount=request.amount, key=str(request.pk))
    except PaymentFailedError as error:
        RefundRequest.objects.filter(pk=request.pk).update(status=RefundStatus.PENDING, result=str(error))
        raise
    RefundRequest.objects.filter(pk=request.pk).update(refund_id=refund.id)
    follow_refund(refund)
    return _fresh(request)


def _decide(request: RefundRequest, *, status: RefundStatus, text: str, decided_by_id: int | None) -> None:
    pending = RefundRequest.objects.filter(pk=request.pk, status=RefundStatus.PENDING)
    if not pending.update(status=status, result=text, decided_by_id=decided_by_id, decided_at=Now()):
        raise RefundRefusedError("This was decided before.")
    request.status = status


def _fresh(request: RefundRequest) -> RefundRequest:
    request.refresh_from_db()
    return request


def get_refund_request(*, user_id: int, request_id: UUID) -> RefundRequest:
    """Return a request of the user; raises `RefundRequestNotFoundError`."""
    request = RefundRequest.objects.filter(pk=request_id, account__user_id=user_id).first()
    if request is None:
        raise RefundRequestNotFoundError(f"There is no refund request {request_id}.")
    return request


def follow_refund(refund: Refund) -> None:
    """Take the credits of a refund that has been made, once; give them back if the money came back to us."""
    top_up = _find_top_up(refund.payment_id)
    if top_up is None or top_up.account.user_id is None:
        return
    key = f"refund:{refund.id}"
    with transaction.atomic():
        # News of one payment one after the other.
        TopUp.objects.select_for_update().get(pk=top_up.pk)
        if refund.is_done:
            _take(top_up, amount=refund.amount, key=key, reason="Refund")
            RefundRequest.objects.filter(top_up=top_up, status=RefundStatus.APPROVED).update(
                status=RefundStatus.REFUNDED, refund_id=refund.id
            )
        elif refund.has_failed:
            if LedgerEntry.objects.filter(key=key).exists():
                _give_back(top_up, amount=refund.amount, key=f"{key}:failed", reason="The refund failed")
            RefundRequest.objects.filter(refund_id=refund.id).update(
                status=RefundStatus.PENDING, refund_id=None, result="The refund failed at the payment provider."
            )


def follow_dispute(dispute: Dispute) -> None:
    """Answer a new dispute, and follow the money of one.

    Who has the credits still wins; otherwise the bank is shown what they were spent on.
    """
    top_up = _find_top_up(dispute.payment_id)
    if top_up is None or top_up.account.user_id is None:
        return
    if dispute.stage is DisputeStage.OPENED:
        _answer(dispute, top_up)
    elif dispute.stage is DisputeStage.WITHDRAWN:
        _take(top_up, amount=dispute.amount, key=f"dispute:{dispute.id}:withdrawn", reason="Disputed payment")
    else:
        _give_back(top_up, amount=dispute.amount, key=f"dispute:{dispute.id}:reinstated", reason="Dispute won")


def _answer(dispute: Dispute, top_up: TopUp) -> None:
    account = Account.objects.get(pk=top_up.account_id)
    was_withdrawn = LedgerEntry.objects.filter(key=f"dispute:{dispute.id}:withdrawn").exists()
    left = account.balance + (dispute.amount if was_withdrawn and not account.owed else 0)
    if left - dispute.amount >= settings.REFUND_TOLERANCE:
        get_provider().give_in(dispute.id)
    else:
        get_provider().contest(dispute.id, evidence=_gather_evidence(account))


def _gather_evidence(account: Account) -> str:
    entries = LedgerEntry.objects.filter(account=account).order_by("-sequence")[:EVIDENCE_ENTRIES]
    return "\n".join(
        f"{entry.created_at:%Y-%m-%d %H:%M:%S} UTC {entry.type} {entry.amount:+d} credits"
        + (f", run {entry.root_execution_id}" if entry.root_execution_id else "")
        for entry in entries
    )


def _find_top_up(payment_id: str) -> TopUp | None:
    top_up = TopUp.objects.filter(payment_id=payment_id).select_related("account").first()
    if top_up is None:
        logger.warning("a refund or dispute of a payment that we don't know", payment_id=payment_id)
    return top_up


def _take(top_up: TopUp, *, amount: int, key: str, reason: str) -> None:
    _post(top_up, type=EntryType.REFUND, amount=-amount, key=key, reason=reason)


def _give_back(top_up: TopUp, *, amount: int, key: str, reason: str) -> None:
    _post(top_up, type=EntryType.ADJUSTMENT, amount=amount, key=key, reason=reason)


def _post(top_up: TopUp, *, type: EntryType, amount: int, key: str, reason: str) -> None:
    if top_up.account.user_id is not None:
        facts = {"reason": reason, "details": {"payment_id": top_up.payment_id, "top_up_id": str(top_up.pk)}}
        post(user_id=top_up.account.user_id, key=key, type=type, amount=amount, facts=facts)
