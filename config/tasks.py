"""What this app does by itself."""

from celery import shared_task

from config.idempotency import forget_old_answers
from config.notices.mailing import forget_old_notices, mail_notices


@shared_task(name="notices.deliver")
def deliver_notices() -> None:
    """Mail what users are to be told, and forget what they were told long ago."""
    mail_notices()
    forget_old_notices()


@shared_task(name="answers.forget")
def forget_answers() -> None:
    """Delete the answers that were kept for `Idempotency-Key` and are too old."""
    forget_old_answers()
