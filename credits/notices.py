"""What users are told: rows, written in the transaction in which it happened, and signals after it.

A notice counts as told when the signal's receivers have returned, in one transaction with what they write. If the
process dies before, whoever next has something to tell the same user tells it, or `tell_left_over`.
"""

import structlog
from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.dispatch import Signal

from credits.models import Notice, NoticeKind, TopUp, TopUpKind, TopUpStatus

MOST_AT_ONCE = 100

noticed = Signal()
"""Sent with `notice`, a row of `Notice`, once what it tells has been committed."""

top_up_due = Signal()
"""Sent with `top_up_id` of an automatic top-up that nobody has tried yet."""

logger = structlog.get_logger(__name__)


def note(*, account_id: int, kind: NoticeKind, balance: int, text: str = "") -> None:
    """Write something to tell in the caller's transaction; call `tell_after_commit` with it."""
    Notice.objects.create(account_id=account_id, kind=kind, balance=balance, text=text)


def tell_after_commit(user_id: int) -> None:
    """Tell the user's news when the transaction has been committed. A receiver's error is logged, not raised."""
    transaction.on_commit(lambda: _tell(user_id), robust=True)


def _tell(user_id: int) -> None:
    for top_up_id in (
        TopUp.objects.filter(
            account__user_id=user_id, kind=TopUpKind.AUTO, status=TopUpStatus.PENDING, tried_at__isnull=True
        )
        .order_by("id")
        .values_list("id", flat=True)
    ):
        top_up_due.send(sender=TopUp, top_up_id=top_up_id)
    _tell_each(Notice.objects.filter(account__user_id=user_id))


def tell_left_over() -> int:
    """Tell what processes that died have left untold, to anybody; return how much it was."""
    return _tell_each(Notice.objects.all())


def _tell_each(notices: QuerySet[Notice]) -> int:
    """Tell the oldest; what somebody else is telling is left to them."""
    with transaction.atomic():
        untold = notices.filter(told_at__isnull=True).select_for_update(skip_locked=True, of=("self",))
        telling = list(untold.select_related("account__user").order_by("id")[:MOST_AT_ONCE])
        for notice in telling:
            _tell_one(notice)
        Notice.objects.filter(pk__in=[notice.pk for notice in telling]).update(told_at=Now())
    return len(telling)


def _tell_one(notice: Notice) -> None:
    """Let the receivers have it. What one of them leaves broken in the database is undone, and the others' with it."""
    try:
        with transaction.atomic():
            for _receiver, result in noticed.send_robust(sender=Notice, notice=notice):
                if isinstance(result, Exception):
                    logger.error("a notice was not taken", notice=notice.pk, kind=notice.kind, error=repr(result))
    except DatabaseError as error:
        logger.error("a notice could not be told", notice=notice.pk, kind=notice.kind, error=repr(error))
