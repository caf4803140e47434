"""Schedules during a chaos run: some are due once, at any moment of it, others every other minute."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

from django.contrib.auth.models import User

from execution.models import Execution
from graphs.models import GraphVersion
from scheduling.models import Occurrence, Schedule
from scheduling.policies import Misfire, Overlap
from scheduling.services import create_schedule
from scheduling.store import read_clock
from tests.chaos.tasks import Task

# An hour that the clock jumps over has fewer times than are told one by one.
CRON: Final = "*/2 * * * *"
SECONDS_PER_SCHEDULE: Final = 2.0
MOST_SCHEDULES: Final = 60
LEAST_SECONDS: Final = 5.0
POLICIES: Final = (
    (Misfire.FIRE_ALL, Overlap.ALLOW),
    (Misfire.FIRE_ONCE, Overlap.SKIP),
    (Misfire.FIRE_ALL, Overlap.QUEUE_ONE),
)
State = Occurrence.State


def make_schedules(user: User, tasks: Sequence[Task], chance: random.Random, *, seconds: float) -> None:
    """Have runs start by themselves in the next `seconds`. The user must have no other runs."""
    for number in range(min(MOST_SCHEDULES, int(seconds / SECONDS_PER_SCHEDULE))):
        # It must not have passed when it is saved, however slow this machine is.
        moment = read_clock() + timedelta(seconds=chance.uniform(LEAST_SECONDS, max(LEAST_SECONDS, seconds)))
        _make(user, chance.choice(tasks), name=f"once {number}", run_at=moment)
    for misfire, overlap in POLICIES:
        _make(user, chance.choice(tasks), name=f"{misfire}, {overlap}", cron=CRON, misfire=misfire, overlap=overlap)


def count_undecided() -> int:
    """Return how many schedules have something due, and occurrences a run whose end is not accounted for."""
    due = Schedule.objects.filter(is_enabled=True, next_start__lte=read_clock()).count()
    return due + Occurrence.objects.filter(state__in=Occurrence.UNFINISHED).count()


def examine_occurrences() -> Iterator[str]:
    """Say which due time has not exactly one decision that was recorded, or one run where that says so.

    The database allows one occurrence for each time of a schedule: here it is seen that none lacks, and that no run was
    started besides.
    """
    schedules = Schedule.objects.select_related("graph")
    for schedule in schedules.order_by("pk"):
        occurrences = list(schedule.occurrences.order_by("due_at"))
        due = [occurrence.due_at for occurrence in occurrences]
        if due != (expected := _list_due(schedule, occurrences)):
            yield f"schedule {schedule} decided about {_tell(due)} instead of {_tell(expected)}"
        if schedule.problem or not schedule.is_enabled:
            yield f"schedule {schedule} stands still: {schedule.problem or schedule.pause_reason}"
        for occurrence in occurrences:
            if occurrence.state not in (State.COMPLETED, State.MISSED, State.SKIPPED):
                yield f"schedule {schedule} has a time that is {occurrence}: {occurrence.reason}"
            if schedule.run_at and occurrence.state != State.COMPLETED:
                yield f"schedule {schedule} was due once, and did not run: {occurrence}"
    yield from _examine_runs({schedule.user_id for schedule in schedules})


def _make(user: User, task: Task, **fields: Any) -> None:
    version = GraphVersion.objects.get(pk=task.version_id)
    create_schedule(user=user, graph_id=version.graph_id, fields={"timezone": "UTC", **fields})  # type: ignore[typeddict-item]  # by name


def _list_due(schedule: Schedule, occurrences: Sequence[Occurrence]) -> list[Any]:
    """Return the times that must have been decided about: of an expression those from the first to the newest.

    While the database's clock was ahead, times were decided about that are still to come: what ran of them stays.
    """
    if schedule.run_at is not None:
        return [schedule.run_at]
    newest = schedule.last_due
    ran_ahead = [
        each.due_at
        for each in occurrences
        if each.state == State.COMPLETED and (newest is None or each.due_at > newest)
    ]
    if newest is None:
        return ran_ahead
    times = [next((each.due_at for each in occurrences if each.due_at <= newest), newest)]
    while times[-1] < newest and (following := schedule.timing.next_due(times[-1])) is not None:
        times.append(following)
    return times + ran_ahead


def _examine_runs(user_ids: set[int]) -> Iterator[str]:
    named = Counter(Occurrence.objects.filter(execution__isnull=False).values_list("execution_id", flat=True))
    started = set(Execution.objects.filter(parent=None, user__in=user_ids).values_list("pk", flat=True))
    for run_id in started - named.keys():
        yield f"run {run_id} was started by no due time"
    for run_id, count in named.items():
        if count > 1 or run_id not in started:
            yield f"run {run_id} belongs to {count} due times, and is {'' if run_id in started else 'not '}there"


def _tell(moments: Sequence[Any]) -> str:
    return ", ".join(f"{moment:%H:%M:%S}" for moment in moments) or "nothing"
