"""What a user can do with schedules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, TypedDict
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery

from credits.exceptions import FundsLackingError
from execution.values import to_json_value
from graphs.services import get_graph
from graphs.store import lock_graph
from scheduling.aiming import aim, find_pending
from scheduling.checking import Versions, mark, rehearse, start_run
from scheduling.cron import parse_cron
from scheduling.exceptions import ScheduleNotFoundError, TimingInvalidError
from scheduling.models import Occurrence, Schedule
from scheduling.moments import first_moment, read_zone
from scheduling.periodic_tasks import describe
from scheduling.store import note_runs, read_clock
from scheduling.time_zones import zone_of
from scheduling.wording import describe_cron, describe_moment

# Beyond these nobody means it, and arithmetic with zones may fail.
_EARLIEST: Final = datetime(1970, 1, 2, tzinfo=UTC)
_LATEST: Final = datetime(3000, 1, 1, tzinfo=UTC)

_JSON: Final = frozenset({"input_data", "nodes_input_masks", "input_credentials"})
_MOMENTS: Final = ("run_at", "starts_at", "ends_at")
_TIMING: Final = frozenset({"cron", "timezone", "jitter", *_MOMENTS})
_WHAT_RUNS: Final = frozenset({"graph_version", "input_data", "nodes_input_masks", "input_credentials"})


class ScheduleFields(TypedDict, total=False):
    """What a user decides about a schedule; see `Schedule`. What is left out is as it was, or has its default.

    A moment without an offset is what a clock in the schedule's zone shows.
    """

    name: str
    graph_version: int | None
    cron: str
    run_at: datetime | None
    timezone: str
    starts_at: datetime | None
    ends_at: datetime | None
    input_data: Mapping[str, Any]
    nodes_input_masks: Mapping[str, Mapping[str, Any]]
    max_cost: int | None
    on_insufficient_credits: str
    input_credentials: Mapping[str, Mapping[str, Any]]
    misfire: str
    misfire_limit: int
    misfire_grace: int | None
    overlap: str
    jitter: int
    pause_after_failures: int | None
    is_enabled: bool


def create_schedule(*, user: AbstractBaseUser, graph_id: UUID, fields: ScheduleFields) -> Schedule:
    """Save a new schedule of a graph of the user's, and its PeriodicTask in step with it.

    Raises what keeps its run from starting (`GraphNotFoundError`, `GraphInvalidError`, `ExecutionError`…),
    `CronInvalidError`, `TimeZoneUnknownError` and `TimingInvalidError`.
    """
    graph = get_graph(user=user, graph_id=graph_id)
    with transaction.atomic():
        # Whoever deletes the graph meanwhile would not find the schedule, and nobody would look at it until it is due.
        lock_graph(graph)
        now = read_clock()
        schedule = Schedule(user=graph.owner, graph=graph, timezone=zone_of(user), created_at=now, updated_at=now)
        _set(schedule, fields)
        _check_timing(schedule)
        _try_out(schedule, now=now)
        _aim(schedule, now=now)
        schedule.periodic_task = describe(schedule)
        schedule.save(force_insert=True)
    return schedule


def change_schedule(*, schedule: Schedule, fields: ScheduleFields) -> Schedule:
    """Change a schedule. New times count from now: what was missed is not made up for.

    A time that has come and whose run is about to start stays due if the new times have it as well. Raises as
    `create_schedule` does.
    """
    with transaction.atomic():
        locked, now = lock_schedule(schedule), read_clock()
        old_times, was_enabled = _read_times(locked), locked.is_enabled
        pending = find_pending(locked, now=now)
        _set(locked, fields)
        is_aimed = _read_times(locked) != old_times or (locked.is_enabled and not was_enabled)
        if is_aimed or fields.keys() & _TIMING:
            _check_timing(locked)
        if fields.keys() & _WHAT_RUNS:
            _try_out(locked, now=now)
        if is_aimed:
            _aim(locked, now=now, pending=pending)
        if "is_enabled" in fields:
            locked.pause_reason = ""
            locked.failures = 0
        _write(locked, now=now, has_new_times=is_aimed)
    return locked


def pause_schedule(*, schedule: Schedule) -> Schedule:
    """Let a schedule rest: what is due meanwhile is not started, now or later. Runs that go on do so."""
    return change_schedule(schedule=schedule, fields={"is_enabled": False})


def resume_schedule(*, schedule: Schedule) -> Schedule:
    """Let a schedule go on with its next due time from now; its failures are forgotten."""
    return change_schedule(schedule=schedule, fields={"is_enabled": True})


def run_now(*, schedule: Schedule) -> Occurrence:
    """Start a run of a schedule, paused or not, whatever of it goes on; its due times stay as they are.

    Raises what keeps the run from starting.
    """
    with transaction.atomic():
        locked, now = lock_schedule(schedule), read_clock()
        execution_id = start_run(locked, versions=Versions())
        mark(locked, problem="", now=now)
        locked.save(update_fields=["problem", "problem_since"])
        note_runs([locked], now=now)
        return Occurrence.objects.create(
            schedule=locked,
            due_at=now,
            is_manual=True,
            state=Occurrence.State.STARTED,
            execution_id=execution_id,
            decided_at=now,
        )


def delete_schedule(*, schedule: Schedule) -> None:
    """Delete a schedule with its history. Runs that it has started stay."""
    with transaction.atomic():
        lock_schedule(schedule).delete()


def find_schedules(*, user_id: int, graph_id: UUID | None = None) -> QuerySet[Schedule]:
    """Return a user's schedules, newest first: all, or those of one graph."""
    found = with_last_run(Schedule.objects.filter(user_id=user_id))
    return found if graph_id is None else found.filter(graph_id=graph_id)


