"""What users are told, written as rows in the transaction in which it happens: a notice is there if it happened.

Other apps say what happens by signals (`credits.notices`, `scheduling.signals`) and know nothing of this.
"""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from config.models import Notice
from credits.models import Notice as CreditsNotice
from credits.models import NoticeKind as CreditsNoticeKind
from scheduling.models import Schedule

_OF_CREDITS = {
    CreditsNoticeKind.LOW_BALANCE: "Your balance is low",
    CreditsNoticeKind.OUT_OF_CREDITS: "You have no credits left",
    CreditsNoticeKind.AUTO_TOP_UP_FAILED: "An automatic top-up failed",
    CreditsNoticeKind.AUTO_TOP_UP_PAUSED: "Automatic top-ups pause",
    CreditsNoticeKind.REFUND_REQUESTED: "Your request for a refund has come in",
}


def tell_user(*, user_id: int, kind: Notice.Kind, text: str, **about: UUID | None) -> None:
    """Write a notice. `about` names what it is about: `schedule_id`, `graph_id`."""
    # Without a transaction of its own an error of this one would be one of what happened.
    with transaction.atomic():
        named = {name: str(value) for name, value in about.items() if value is not None}
        Notice.objects.create(user_id=user_id, kind=kind, text=text, about=named, awaits_mail=settings.NOTICES_BY_MAIL)


def tell_of_trouble(*, schedule: Schedule, reason: str, **_signal: Any) -> None:
    """Tell the owner that a schedule can't run (signal)."""
    _tell_of_schedule(schedule, Notice.Kind.SCHEDULE_TROUBLED, f"“{schedule.name}” can't run. {reason}")


def tell_of_pause(*, schedule: Schedule, reason: str, **_signal: Any) -> None:
    """Tell the owner that a schedule was switched off (signal)."""
    _tell_of_schedule(schedule, Notice.Kind.SCHEDULE_PAUSED, f"“{schedule.name}” is paused. {reason}")


def tell_of_credits(*, notice: CreditsNotice, **_signal: Any) -> None:
    """Tell a user what there is to tell of their account (signal)."""
    user_id = notice.account.user_id
    if user_id is None:
        return
    kind = CreditsNoticeKind(notice.kind)
    text = " ".join(filter(None, [f"{_OF_CREDITS[kind]} ({notice.balance:,} credits).", notice.text]))
    tell_user(user_id=user_id, kind=Notice.Kind(notice.kind), text=text)


def _tell_of_schedule(schedule: Schedule, kind: Notice.Kind, text: str) -> None:
    tell_user(user_id=schedule.user_id, kind=kind, text=text, schedule_id=schedule.pk, graph_id=schedule.graph_id)
