"""Looking after the broker: whether it has forgotten everything, and whether messages come out of its queues."""

from typing import Any, Final

import structlog
from celery import Celery
from django.conf import settings

from execution.presence import find_listened
from execution.queues import ALL_QUEUES
from execution.store.messages import due_probes, note_passed
from execution.tasks import BROKER_AWAY, send_probe

# It is in the broker as long as the broker remembers.
MEMORY_KEY: Final = "execution:memory"

logger = structlog.get_logger(__name__)


class BrokerWatch:
    """What the sweeper does in each sweep to find out about lost messages."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def look(self) -> None:
        """Notice a broker that was emptied, and send probes where something has waited for a while.

        A queue that nobody listens to gets none: nothing comes out of it, and nothing in it is lost for that.
        """
        try:
            if settings.CELERY_BROKER_URL.startswith("redis"):
                self._notice_loss()
            due = due_probes(
                find_listened(ALL_QUEUES), patience=settings.MESSAGE_PATIENCE_SECONDS, interval=settings.PROBE_SECONDS
            )
            for queue, sent_at in due:
                send_probe(queue, sent_at=sent_at)
        except BROKER_AWAY as error:
            logger.warning("broker can't be reached", error=str(error))

    def _notice_loss(self) -> None:
        """If the broker has lost its memory, whatever was sent to its empty queues is lost."""
        with self._app.producer_pool.acquire(block=True) as producer:
            connection: Any = producer.connection
            client = connection.default_channel.client
            if client.exists(MEMORY_KEY):
                return
            # In a queue with something in it, probes tell what is lost.
            note_passed([name for name in ALL_QUEUES if not client.llen(name)])
            client.set(MEMORY_KEY, "1")
            logger.warning("the broker is new, or has lost what it knew")
