"""Ticks beside each other, one after the other, in the wrong order and dying: each due time has one run."""

import random
import threading
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from execution.models import Execution
from scheduling import firing
from scheduling.firing import fire_due
from scheduling.models import Occurrence, Schedule
from scheduling.store import note_runs, read_clock
from scheduling.tasks import fire
from tests.execution.drain import Drain
from tests.scheduling.making import MINUTE, make_schedule
from tests.threads import run_at_once

SCHEDULES = 12
THREADS = 4
TICKS = 300


class DeathError(BaseException):
    """The process is no more."""


@pytest.mark.django_db(transaction=True)
def test_ticks_beside_each_other_share_the_work(user: User, drain: Drain) -> None:
    others = [user, *(User.objects.create_user(f"user{number}") for number in range(2))]
    for number in range(SCHEDULES):
        make_schedule(others[number % len(others)])
    now = read_clock()
    Schedule.objects.update(next_due=now, next_start=now)
    first: UUID = Schedule.objects.values_list("pk", flat=True)[0]

    # The same schedule's own message comes again and again, too.
    run_at_once(
        *[partial(fire_due, limit=100) for _ in range(THREADS)],
        *[partial(fire, str(first)) for _ in range(2)],
    )
    while fire_due(limit=100):
        pass

    assert sorted(Occurrence.objects.values_list("schedule_id", flat=True)) == sorted(
        Schedule.objects.values_list("pk", flat=True)
    )
    assert set(Occurrence.objects.values_list("due_at", "state")) == {(now, "STARTED")}
    assert Execution.objects.count() == SCHEDULES
    assert len(drain.waiting) == len({ready.id for ready in drain.waiting}) == SCHEDULES


@pytest.mark.django_db(transaction=True)
def test_a_schedule_that_somebody_holds_is_passed_over(user: User, drain: Drain) -> None:
    held, free = make_schedule(user), make_schedule(user)
    now = read_clock()
    Schedule.objects.update(next_due=now, next_start=now)
    done = threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Schedule.objects.select_for_update().get(pk=held.pk)
            gate.set()
            assert done.wait(timeout=10)
        connection.close()

    gate = threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    assert gate.wait(timeout=10)

    fire_due(limit=10)
    done.set()
    holder.join(timeout=10)

    assert list(Occurrence.objects.values_list("schedule_id", flat=True)) == [free.pk]
    fire_due(limit=10)
    assert Occurrence.objects.filter(schedule=held).count() == 1


@pytest.fixture
def dies_sometimes(monkeypatch: pytest.MonkeyPatch) -> random.Random:
    """Let a tick die just before it commits, now and then."""
    chance = random.Random(20261122)

    def note(*arguments: Any, **options: Any) -> None:
        note_runs(*arguments, **options)
        if chance.random() < 0.2:
            raise DeathError

    monkeypatch.setattr(firing, "note_runs", note)
    return chance


@pytest.mark.django_db
def test_hundreds_of_ticks_with_clocks_that_jump_and_ticks_that_die(user: User, dies_sometimes: random.Random) -> None:
    schedule = make_schedule(user, cron="* * * * *", misfire="fire_all", misfire_limit=100, overlap="allow")
    assert schedule.next_due
    begin = clock = latest = schedule.next_due
    deaths = 0
    for _ in range(TICKS):
        clock = jump(clock, dies_sometimes)
        try:
            with transaction.atomic():
                fire_due(limit=10, now=clock)
            latest = max(latest, clock)
        except DeathError:
            deaths += 1
    # Somebody lives to do what is left.
    firing_now(clock=latest)

    due = list(Occurrence.objects.order_by("due_at").values_list("due_at", flat=True))
    passed = int((latest - begin) / MINUTE) + 1
    assert due == [begin + number * MINUTE for number in range(passed)]
    assert set(Occurrence.objects.values_list("state", flat=True)) == {"STARTED"}
    assert Execution.objects.count() == passed > TICKS / 3
    assert deaths > TICKS / 20


def jump(clock: datetime, chance: random.Random) -> datetime:
    """Return what the clock shows at the next tick: mostly later, now and then before."""
    return clock + timedelta(seconds=chance.choice([20, 40, 60, 90, 200, -30, -150]))


def firing_now(*, clock: datetime) -> None:
    while True:
        try:
            with transaction.atomic():
                fire_due(limit=10, now=clock)
        except DeathError:
            continue
        return
