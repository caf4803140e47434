"""Beats and workers as processes: whoever is killed or frozen, each due time has one run."""

import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db.models import Count

from execution.models import Execution
from execution.workers import WorkerProcesses
from scheduling.models import Occurrence, Schedule
from scheduling.store import read_clock
from tests.config.processes import wait_until
from tests.scheduling.beats import Beat, running_beats
from tests.scheduling.making import make_schedule

pytestmark = pytest.mark.django_db(transaction=True)

SCHEDULES = 20
TAKEOVER_SECONDS = 10.0
START_SECONDS = 90.0


def make_all_due() -> None:
    """Let the next time of every schedule be now, each a little later than the one before."""
    now = read_clock()
    for number, schedule in enumerate(Schedule.objects.order_by("id")):
        due = now + timedelta(milliseconds=number)
        Schedule.objects.filter(pk=schedule.pk).update(next_due=due, next_start=due)


def all_ran(rounds: int) -> bool:
    return Occurrence.objects.filter(state__in=["STARTED", "COMPLETED"]).count() >= rounds * SCHEDULES


def wait_until_all_ran(rounds: int) -> None:
    assert wait_until(lambda: all_ran(rounds)), list(Occurrence.objects.values_list("state").annotate(Count("id")))


def leader_of(beats: list[Beat]) -> Beat:
    # Three that start at once on a busy machine take their time.
    assert wait_until(lambda: any(beat.leads for beat in beats), seconds=START_SECONDS), [beat.says for beat in beats]
    (leader,) = (beat for beat in beats if beat.leads)
    return leader


def successor_of(leader: Beat, beats: list[Beat], *, after: signal.Signals) -> Beat:
    """Send a signal to the one that leads; return the one that leads then, which takes 10 seconds at most."""
    beats.remove(leader)
    began = time.monotonic()
    leader.process.send_signal(after)
    successor = leader_of(beats)
    assert time.monotonic() - began < TAKEOVER_SECONDS
    return successor


def test_another_beat_takes_over_and_nothing_is_started_twice(
    user: User, workers: WorkerProcesses, tmp_path: Path
) -> None:
    for _ in range(SCHEDULES):
        make_schedule(user, overlap="allow")
    with running_beats(tmp_path, count=3) as all_beats:
        beats = [*all_beats]
        first = leader_of(beats)
        make_all_due()
        wait_until_all_ran(1)

        second = successor_of(first, beats, after=signal.SIGKILL)
        make_all_due()
        wait_until_all_ran(2)

        successor_of(second, beats, after=signal.SIGSTOP)
        make_all_due()
        wait_until_all_ran(3)
        second.process.send_signal(signal.SIGCONT)
        assert wait_until(lambda: "can't use the database" in second.says), second.says

        # Runs that were started twice would need a moment to show.
        assert wait_until(lambda: not Execution.objects.filter(ended_at=None).exists())
    assert Execution.objects.count() == Occurrence.objects.exclude(execution=None).count() == 3 * SCHEDULES


def test_only_the_leader_sends(user: User, workers: WorkerProcesses, tmp_path: Path) -> None:
    with running_beats(tmp_path, count=2) as beats:
        leader = leader_of(beats)
        schedule = make_schedule(user)
        make_all_due()
        assert wait_until(lambda: schedule.occurrences.filter(state="COMPLETED").exists())

        (other,) = (beat for beat in beats if beat is not leader)
        assert not other.leads
        assert other.process.poll() is None
