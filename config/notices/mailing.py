"""Notices by e-mail: what a user has been told lately goes in one message.

A message may be sent twice if the process dies in between; none is forgotten for less than a day.
"""

from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby
from typing import Final

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models.functions import Now

from config.models import Notice

MOST_AT_ONCE: Final = 1_000
MOST_LISTED: Final = 20
# Old news is not worth a message any more.
GIVE_UP_AFTER: Final = timedelta(days=1)

logger = structlog.get_logger(__name__)


def mail_notices() -> int:
    """Send what waits for it; return to how many users. What somebody else is sending is left to them."""
    with transaction.atomic():
        waiting = Notice.objects.select_for_update(skip_locked=True, of=("self",)).filter(awaits_mail=True)
        found = list(waiting.select_related("user").order_by("user_id", "id")[:MOST_AT_ONCE])
        of_users = [list(notices) for _, notices in groupby(found, key=lambda notice: notice.user_id)]
        done = [notice.pk for notices in of_users if _mail(notices) for notice in notices]
        Notice.objects.filter(pk__in=done).update(awaits_mail=False)
        Notice.objects.filter(awaits_mail=True, created_at__lt=Now() - GIVE_UP_AFTER).update(awaits_mail=False)
    return sum(1 for notices in of_users if notices[0].pk in set(done))


def _mail(notices: Sequence[Notice]) -> bool:
    """Send a user's notices, if they have an address; return whether they need no other try."""
    user = notices[0].user
    if not (user.email and user.is_active):
        return True
    lines = [notice.text for notice in notices[:MOST_LISTED]]
    if len(notices) > MOST_LISTED:
        lines.append(f"There are {len(notices) - MOST_LISTED} more: see /v1/notices.")
    subject = lines[0] if len(notices) == 1 else f"{len(notices)} notices"
    try:
        send_mail(" ".join(subject.split())[:150], "\n\n".join(lines), None, [user.email])
    except OSError as error:
        logger.warning("notices can't be mailed now", user=user.pk, error=str(error))
        return False
    return True


def forget_old_notices() -> int:
    """Delete notices that are older than NOTICE_RETENTION_DAYS (0: never); return how many."""
    if settings.NOTICE_RETENTION_DAYS <= 0:
        return 0
    limit = timedelta(days=settings.NOTICE_RETENTION_DAYS)
    count, _ = Notice.objects.filter(created_at__lt=Now() - limit).delete()
    return count
