"""Questions and answers in SQL: what is due, what goes on, what has ended."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F
from django_celery_beat.models import PeriodicTask

from scheduling.models import Occurrence, Schedule


@dataclass(frozen=True, kw_only=True)
class Work:
    """What there is to do: so many schedules are due (counted up to a bound), and whether there is anything else."""

    due: int
    has_other: bool


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """What goes on of a schedule: its runs, and the occurrence that waits for them to end."""

    runs: list[UUID] = field(default_factory=list)
    waiting: list[UUID] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class EndedRun:
    """An occurrence whose run has ended, and how; None: the run was deleted."""

    occurrence_id: UUID
    schedule_id: UUID
    is_manual: bool
    status: str | None


def read_clock() -> datetime:
    """Return the database's time, which decides what is due."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    return now  # type: ignore[no-any-return]


_LOOK = """
SELECT (SELECT count(*) FROM (
          SELECT FROM scheduling_schedule WHERE is_enabled AND next_start <= clock_timestamp() LIMIT %s) AS due),
       EXISTS (SELECT FROM scheduling_schedule WHERE needs_check)
    OR EXISTS (SELECT FROM scheduling_schedule WHERE is_enabled AND GREATEST(last_due, updated_at) > clock_timestamp())
    OR EXISTS (SELECT FROM scheduling_occurrence o LEFT JOIN execution_execution e ON e.id = o.execution_id
                WHERE o.state = 'STARTED' AND (e.id IS NULL OR e.ended_at IS NOT NULL))
    OR EXISTS (SELECT FROM scheduling_occurrence w WHERE w.state = 'WAITING' AND NOT EXISTS (
                SELECT FROM scheduling_occurrence s WHERE s.schedule_id = w.schedule_id AND s.state = 'STARTED'))
"""


def look_for_work(*, most: int) -> Work:
    """Return what there is to do; no more than `most` due schedules are counted."""
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [most])
        due, has_other = cursor.fetchone()
    return Work(due=due, has_other=has_other)


def lock_due(*, now: datetime, limit: int, schedule_id: UUID | None = None) -> list[Schedule]:
    """Lock schedules that are due and that nobody else has, those that have waited longest first."""
    due = Schedule.objects.filter(is_enabled=True, next_start__lte=now).order_by("next_start")
    if schedule_id is not None:
        due = due.filter(pk=schedule_id)
    return list(due.select_for_update(skip_locked=True, no_key=True, of=("self",)).select_related("user")[:limit])


def lock_with_ended_runs(*, limit: int) -> list[Schedule]:
    """Lock schedules of which a run has ended that is not accounted for yet."""
    return _lock(
        "SELECT o.schedule_id FROM scheduling_occurrence o LEFT JOIN execution_execution e ON e.id = o.execution_id"
        " WHERE o.state = 'STARTED' AND (e.id IS NULL OR e.ended_at IS NOT NULL) LIMIT %s",
        limit,
    )


def lock_with_free_waiting(*, limit: int) -> list[Schedule]:
    """Lock schedules of which an occurrence waits for nothing any more."""
    return _lock(
        "SELECT w.schedule_id FROM scheduling_occurrence w WHERE w.state = 'WAITING' AND NOT EXISTS ("
        " SELECT FROM scheduling_occurrence s WHERE s.schedule_id = w.schedule_id AND s.state = 'STARTED') LIMIT %s",
        limit,
    )


def lock_ahead(*, now: datetime, limit: int) -> list[Schedule]:
    """Lock schedules that were decided about, or changed, at a time that is yet to come."""
    return _lock(
        "SELECT id FROM scheduling_schedule WHERE is_enabled AND GREATEST(last_due, updated_at) > %s LIMIT %s",
        now,
        limit,
    )


def lock_to_check(*, limit: int) -> list[Schedule]:
    """Lock schedules that are to be looked at whether they can run."""
    return _lock("SELECT id FROM scheduling_schedule WHERE needs_check LIMIT %s", limit)


