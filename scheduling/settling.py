"""Accounting for runs that have ended: what became of their occurrences, and whether their schedules go on."""

from collections.abc import Sequence

import structlog
from django.db import transaction

from execution.engine.statuses import Status
from scheduling.models import Occurrence, Schedule
from scheduling.periodic_tasks import show_enabled
from scheduling.signals import schedule_paused
from scheduling.store import EndedRun, find_ended_runs, lock_with_ended_runs, save_fields

State = Occurrence.State

_STATES = {Status.COMPLETED: State.COMPLETED, Status.FAILED: State.FAILED, Status.TERMINATED: State.TERMINATED}

logger = structlog.get_logger(__name__)


@transaction.atomic
def settle_ended(*, limit: int) -> int:
    """Account for ended runs of at most `limit` schedules; return how many schedules that were."""
    schedules = lock_with_ended_runs(limit=limit)
    settle(schedules)
    return len(schedules)


def settle(schedules: Sequence[Schedule]) -> None:
    """Account for the ended runs of these schedules, whose rows are locked."""
    if not schedules:
        return
    by_key = {schedule.pk: schedule for schedule in schedules}
    touched: dict[Schedule, None] = {}
    written = []
    for ended in find_ended_runs(by_key.keys()):
        written.append(_settle_one(ended))
        schedule = by_key[ended.schedule_id]
        if _count(schedule, ended):
            touched[schedule] = None
    Occurrence.objects.bulk_update(written, ("state", "reason"))
    for schedule in touched:
        if _has_failed_too_often(schedule):
            _pause(schedule)
    save_fields(list(touched), "failures", "is_enabled", "pause_reason")


def _settle_one(ended: EndedRun) -> Occurrence:
    if ended.status is None:
        return Occurrence(pk=ended.occurrence_id, state=State.GONE, reason="Its run was deleted.")
    return Occurrence(pk=ended.occurrence_id, state=_STATES[Status(ended.status)], reason="")


def _count(schedule: Schedule, ended: EndedRun) -> bool:
    """Count failures one after the other; a run that somebody started or stopped neither adds to them nor ends them."""
    if ended.is_manual:
        return False
    if ended.status == Status.FAILED:
        schedule.failures += 1
        return True
    if ended.status == Status.COMPLETED and schedule.failures:
        schedule.failures = 0
        return True
    return False


def _has_failed_too_often(schedule: Schedule) -> bool:
    limit = schedule.pause_after_failures
    return schedule.is_enabled and limit is not None and schedule.failures >= limit


def _pause(schedule: Schedule) -> None:
    schedule.is_enabled = False
    schedule.pause_reason = f"Its last {schedule.failures} runs failed." if schedule.failures > 1 else "Its run failed."
    show_enabled(schedule)
    logger.warning("a schedule is paused", schedule=str(schedule.pk), reason=schedule.pause_reason)
    schedule_paused.send_robust(sender=Schedule, schedule=schedule, reason=schedule.pause_reason)
