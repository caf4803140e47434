"""Celery beat's scheduler: it sends the system's periodic tasks, and has workers start what is due of users' schedules.

Any number of beats may run; one works (see `scheduling.leadership`). What users' schedules have due is not beat's to
know: it asks the rows every second and sends so many messages that workers take it all in batches. A message too many
finds nothing; one too few is made up for a second later.
"""

import time
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.db.models import QuerySet
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler
from psycopg import Error as SessionError

from execution.presence import find_listened
from execution.queues import QUEUES
from execution.tasks import BROKER_AWAY
from scheduling.leadership import Leadership
from scheduling.store import look_for_work
from scheduling.tasks import FIRE_BATCH, fire_batch, look_after

LOOK_SECONDS: Final = 1.0
# While workers are busy with what is due, more messages would only wait behind the first.
BUSY_SECONDS: Final = 5.0
MOST_COUNTED: Final = 20_000
SHARE_OF_COROUTINES: Final = 4

logger = structlog.get_logger(__name__)


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """`CELERY_BEAT_SCHEDULER`."""

    # Whoever takes over must know what was sent.
    sync_every = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        self._leadership = Leadership()
        self._leads = False
        self._look_at = 0.0
        super().__init__(*args, **options)

    def setup_schedule(self) -> None:
        """Leave the rows alone until this beat leads."""

    def enabled_models_qs(self) -> QuerySet[PeriodicTask]:
        """Return the rows that beat itself sends: all but those that show users' schedules, whatever the hour is."""
        found: QuerySet[PeriodicTask] = self.Model.objects.enabled().filter(graph_schedule__isnull=True)
        return found

    def tick(self, *args: Any, **options: Any) -> float:
        """Do what is to be done now, if this beat leads; return the seconds until there may be more."""
        try:
            if not self._lead():
                return LOOK_SECONDS
            pause: float = super().tick(*args, **options)
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + look()
        except (DatabaseError, SessionError) as error:
            logger.warning("beat can't use the database", error=str(error).strip())
            close_old_connections()
            return LOOK_SECONDS
        return max(0.0, min(pause, LOOK_SECONDS, self._look_at - time.monotonic()))

    def close(self) -> None:
        """Write what was sent, and let another beat lead."""
        super().close()
        self._leadership.give_up()

    def _lead(self) -> bool:
        led, self._leads = self._leads, False
        self._leads = self._leadership.claim()
        if self._leads and not led:
            logger.info("this beat leads")
            self._read_anew()
        return self._leads

    def _read_anew(self) -> None:
        """Forget what this beat knew when it last led, and write down what the settings define."""
        self._dirty.clear()
        self._initial_read, self._heap = True, None
        self.update_from_dict(self.app.conf.beat_schedule)
        self._initial_read = True


def look() -> float:
    """Have workers do what there is to do for users' schedules; return when to look again, in seconds."""
    work = look_for_work(most=MOST_COUNTED)
    try:
        listened = sorted(find_listened(QUEUES)) or [settings.CELERY_TASK_DEFAULT_QUEUE]
        messages = -(-work.due // FIRE_BATCH)
        # One to each kind of workers at least: a queue may be long, its workers busy for minutes. Those for plain
        # blocks get more than those for coroutines, which have but one process.
        for number in range(max(messages, len(listened)) if messages else 0):
            queue = listened[0] if number % SHARE_OF_COROUTINES else listened[-1]
            # It never expires: that is a time of this machine's clock, and a worker whose own is ahead drops them all.
            fire_batch.apply_async(queue=queue)
        if work.has_other:
            for queue in listened:
                look_after.apply_async(queue=queue)
    except BROKER_AWAY as error:
        logger.warning("broker can't be reached; what is due stays due", error=str(error))
    return BUSY_SECONDS if work.due > FIRE_BATCH else LOOK_SECONDS
