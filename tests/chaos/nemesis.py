"""Whoever commits the faults: all kinds in turn, shuffled, at random moments, and undoes what has to be undone."""

import heapq
import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TextIO

from tests.chaos.crew import Crew
from tests.chaos.faults import FREEZE_WORKER, FaultImpossibleError, Faults

LONGEST_PAUSE: Final = 3.0
# Most of those who are frozen are killed by another fault before they come back, so more have to be.
OFTEN: Final = (FREEZE_WORKER,) * 3
TICK: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Committed:
    """A fault that happened: when (seconds since the epoch), of which kind, and to whom."""

    at: float
    kind: str
    detail: str


class Nemesis:
    """Commits faults from the thread that calls it, which also looks after the workers.

    `only` is a part of the names of the faults that are wanted; all are, if it is empty.
    There are `pause` seconds between two faults on average, and never more than `LONGEST_PAUSE` times as many.
    """

    def __init__(
        self, *, faults: Faults, crew: Crew, chance: random.Random, pause: float, only: str, log: TextIO
    ) -> None:
        self.committed: list[Committed] = []
        self._faults = faults
        self._crew = crew
        self._chance = chance
        self._pause = pause
        self._log = log
        self._kinds = [kind for kind in (*faults.by_name, *OFTEN) if only in kind]
        self._deck: list[str] = []
        self._numbers = itertools.count()
        self._later: list[tuple[float, int, Callable[[], None]]] = []

    def rage(self, seconds: float) -> None:
        """Commit faults for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pause = min(self._chance.expovariate(1 / self._pause), self._pause * LONGEST_PAUSE)
            self._wait(min(end, time.monotonic() + pause))
            self._commit_one()

    def make_up(self) -> None:
        """Undo what is still to be undone, now."""
        while self._later:
            heapq.heappop(self._later)[2]()

    def tick(self) -> None:
        """Do what is due."""
        while self._later and self._later[0][0] <= time.monotonic():
            heapq.heappop(self._later)[2]()
        self._crew.look_after()

    def _wait(self, until: float) -> None:
        while time.monotonic() < until:
            self.tick()
            time.sleep(TICK)

    def _commit_one(self) -> None:
        """Commit the next fault that is possible; the others wait for their turn."""
        if len(self._deck) < len(self._kinds):
            more = list(self._kinds)
            self._chance.shuffle(more)
            self._deck += more
        for position, kind in enumerate(self._deck):
            if self._commit(kind):
                del self._deck[position]
                return

    def _commit(self, kind: str) -> bool:
        at = time.time()
        try:
            detail = self._faults.by_name[kind](self._do_later)
        except FaultImpossibleError:
            return False
        self.committed.append(Committed(at=at, kind=kind, detail=detail))
        self._log.write(f"{time.strftime('%H:%M:%S', time.gmtime(at))}.{int(at * 1000) % 1000:03} {kind}: {detail}\n")
        self._log.flush()
        return True

    def _do_later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._numbers), action))
