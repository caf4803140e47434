"""Which time is a schedule's next, seen from now.

A clock may have been ahead: what was decided about times that are still to come stays if it made a run of them, or
lets one wait. What was missed, left out or refused is taken back, for its time is yet to come.
"""

from datetime import datetime

import structlog
from django.db import transaction

from scheduling.exceptions import SchedulingError
from scheduling.models import Occurrence, Schedule
from scheduling.policies import ON_TIME
from scheduling.store import lock_ahead, read_clock, save_fields

State = Occurrence.State

logger = structlog.get_logger(__name__)


def aim(schedule: Schedule, *, now: datetime, pending: datetime | None = None) -> None:
    """Let the (locked) schedule, which the caller saves, go on with its first time after now that is undecided.

    `pending`, a time that has come and is undecided, stays its next if its timing has it.
    Raises `SchedulingError` if its times can't be read.
    """
    timing, was_over = schedule.timing, schedule.next_due is None
    decided = _take_back(schedule, now=now)
    schedule.next_due = pending if pending and timing.has(pending) else timing.next_due(now, but=decided)
    schedule.next_start = timing.start_of(schedule.next_due) if schedule.next_due else None
    # What was said of its last time may be a problem no more.
    schedule.needs_check |= was_over and bool(schedule.problem)


def find_pending(schedule: Schedule, *, now: datetime) -> datetime | None:
    """Return the time of a schedule that has come and is about to be decided about: jitter puts it off, or a tick.

    None if there is none, or if it was missed.
    """
    due = schedule.next_due
    if due is None or due > now or not schedule.is_enabled:
        return None
    try:
        start = schedule.timing.start_of(due)
    except SchedulingError:
        return None
    return due if now - start <= ON_TIME else None


def _take_back(schedule: Schedule, *, now: datetime) -> set[datetime]:
    """Forget what was made no run of after now; return the times after now that stay decided."""
    ours = Occurrence.objects.filter(schedule=schedule.pk)
    ours.filter(due_at__gt=now, state__in=(State.MISSED, State.SKIPPED, State.REFUSED)).delete()
    if schedule.last_due is not None and schedule.last_due > now:
        before = ours.filter(due_at__lte=now, is_manual=False).order_by("-due_at")
        schedule.last_due = before.values_list("due_at", flat=True).first()
    return set(ours.filter(due_at__gt=now).values_list("due_at", flat=True))


@transaction.atomic
def aim_anew(*, limit: int, now: datetime | None = None) -> int:
    """Aim schedules anew for which the clock was ahead when they were decided about; return how many that were."""
    now = now or read_clock()
    schedules = lock_ahead(now=now, limit=limit)
    for schedule in schedules:
        try:
            # What has come already is decided about as ever.
            if schedule.next_due is None or schedule.next_due > now:
                aim(schedule, now=now)
        except SchedulingError as error:
            logger.warning("a schedule can't be aimed anew", schedule=str(schedule.pk), reason=str(error))
            schedule.last_due = None
        schedule.updated_at = min(schedule.updated_at, now)
    save_fields(schedules, "next_due", "next_start", "last_due", "updated_at", "needs_check")
    if schedules:
        logger.warning("schedules are aimed anew: the database's clock was set back", count=len(schedules))
    return len(schedules)
