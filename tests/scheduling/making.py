"""Schedules for tests, and looking at what became of them."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.auth.models import User

from execution.models import Execution
from graphs.models import GraphVersion
from graphs.services import import_graph
from scheduling.firing import fire_due
from scheduling.models import Schedule
from scheduling.services import create_schedule
from scheduling.store import read_clock
from tests.execution.small_graphs import ASK, CALCULATOR, INPUT, OUTPUT, draw

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)

ADDING: Final = draw(
    {
        "in": (INPUT, {"name": "Number", "value": 1}),
        "add": (CALCULATOR, {"operation": "Add", "b": 34}),
        "out": (OUTPUT, {"name": "Sum"}),
    },
    ["in.result -> add.a", "add.result -> out.value"],
)
FAILING: Final = draw(
    {"in": (INPUT, {"name": "Number", "value": "none"}), "add": (CALCULATOR, {"operation": "Add", "b": 34})},
    ["in.result -> add.a"],
    on_error="fail_run",
)
# Nothing comes to the pin "a", which it needs.
BROKEN: Final = draw({"add": (CALCULATOR, {"operation": "Add", "b": 1})})
# It waits for a person, so it goes on until it is stopped.
WAITING: Final = draw({"ask": (ASK, {"name": "Letter", "data": "Dear Ada"})})


def save_graph(user: User, document: dict[str, Any] = ADDING) -> GraphVersion:
    """Save a graph of the user's."""
    return import_graph(owner=user, document=document).version


def make_schedule(user: User, document: dict[str, Any] = ADDING, **fields: Any) -> Schedule:
    """Save a graph and a schedule of it, every hour unless it is said otherwise."""
    wanted: Any = {"name": "Sums", **({} if "run_at" in fields else {"cron": "@hourly"}), **fields}
    return create_schedule(user=user, graph_id=save_graph(user, document).graph_id, fields=wanted)


def make_due(schedule: Schedule, *, ago: timedelta = timedelta(0)) -> datetime:
    """Let the schedule's next time be one that came so long ago; return it."""
    due = schedule.timing.next_due(read_clock() - ago - HOUR)
    assert due is not None
    Schedule.objects.filter(pk=schedule.pk).update(next_due=due, next_start=schedule.timing.start_of(due))
    return due


def states(schedule: Schedule) -> list[str]:
    """Return what became of the schedule's due times, oldest first."""
    return list(schedule.occurrences.order_by("due_at").values_list("state", flat=True))


def runs(schedule: Schedule) -> list[Execution]:
    """Return the runs of the schedule, oldest first."""
    started = schedule.occurrences.filter(execution__isnull=False).order_by("due_at")
    return [each.execution for each in started.select_related("execution") if each.execution is not None]


def fire(schedule: Schedule, *, late: timedelta = timedelta(seconds=1)) -> datetime:
    """Let the clock be so much later than the schedule's next time; return that time."""
    schedule.refresh_from_db()
    assert schedule.next_start
    fire_due(limit=10, now=schedule.next_start + late)
    return schedule.next_start
