"""Refunds: users ask for one per week, which is sent back at once or decided by an admin; admins make them unasked.

A request is decided in a transaction and sent after it. Each approval is an order of its own at the provider, which
makes it once, however often it is sent. The credits go when the provider says that the money has gone
(`credits.reversals`).
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from credits.exceptions import (
    PaymentFailedError,
    PaymentUnavailableError,
    RefundNotMadeError,
    RefundRefusedError,
)
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
from credits.payments.provider import RefundOrder
from credits.refundable import find_on_its_way, find_refundable
from credits.reversals import follow_refund, reopen
from credits.top_ups import get_top_up

MOST_AT_ONCE: Final = 20
"""How many refunds one round of recovery sends."""

logger = structlog.get_logger(__name__)


def request_refund(*, user_id: int, top_up_id: UUID, reason: str) -> RefundRequest:
    """Ask for the money of a top-up: one request per ISO week in which top-ups were made.

    It is approved at once if what can be spent, less what is owed and what is on its way back already, lacks no more
    than `REFUND_TOLERANCE` of it; else an admin decides. Call `send_refund` after the commit. Raises
    `TopUpNotFoundError`, `ReasonMissingError` and `RefundRefusedError`.
    """
    top_up = get_top_up(user_id=user_id, top_up_id=top_up_id)
    if top_up.status != TopUpStatus.PAID:
        raise RefundRefusedError("Only what has been paid can be sent back.")
    year, week, _day = top_up.created_at.isocalendar()
    try:
        with transaction.atomic():
            # What is left is judged by one request after the other, and by all that were approved before.
            account = Account.objects.select_for_update(no_key=True).get(pk=top_up.account_id)
            _refuse_what_went_back(top_up)
            on_its_way = find_on_its_way(account)
            request = RefundRequest.objects.create(
                account=account,
                top_up=top_up,
                iso_week=f"{year}-W{week:02}",
                amount=top_up.amount,
                reason=check_reason(reason),
                result="An admin will decide.",
            )
            # What was sent back of spent credits is owed: else each week's payment would look as hardly spent.
            left = account.spendable - account.owed - on_its_way
            if top_up.amount - left <= settings.REFUND_TOLERANCE:
                _decide(request, status=RefundStatus.APPROVED, text="Sent back automatically.", decided_by_id=None)
            else:
                _ask_admin(request, account, on_its_way=on_its_way)
    except IntegrityError:
        raise RefundRefusedError("A refund was asked for before in the week of this top-up.") from None
    return _fresh(request)


def _refuse_what_went_back(top_up: TopUp) -> None:
    gone = LedgerEntry.objects.filter(
        account=top_up.account_id, type=EntryType.REFUND, details__payment_id=top_up.payment_id
    )
    if gone.exists() or find_refundable([top_up])[top_up.pk] < top_up.amount:
        raise RefundRefusedError("This top-up was sent back before, wholly or in part.")


def _ask_admin(request: RefundRequest, account: Account, *, on_its_way: int) -> None:
    also = f" ({on_its_way} more are on their way back)" if on_its_way else ""
    note(
        account_id=account.pk,
        kind=NoticeKind.REFUND_REQUESTED,
        balance=account.balance,
        text=f"Refund of {request.amount} credits{also}: {request.reason}",
    )
    if account.user_id is not None:
        tell_after_commit(account.user_id)


def approve_refund(*, request: RefundRequest, reason: str, actor_id: int | None) -> RefundRequest:
    """Send the money of a pending request back; a request that was approved before is sent again.

    Raises `ReasonMissingError`, `RefundRefusedError` and the provider's errors.
    """
    text = check_reason(reason)
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=request.account_id)
        if not RefundRequest.objects.filter(_NOT_SENT, pk=request.pk).exists():
            _decide(request, status=RefundStatus.APPROVED, text=text, decided_by_id=actor_id)
            _refuse_more_than_was_paid(request.top_up)
    return send_refund(request.pk)


def refund_top_up(*, top_up: TopUp, amount: int, reason: str, key: UUID, actor_id: int | None) -> RefundRequest:
    """Send back so much of a top-up without a request of its user's, once per `key`, which becomes the refund's id.

    Of what has been spent already the rest is owed. Raises `ReasonMissingError`, `RefundRefusedError`,
    `PaymentsOffError` and the provider's errors: see `send_refund`.
    """
    text = check_reason(reason)
    get_provider()
    with transaction.atomic():
        account = Account.objects.select_for_update(no_key=True).get(pk=top_up.account_id)
        made = RefundRequest.objects.filter(pk=key).first()
        if made is None:
            if amount <= 0:
                raise RefundRefusedError("A refund is of one credit or more.")
            made = RefundRequest.objects.create(
                pk=key,
                account=account,
                top_up=top_up,
                amount=amount,
                reason=text,
                status=RefundStatus.APPROVED,
                result="Sent back by an admin.",
                decided_by_id=actor_id,
                decided_at=Now(),
                attempt=1,
            )
            _refuse_more_than_was_paid(top_up)
        elif (made.top_up_id, made.amount) != (top_up.pk, amount):
            raise RefundRefusedError("This form was sent before, for another refund.")
    return send_refund(made.pk)


def _refuse_more_than_was_paid(top_up: TopUp) -> None:
    """Refuse what has just been approved, if it is more than is left. The account is locked."""
    left = find_refundable([top_up])[top_up.pk]
    if left < 0:
        raise RefundRefusedError(f"That is {-left} credits more than can still be sent back of this top-up.")


def reject_refund(*, request: RefundRequest, reason: str, actor_id: int | None) -> RefundRequest:
    """Refuse a pending request. Raises `ReasonMissingError` and `RefundRefusedError`."""
    _decide(request, status=RefundStatus.REJECTED, text=check_reason(reason), decided_by_id=actor_id)
    return _fresh(request)


def _decide(request: RefundRequest, *, status: RefundStatus, text: str, decided_by_id: int | None) -> None:
    pending = RefundRequest.objects.filter(pk=request.pk, status=RefundStatus.PENDING)
    attempts = F("attempt") + int(status == RefundStatus.APPROVED)
    if not pending.update(
        status=status, result=text, decided_by_id=decided_by_id, decided_at=Now(), attempt=attempts, tried_at=None
    ):
        raise RefundRefusedError("This was decided before.")


_NOT_SENT = Q(status=RefundStatus.APPROVED, refund_id__isnull=True)


def send_refund(request_id: UUID) -> RefundRequest:
    """Order the refund of an approved request at the provider, once, however often this is called.

    If the provider refuses, the request is open again and its `result` says why. Raises `PaymentFailedError` then, and
    `PaymentUnavailableError` if the provider can't be reached: the request stays approved and is sent again.
    """
    request = RefundRequest.objects.select_related("top_up").get(pk=request_id)
    sending = RefundRequest.objects.filter(_NOT_SENT, pk=request_id, attempt=request.attempt)
    if not sending.update(tried_at=Now()):
        return request
    order = RefundOrder(
        request_id=request_id,
        attempt=request.attempt,
        payment_id=str(request.top_up.payment_id),
        amount=request.amount,
        failed_orders=request.failed_orders,
    )
    try:
        refund = get_provider().refund(order)
    except RefundNotMadeError:
        sending.filter(failed_orders=order.failed_orders).update(failed_orders=F("failed_orders") + 1)
        raise
    except PaymentFailedError as error:
        with transaction.atomic():
            reopen(request, sending, why=str(error))
        raise
    follow_refund(refund)
    return _fresh(request)


def send_overdue_refunds(*, patience_seconds: float) -> None:
    """Send approved refunds again of which the provider has not said for so long that it has them."""
    before = Now() - timedelta(seconds=patience_seconds)
    overdue = RefundRequest.objects.filter(
        _NOT_SENT, Q(tried_at__isnull=True, decided_at__lt=before) | Q(tried_at__lt=before)
    )
    # What was tried longest ago comes first: what can't be sent keeps nothing else waiting.
    due = overdue.order_by(F("tried_at").asc(nulls_first=True), "id")
    for request_id in due.values_list("pk", flat=True)[:MOST_AT_ONCE]:
        try:
            send_refund(request_id)
        except PaymentFailedError as error:
            logger.warning("a refund was refused", request=str(request_id), error=str(error))
        except PaymentUnavailableError:
            return


def look_after_refunds(*, patience_seconds: float) -> None:
    """Ask how refunds stand that are on their way for so long: what should have told us may be lost."""
    before = Now() - timedelta(seconds=patience_seconds)
    under_way = RefundRequest.objects.filter(
        status=RefundStatus.APPROVED, refund_id__isnull=False, tried_at__lt=before
    ).order_by("tried_at")
    for request_id, refund_id in list(under_way.values_list("pk", "refund_id")[:MOST_AT_ONCE]):
        RefundRequest.objects.filter(pk=request_id).update(tried_at=Now())
        try:
            follow_refund(get_provider().find_refund(str(refund_id)))
        except PaymentFailedError as error:
            logger.error("a refund can't be found", request=str(request_id), refund=refund_id, error=str(error))
        except PaymentUnavailableError:
            return


def _fresh(request: RefundRequest) -> RefundRequest:
    request.refresh_from_db()
    return request
