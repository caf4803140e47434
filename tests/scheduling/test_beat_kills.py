"""Two beats and their workers, killed again and again while the clock runs and jumps: each due time has one run.

The processes are real and end by SIGKILL at any moment; the minutes are simulated. At length:
`BEAT_TICKS=2000 python -m pytest -s tests/scheduling/test_beat_kills.py`.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import psutil
import pytest
from django.contrib.auth.models import User

from config.local import BASE_DIR
from execution.models import Execution
from execution.workers import WorkerProcesses
from scheduling.models import Occurrence, Schedule
from tests.config.processes import wait_until
from tests.conftest import worker_environment
from tests.execution.small_graphs import INPUT, draw
from tests.scheduling.fake_clock import make_fake_clock, remove_fake_clock, set_fake_clock
from tests.scheduling.making import MINUTE, make_schedule

pytestmark = pytest.mark.django_db(transaction=True)

TICKS: Final = int(os.environ.get("BEAT_TICKS", "100"))
SCHEDULES: Final = 4
BEATS: Final = 2
# Of so many ticks one is accompanied by a death.
KILL_SHARE: Final = 0.5
LONGEST_WAIT: Final = 60.0
ONE_NODE: Final = draw({"in": (INPUT, {"name": "Number", "value": 1})})
ENVIRONMENT: Final = {"DJANGO_SETTINGS_MODULE": "tests.scheduling.fake_clock_settings", "LEASE_SECONDS": "3"}


@dataclass(kw_only=True)
class Crowd:
    """The processes that may be killed, and how often they were."""

    nursery: psutil.Process
    workers: WorkerProcesses
    chance: random.Random
    kills: dict[str, int] = field(default_factory=lambda: {"beats": 0, "workers": 0})

    def kill_one(self) -> None:
        """Kill a beat, or a process that runs what beats send."""
        kind = self.chance.choice(["beats", "beats", "workers"])
        pool = self.workers.processes[0].pid
        parent = self.nursery if kind == "beats" else psutil.Process(pool)
        # One that ends by itself meanwhile counts for nothing.
        with suppress(psutil.NoSuchProcess, IndexError):
            self.chance.choice([each for each in parent.children(recursive=True) if not each.children()]).kill()
            self.kills[kind] += 1


@contextmanager
def everything_running(folder: Path, chance: random.Random) -> Iterator[Crowd]:
    environment = {**os.environ, **worker_environment(), **ENVIRONMENT}
    log = folder / "beats.log"
    with (
        WorkerProcesses(concurrency=2, environment=environment, log_folder=folder) as workers,
        log.open("wb") as output,
    ):
        nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.scheduling.beat_nursery", str(BEATS)],
            cwd=BASE_DIR,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            process = psutil.Process(nursery.pid)
            assert wait_until(lambda: len(process.children()) == BEATS), log.read_text("utf-8")
            yield Crowd(nursery=process, workers=workers, chance=chance)
        finally:
            # The beats die with it.
            nursery.kill()
            nursery.wait(timeout=10)


@pytest.fixture
def clock() -> Iterator[datetime]:
    """The time at which the fake clock begins."""
    now = datetime.fromisoformat("2030-01-01T00:00:30+00:00")
    make_fake_clock(now)
    yield now
    remove_fake_clock()


def jump(chance: random.Random) -> timedelta:
    """Return how far the clock goes on: mostly a minute, now and then more, or back."""
    return MINUTE * chance.choice([1, 1, 1, 1, 1, 1, 2, 5, -1, -3])


def all_decided(now: datetime) -> bool:
    return not Schedule.objects.filter(next_start__lte=now).exists()


def tick(crowd: Crowd, now: datetime) -> None:
    """Give beats and workers a moment with the new time, and kill one of them in it; now and then wait for them all."""
    if crowd.chance.random() < KILL_SHARE:
        time.sleep(crowd.chance.uniform(0.0, 0.08))
        crowd.kill_one()
    if crowd.chance.random() < 0.3:
        assert wait_until(lambda: all_decided(now), seconds=LONGEST_WAIT), (now, crowd.workers.logs()[-2000:])


def test_each_due_time_has_one_run_whoever_is_killed(
    user: User, clock: datetime, broker: object, tmp_path: Path
) -> None:
    chance = random.Random(20261122)
    schedules = [
        make_schedule(
            user, ONE_NODE, cron="* * * * *", misfire="fire_all", misfire_limit=100, overlap="allow", starts_at=clock
        )
        for _ in range(SCHEDULES)
    ]
    first = clock.replace(second=0) + MINUTE
    assert {schedule.next_due for schedule in schedules} == {first}
    began, latest = time.monotonic(), clock
    with everything_running(tmp_path, chance) as crowd:
        for _ in range(TICKS):
            clock += jump(chance)
            set_fake_clock(clock)
            latest = max(latest, clock)
            tick(crowd, clock)
        set_fake_clock(latest)
        assert wait_until(lambda: all_decided(latest), seconds=LONGEST_WAIT)
        assert wait_until(lambda: not Execution.objects.filter(ended_at=None).exists(), seconds=LONGEST_WAIT)
    took = time.monotonic() - began

    due = [first + number * MINUTE for number in range(int((latest - first) / MINUTE) + 1)]
    for schedule in schedules:
        assert list(schedule.occurrences.order_by("due_at").values_list("due_at", flat=True)) == due
    assert set(Occurrence.objects.values_list("state", flat=True)) <= {"STARTED", "COMPLETED"}
    assert set(Execution.objects.values_list("status", flat=True)) == {"COMPLETED"}
    assert Execution.objects.count() == Occurrence.objects.count() == len(due) * SCHEDULES
    assert crowd.kills["beats"] > TICKS / 5 and crowd.kills["workers"] > TICKS / 25
    sys.stdout.write(
        f"\n{TICKS} ticks of the clock, {len(due):,} minutes, {Execution.objects.count():,} runs, one per due time;"
        f" {crowd.kills['beats']} beats and {crowd.kills['workers']} workers were killed, in {took:.0f} s.\n"
    )
