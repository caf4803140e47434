"""Running workloads in turn: what disturbs the machine for a while disturbs all that is compared."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bench.contender import Contender, RunFailedError
from bench.costs import Cost
from bench.results import Measured
from bench.samples import summarize
from bench.session import Session
from bench.workloads import Workload
from config.supervisor import print_line

# So much more than the quickest, and so large a workload: it tells nothing to wait for it.
SLOW_FACTOR: Final = 15.0
SLOW_SECONDS: Final = 20.0
# A run that is so long warms up by itself.
WARM_TASKS: Final = 1500
# What is over sooner is run several times in a round: the shorter, the more of it hits or misses what disturbs.
ROUND_SECONDS: Final = 4.0


class Taken:
    """What one contender has taken for a workload so far."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.seconds: list[float] = []
        self.costs: list[Cost] = []
        self.is_out = False

    def take(self, session: Session, workload: Workload) -> None:
        """Run it once more; a peer that fails is out, our own engine's failure ends the benchmark."""

        def run() -> float:
            return self.contender.run(workload.shape, runs=workload.runs, work=workload.work)

        try:
            seconds, cost = session.meter(self.contender).measure(run)
        except RunFailedError as error:
            if self.contender is session.engine:
                raise
            print_line(f"    {self.contender.name} is left out: {error}")
            self.is_out = True
            return
        self.seconds.append(seconds)
        self.costs.append(cost)

    def forget(self) -> None:
        """Forget what was only to warm up; what is not repeated is kept."""
        if not self.is_out:
            self.seconds.clear()
            self.costs.clear()


class Series:
    """A workload, and what everybody who can run it has taken so far."""

    def __init__(self, workload: Workload, *, who: Iterable[Contender], budget: float) -> None:
        """`budget`: no round is begun that would end after so many seconds of this workload, but for the first."""
        self.workload = workload
        self._everybody = [Taken(each) for each in who if each.can_run(workload.shape, work=workload.work)]
        self._budget = budget
        self._times = 1
        self._spent = 0.0
        self._took = 0.0

    def warm_up(self, session: Session) -> None:
        """Run it for nothing: once to fill caches, and once to see how often it goes into a round."""
        if self.workload.tasks >= WARM_TASKS:
            return
        self._take_once(session)
        took = self._take_once(session)
        self._times = max(1, int(ROUND_SECONDS / took))
        self._spent, self._took = took, took * self._times
        for taken in self._everybody:
            taken.forget()

    def take_round(self, session: Session) -> None:
        """Run it, on everybody who is not out, as often as goes into a round and into the budget."""
        if self._is_measured and self._spent + self._took > self._budget:
            return
        self._took = sum(self._take_once(session) for _ in range(self._times))
        self._spent += self._took

    def describe(self) -> list[Measured]:
        """Return what was measured."""
        return [_describe(self.workload, taken) for taken in self._everybody if taken.seconds]

    @property
    def _is_measured(self) -> bool:
        return any(taken.seconds for taken in self._everybody)

    def _take_once(self, session: Session) -> float:
        """Return how many seconds it took."""
        began = time.monotonic()
        for taken in self._everybody:
            if not taken.is_out:
                taken.take(session, self.workload)
        quickest = min(taken.seconds[-1] for taken in self._everybody if taken.seconds)
        for taken in self._everybody:
            last = taken.seconds[-1] if taken.seconds else 0.0
            is_slow = last > SLOW_SECONDS and last > SLOW_FACTOR * quickest
            if is_slow and taken.contender is not session.engine:
                taken.is_out = True
        return time.monotonic() - began


def measure(session: Session, together: Sequence[Series], *, repeats: int) -> list[Measured]:
    """Run workloads that are compared with each other in turn, `repeats` rounds of each as far as its budget allows.

    Every other round goes backwards, so that none always comes after the same: a large run leaves the database work.
    """
    for series in together:
        series.warm_up(session)
    for number in range(repeats):
        for series in together if number % 2 == 0 else reversed(together):
            series.take_round(session)
    return [measured for series in together for measured in series.describe()]


def _describe(workload: Workload, taken: Taken) -> Measured:
    costs: list[Mapping[str, float]] = [cost.per(workload.tasks) for cost in taken.costs]
    measured = Measured(
        workload=workload.name,
        contender=taken.contender.name,
        samples=tuple(taken.seconds),
        nodes=workload.shape.size,
        runs=workload.runs,
        costs=tuple(costs),
    )
    summary = summarize(measured.samples)
    print_line(
        f"    {measured.contender:8} {summary.median:8.3f} s   {measured.per_node or 0:8.2f} ms a node"
        f"   spread {summary.spread:4.0%} of {summary.count}"
    )
    return measured