def _lock(keys: str, *values: Any) -> list[Schedule]:
    with connection.cursor() as cursor:
        cursor.execute(keys, values)
        found = {key for (key,) in cursor.fetchall()}
    locked = Schedule.objects.filter(pk__in=found).order_by("pk").select_related("user")
    return list(locked.select_for_update(skip_locked=True, no_key=True, of=("self",)))


def find_unfinished(schedule_ids: Collection[UUID]) -> dict[UUID, Unfinished]:
    """Return what goes on of each schedule. A run that has ended doesn't, accounted for or not."""
    found = {key: Unfinished() for key in schedule_ids}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT o.schedule_id, o.id, o.state, o.execution_id FROM scheduling_occurrence o"
            "  LEFT JOIN execution_execution e ON e.id = o.execution_id"
            " WHERE o.schedule_id = ANY(%s) AND (o.state = 'WAITING'"
            "       OR o.state = 'STARTED' AND e.id IS NOT NULL AND e.ended_at IS NULL)",
            [list(schedule_ids)],
        )
        for schedule_id, occurrence_id, state, execution_id in cursor.fetchall():
            unfinished = found[schedule_id]
            if state == Occurrence.State.WAITING:
                unfinished.waiting.append(occurrence_id)
            else:
                unfinished.runs.append(execution_id)
    return found


def find_decided(schedules: Sequence[Schedule]) -> set[tuple[UUID, datetime]]:
    """Return the due times of the schedules, from their next on, that were decided about in spite of that."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT o.schedule_id, o.due_at FROM scheduling_occurrence o"
            "  JOIN unnest(%s::uuid[], %s::timestamptz[]) AS s(id, due) ON o.schedule_id = s.id AND o.due_at >= s.due",
            [[schedule.pk for schedule in schedules], [schedule.next_due for schedule in schedules]],
        )
        return set(cursor.fetchall())


def find_ended_runs(schedule_ids: Collection[UUID]) -> list[EndedRun]:
    """Return the occurrences of the schedules that are still STARTED although their runs have ended, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT o.id, o.schedule_id, o.is_manual, e.status FROM scheduling_occurrence o"
            "  LEFT JOIN execution_execution e ON e.id = o.execution_id"
            " WHERE o.schedule_id = ANY(%s) AND o.state = 'STARTED' AND (e.id IS NULL OR e.ended_at IS NOT NULL)"
            " ORDER BY e.ended_at NULLS FIRST, o.id",
            [list(schedule_ids)],
        )
        rows = cursor.fetchall()
    return [
        EndedRun(occurrence_id=key, schedule_id=schedule, is_manual=is_manual, status=status)
        for key, schedule, is_manual, status in rows
    ]


def note_runs(schedules: Sequence[Schedule], *, now: datetime) -> None:
    """Let beat's own pages show that runs of these schedules were started. Beat itself need not hear of it."""
    keys = [schedule.periodic_task_id for schedule in schedules]
    PeriodicTask.objects.filter(pk__in=keys).update(last_run_at=now, total_run_count=F("total_run_count") + 1)


_ADVANCE = """
UPDATE scheduling_schedule s
   SET next_due = n.next_due, next_start = n.next_start, last_due = n.last_due,
       problem = n.problem, problem_since = n.problem_since
  FROM unnest(%s::uuid[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::timestamptz[])
       AS n(id, next_due, next_start, last_due, problem, problem_since)
 WHERE s.id = n.id
"""


def advance(schedules: Sequence[Schedule]) -> None:
    """Write what deciding about due times changes in (locked) schedules. `save_fields` takes ten times as long."""
    with connection.cursor() as cursor:
        cursor.execute(
            _ADVANCE,
            [
                [schedule.pk for schedule in schedules],
                [schedule.next_due for schedule in schedules],
                [schedule.next_start for schedule in schedules],
                [schedule.last_due for schedule in schedules],
                [schedule.problem for schedule in schedules],
                [schedule.problem_since for schedule in schedules],
            ],
        )


def save_fields(schedules: Sequence[Schedule], *fields: str) -> None:
    """Write these fields of locked rows in one statement."""
    if schedules:
        Schedule.objects.bulk_update(schedules, fields)
