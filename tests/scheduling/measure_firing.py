"""How long 10,000 schedules of the same minute take: `python -m pytest -s tests/scheduling/measure_firing.py`.

Not part of the suite: it takes some minutes, and a busy machine would fail it. 100 users have 100 schedules each, of
one graph of three nodes, or each of a graph of its own. Two processes for plain blocks, one for coroutines and one
beat run as they do in production, and the runs go on while more are started.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psutil
import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Max
from django_celery_beat.models import PeriodicTask

from execution.models import Execution
from execution.workers import WorkerProcesses
from graphs.models import new_id
from graphs.services import get_version
from graphs.store import insert_graphs
from scheduling.beat import MOST_COUNTED
from scheduling.models import Occurrence, Schedule
from scheduling.store import look_for_work, read_clock
from tests.conftest import worker_environment
from tests.scheduling.beats import Beat, running_beats
from tests.scheduling.making import make_schedule

pytestmark = pytest.mark.django_db(transaction=True)

USERS: Final = 100
SCHEDULES_OF_A_USER: Final = 100
LIMIT_SECONDS: Final = 60.0
MOST_WORK: Final = 1.0
ENVIRONMENT: Final = {"DJANGO_SETTINGS_MODULE": "config.settings"}


@transaction.atomic
def make_schedules(*, graphs_of_a_user: int) -> None:
    """Make them in few statements: how long that takes is not the question."""
    for number in range(USERS):
        first = make_schedule(User.objects.create_user(f"user{number}"), cron="0 0 1 1 *", overlap="allow")
        document = get_version(user=first.user, graph_id=str(first.graph_id)).document()
        graphs = insert_graphs(owner=first.user, documents=[(new_id(), document) for _ in range(graphs_of_a_user)])
        tasks = [
            PeriodicTask(name=str(uuid4()), task="scheduling.fire", crontab=first.periodic_task.crontab)
            for _ in range(SCHEDULES_OF_A_USER - 1)
        ]
        copies = [
            Schedule(**_fields(first) | {"id": new_id(), "graph_id": version.graph_id})
            for version in islice(cycle(graphs), len(tasks))
        ]
        for copy, task in zip(copies, PeriodicTask.objects.bulk_create(tasks), strict=True):
            copy.periodic_task = task
        Schedule.objects.bulk_create(copies)


def _fields(schedule: Schedule) -> dict[str, object]:
    return {field.attname: getattr(schedule, field.attname) for field in Schedule._meta.concrete_fields}


@contextmanager
def everything_running(folder: Path) -> Iterator[Beat]:
    environment = worker_environment() | ENVIRONMENT
    with (
        WorkerProcesses(concurrency=2, environment=environment, log_folder=folder),
        running_beats(folder, count=1, environment=ENVIRONMENT) as (beat,),
    ):
        while not beat.leads:
            time.sleep(0.05)
        yield beat


def measure_look() -> float:
    """Return how long (seconds) beat's question takes while all of them are due."""
    began = time.perf_counter()
    assert look_for_work(most=MOST_COUNTED).due == USERS * SCHEDULES_OF_A_USER
    return time.perf_counter() - began


def processor_seconds() -> float:
    """Return what workers, beat and the database have used of the processors so far, in seconds."""
    ours = psutil.Process().children(recursive=True)
    database = str(connection.settings_dict["NAME"])
    backends = [each for each in psutil.process_iter() if each.name() == "postgres" and database in _title(each)]
    used = [times for times in map(_times, {*ours, *backends}) if times is not None]
    return float(sum(times.user + times.system for times in used))


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _times(process: psutil.Process) -> Any:
    try:
        return process.cpu_times()
    except psutil.Error:
        return None


def seconds_to_fire(due: datetime) -> float:
    """Wait until all have been started; return how long after their time the last one was."""
    wanted, deadline = USERS * SCHEDULES_OF_A_USER, time.monotonic() + 10 * LIMIT_SECONDS
    while Occurrence.objects.count() < wanted:
        assert time.monotonic() < deadline, Occurrence.objects.count()
        time.sleep(0.2)
    last = Execution.objects.aggregate(last=Max("created_at"))["last"]
    return float((last - due).total_seconds())


@pytest.mark.parametrize("graphs_of_a_user", [1, SCHEDULES_OF_A_USER])
def test_ten_thousand_schedules_of_one_minute(broker: object, tmp_path: Path, graphs_of_a_user: int) -> None:
    make_schedules(graphs_of_a_user=graphs_of_a_user)
    now = read_clock()
    Schedule.objects.update(next_due=now, next_start=now)
    look = measure_look()
    load = psutil.getloadavg()[0]
    with everything_running(tmp_path) as beat:
        due = read_clock() + timedelta(seconds=2)
        Schedule.objects.update(next_due=due, next_start=due)
        process = psutil.Process(beat.process.pid)
        before, all_before = process.cpu_times(), processor_seconds()
        took = seconds_to_fire(due)
        after, all_after = process.cpu_times(), processor_seconds()
        ended = Execution.objects.filter(ended_at__isnull=False).count()
    work = after.user + after.system - before.user - before.system
    sys.stdout.write(
        f"\nLoad before: {load:.1f}. {USERS * SCHEDULES_OF_A_USER:,} schedules of {USERS * graphs_of_a_user:,} graphs"
        f" were started within {took:.1f} s of their time;"
        f" {ended:,} of the runs had ended by then. Beat's work in all that time: {work:.2f} s of the processor;"
        f" one look with all of them due: {look * 1000:.0f} ms."
        f" Workers, beat and database used {all_after - all_before:.0f} s of the processors together.\n"
    )
    assert Occurrence.objects.filter(execution__isnull=False).count() == Execution.objects.count()
    assert Execution.objects.count() == USERS * SCHEDULES_OF_A_USER
    assert took < LIMIT_SECONDS
    assert work < MOST_WORK
