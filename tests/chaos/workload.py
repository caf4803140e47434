"""Users: they start runs, never more than a few at a time, and stop some. They meet the faults too, and try again."""

import heapq
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.db.models import Q, Sum

from execution.engine.statuses import ENDED, Status
from execution.models import Execution, Output
from execution.services import start_execution, stop_execution
from graphs.models import GraphVersion
from tests.chaos.actors import PAUSE, PAUSE_AFTER_ERROR, Actor
from tests.chaos.tasks import Task

MOST_AT_ONCE: Final = 8
STOPPED_SHARE: Final = 0.1
LONGEST_BEFORE_STOP: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Trace:
    """How much a run and those below it had recorded."""

    events: int
    outputs: int


class Users(Actor):
    """They start and stop runs.

    `asked_to_stop` are the runs that somebody tried to stop, `stopped` those where a receipt says that it was done,
    with what they had recorded just after it (None: nobody could look).
    """

    def __init__(self, user: User, tasks: Sequence[Task], chance: random.Random) -> None:
        super().__init__("users")
        self.asked_to_stop: set[UUID] = set()
        self.stopped: dict[UUID, Trace | None] = {}
        self.refused = 0
        self._user = user
        self._tasks = tasks
        self._chance = chance
        self._to_stop: list[tuple[float, UUID]] = []

    def _act(self) -> None:
        """Stop whom it is time to stop, and start a run if there aren't enough."""
        try:
            if self._to_stop and self._to_stop[0][0] <= time.monotonic():
                self._stop(heapq.heappop(self._to_stop)[1])
            elif Execution.objects.exclude(status__in=ENDED).filter(parent=None).count() < MOST_AT_ONCE:
                self._start()
            else:
                self._leaving.wait(PAUSE)
        except DatabaseError:
            self.refused += 1
            connection.close()
            self._leaving.wait(PAUSE_AFTER_ERROR)

    def _start(self) -> None:
        task = self._chance.choice(self._tasks)
        version = GraphVersion.objects.get(pk=task.version_id)
        run = start_execution(user=self._user, version=version, input_data={})
        if self._chance.random() < STOPPED_SHARE:
            due = time.monotonic() + self._chance.uniform(0, LONGEST_BEFORE_STOP)
            heapq.heappush(self._to_stop, (due, run.pk))

    def _stop(self, run_id: UUID) -> None:
        self.asked_to_stop.add(run_id)
        if stop_execution(execution_id=run_id).had_ended:
            return
        self.stopped[run_id] = None
        self.stopped[run_id] = trace(run_id)


def trace(run_id: UUID) -> Trace:
    """Return what a run and those below it have recorded."""
    tree = Execution.objects.filter(Q(pk=run_id) | Q(root=run_id))
    events = tree.aggregate(events=Sum("event_number"))["events"]
    outputs = Output.objects.filter(node_execution__execution__in=tree).count()
    return Trace(events=int(events or 0), outputs=outputs)


def count_unended() -> int:
    """Return how many runs have not ended."""
    return Execution.objects.filter(status__in=(Status.QUEUED, Status.RUNNING)).count()
