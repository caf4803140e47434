"""Keeping beat's own rows in step: each schedule is a PeriodicTask, with its CrontabSchedule or ClockedSchedule.

They are there to be seen. What is due is decided by our own rows, so beat (`scheduling.beat`) leaves these alone;
another beat may send their tasks as it likes: `scheduling.fire` starts only what is due.
"""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from django_celery_beat.models import ClockedSchedule, CrontabSchedule, PeriodicTask

from scheduling.cron import parse_cron
from scheduling.models import Schedule

FIRE_TASK: Final = "scheduling.fire"

# What Celery's crontab can read as we do; the rest is written out as a list.
_PLAIN: Final = frozenset("0123456789*/,-")


def describe(schedule: Schedule, *, has_new_times: bool = True) -> PeriodicTask:
    """Write (create or change) the PeriodicTask of a schedule, and return it.

    Times that are as they were are left alone: perhaps they can't be read any more.
    """
    task = schedule.periodic_task if schedule.periodic_task_id else PeriodicTask()
    task.name = f"{schedule.name} ({schedule.pk})"
    task.task = FIRE_TASK
    task.kwargs = json.dumps({"schedule_id": str(schedule.pk)})
    task.description = f"A schedule of {schedule.user.get_username()}; it is changed on its own page."
    if has_new_times:
        _describe_times(task, schedule)
    task.enabled = schedule.is_enabled
    task.save()
    return task


def _describe_times(task: PeriodicTask, schedule: Schedule) -> None:
    task.crontab = _find_crontab(schedule) if schedule.cron else None
    task.clocked = None
    if schedule.run_at is not None:
        task.clocked = _find_clocked(schedule.run_at)
    task.one_off = task.clocked is not None
    task.start_time = schedule.starts_at
    task.expires = schedule.ends_at


def show_enabled(schedule: Schedule) -> None:
    """Let the PeriodicTask of a schedule say whether it is enabled."""
    PeriodicTask.objects.filter(pk=schedule.periodic_task_id).update(enabled=schedule.is_enabled)


# Nothing keeps two of either from being made at the same time, and it does no harm.


def _find_clocked(moment: datetime) -> ClockedSchedule:
    wanted = {"clocked_time": moment}
    return ClockedSchedule.objects.filter(**wanted).first() or ClockedSchedule.objects.create(**wanted)


def _find_crontab(schedule: Schedule) -> CrontabSchedule:
    cron = parse_cron(schedule.cron)
    minute, hour, day, month, weekday = cron.text.split(" ")
    wanted: dict[str, Any] = {
        "minute": _write(minute, cron.minutes, width=240),
        "hour": _write(hour, cron.hours, width=96),
        "day_of_month": _write(day, cron.days, width=124),
        "month_of_year": _write(month, cron.months, width=64),
        "day_of_week": _write(weekday, cron.weekdays, width=64),
        "timezone": schedule.timezone,
    }
    return CrontabSchedule.objects.filter(**wanted).first() or CrontabSchedule.objects.create(**wanted)


def _write(text: str, values: Collection[int], *, width: int) -> str:
    """Return a field as it is, if Celery reads it as we do, else as a list of its values."""
    is_plain = set(text) <= _PLAIN and "7" not in text and len(text) <= width
    has_open_step = any("/" in item and "-" not in item and not item.startswith("*") for item in text.split(","))
    return text if is_plain and not has_open_step else ",".join(str(value) for value in sorted(values))
