"""What is sent: an automatic top-up that is due, by its id. Its row is the promise; recovery sends it again."""

from functools import partial
from typing import Final
from uuid import UUID

import structlog
from celery import shared_task
from django.conf import settings
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from credits.auto_top_ups import order_overdue, perform_auto_top_up, send_overdue
from credits.exceptions import PaymentsOffError
from credits.notices import tell_left_over
from credits.refunds import look_after_refunds, send_overdue_refunds
from credits.reversals import look_after_reversals
from credits.top_ups import look_after_checkouts

BROKER_AWAY = (KombuError, RedisError, OSError)

TOP_UP_PATIENCE_SECONDS: Final = 120.0
"""After so long an automatic top-up or a refund is tried again."""

NEWS_PATIENCE_SECONDS: Final = 3600.0
"""After so long it is asked how a checkout or a refund stands of which nobody has told."""

logger = structlog.get_logger(__name__)


@shared_task(name="credits.top_up_automatically")
def top_up_automatically(top_up_id: str) -> None:
    """Charge the saved card of whoever's balance fell below what they have set."""
    try:
        perform_auto_top_up(UUID(top_up_id))
    except PaymentsOffError as error:
        logger.warning("an automatic top-up can't be made", top_up_id=top_up_id, error=str(error))


@shared_task(name="credits.catch_up")
def catch_up() -> None:
    """Tell what nobody has been told yet, and turn to the payment provider again about what it may not know.

    Whatever fails keeps nothing else from being done; the first error is raised in the end.
    """
    failures: list[Exception] = []
    for step in (
        tell_left_over,
        order_overdue,
        partial(send_overdue, patience_seconds=TOP_UP_PATIENCE_SECONDS),
        partial(send_overdue_refunds, patience_seconds=TOP_UP_PATIENCE_SECONDS),
        partial(look_after_refunds, patience_seconds=NEWS_PATIENCE_SECONDS),
        partial(look_after_checkouts, patience_seconds=NEWS_PATIENCE_SECONDS),
    ):
        try:
            step()
        except PaymentsOffError as error:
            logger.warning("payments are off, and some are under way", error=str(error))
        except Exception as error:
            logger.exception("a part of catching up failed")
            failures.append(error)
    if failures:
        raise failures[0]


@shared_task(name="credits.find_lost_news")
def find_lost_news() -> None:
    """Turn to the payment provider about refunds and disputes, if there is one."""
    try:
        look_after_reversals()
    except PaymentsOffError:
        logger.debug("there are no payments, and so no refunds and disputes")


def send_top_up(*, top_up_id: UUID, **_signal: object) -> None:
    """Send an automatic top-up (signal). Never raises for a broker that can't be reached."""
    try:
        top_up_automatically.apply_async(args=(str(top_up_id),), queue=settings.CPU_QUEUE)
    except BROKER_AWAY as error:
        logger.warning("broker can't be reached; recovery will send", top_up_id=str(top_up_id), error=str(error))