def get_schedule(*, user_id: int, schedule_id: UUID) -> Schedule:
    """Return a schedule of a user's. Raises `ScheduleNotFoundError`."""
    schedule = find_schedules(user_id=user_id).filter(pk=schedule_id).first()
    if schedule is None:
        raise ScheduleNotFoundError(f"There is no schedule {schedule_id}.")
    return schedule


def with_last_run(schedules: QuerySet[Schedule]) -> QuerySet[Schedule]:
    """Add what lists show of a schedule's graph and its last run, without a query per row."""
    runs = Occurrence.objects.filter(schedule=OuterRef("pk"), execution__isnull=False).order_by("-id")
    return schedules.select_related("user", "graph__active_version").annotate(
        last_execution_id=Subquery(runs.values("execution_id")[:1]),
        last_state=Subquery(runs.values("state")[:1]),
        last_run_time=Subquery(runs.values("decided_at")[:1]),
    )


def lock_schedule(schedule: Schedule) -> Schedule:
    """Return the schedule as it is now, locked until the transaction ends. Raises `ScheduleNotFoundError`."""
    found = Schedule.objects.select_for_update(no_key=True, of=("self",)).select_related("user", "periodic_task")
    locked = found.filter(pk=schedule.pk).first()
    if locked is None:
        raise ScheduleNotFoundError(f"There is no schedule {schedule.pk}.")
    return locked


@dataclass(frozen=True, kw_only=True)
class PreviewedTime:
    """One of the next times: the instant (UTC), as the clock in the zone shows it, and in words."""

    at: datetime
    local: str
    in_words: str


@dataclass(frozen=True, kw_only=True)
class Preview:
    """When a timing is due next."""

    description: str
    timezone: str
    next_run_times: tuple[PreviewedTime, ...]


def preview(
    *,
    user: AbstractBaseUser,
    count: int,
    cron: str = "",
    run_at: datetime | None = None,
    timezone: str | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> Preview:
    """Return the next `count` times of a timing, without saving anything. Raises as `create_schedule` does."""
    schedule = Schedule(
        cron=cron.strip(), run_at=run_at, timezone=timezone or zone_of(user), starts_at=starts_at, ends_at=ends_at
    )
    _read_clocks(schedule)
    _check_timing(schedule)
    timing, zone = schedule.timing, read_zone(schedule.timezone)
    moments = islice(timing.due_after(read_clock()), count)
    return Preview(
        description=describe_cron(schedule.cron) if schedule.cron else "Once",
        timezone=schedule.timezone,
        next_run_times=tuple(
            PreviewedTime(at=each, local=each.astimezone(zone).isoformat(), in_words=describe_moment(each, zone))
            for each in moments
        ),
    )


def _set(schedule: Schedule, fields: ScheduleFields) -> None:
    """Take over the fields."""
    for name, value in fields.items():
        setattr(schedule, name, to_json_value(value) if name in _JSON else value)
    schedule.cron = schedule.cron.strip()
    _read_clocks(schedule)


def _read_clocks(schedule: Schedule) -> None:
    """Take moments without an offset for what a clock in the schedule's zone shows. Raises `SchedulingError`."""
    for name in _MOMENTS:
        moment = getattr(schedule, name)
        if moment is None:
            continue
        if not _EARLIEST < (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) < _LATEST:
            raise TimingInvalidError(f"{name} must be a time between the years 1970 and 3000.")
        if moment.tzinfo is None:
            setattr(schedule, name, first_moment(moment, read_zone(schedule.timezone)))


def _read_times(schedule: Schedule) -> dict[str, Any]:
    return {name: getattr(schedule, name) for name in _TIMING}


def _check_timing(schedule: Schedule) -> None:
    """Raise `SchedulingError` if its times can't be read, or don't fit together."""
    read_zone(schedule.timezone)
    if bool(schedule.cron) == (schedule.run_at is not None):
        raise TimingInvalidError("A schedule has either a cron expression or one time (run_at).")
    if schedule.cron:
        parse_cron(schedule.cron)
    if schedule.starts_at and schedule.ends_at and schedule.ends_at < schedule.starts_at:
        raise TimingInvalidError("The schedule ends before it begins.")
    if schedule.run_at and (schedule.starts_at or schedule.ends_at):
        raise TimingInvalidError("A schedule of one time (run_at) has no beginning or end besides.")


def _try_out(schedule: Schedule, *, now: datetime) -> None:
    """See whether its runs can start. Raises what keeps them from it, except for a lack of credits: that may pass."""
    problem = ""
    try:
        rehearse(schedule, versions=Versions())
    except FundsLackingError as error:
        problem = str(error)
    mark(schedule, problem=problem, now=now)


def _aim(schedule: Schedule, *, now: datetime, pending: datetime | None = None) -> None:
    """Set the next due time. Raises `TimingInvalidError` if the schedule is to go on and there is none."""
    aim(schedule, now=now, pending=pending)
    if schedule.next_due is None and schedule.is_enabled:
        raise TimingInvalidError(
            "The time of the schedule (run_at) has passed." if schedule.run_at else "No time is due before its end."
        )


def _write(schedule: Schedule, *, now: datetime, has_new_times: bool) -> None:
    schedule.updated_at = now
    describe(schedule, has_new_times=has_new_times)
    schedule.save()
