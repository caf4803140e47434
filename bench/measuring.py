"""Running workloads in turn: what disturbs the machine for a while disturbs all who are compared."""

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


def measure(
    session: Session, workload: Workload, *, who: Iterable[Contender], repeats: int, budget: float
) -> list[Measured]:
    """Run a workload in turn on all who can, `repeats` times as far as the budget (seconds) allows, at least once."""
    everybody = [Taken(each) for each in who if each.can_run(workload.shape, work=workload.work)]
    deadline = time.monotonic() + budget
    took = 0.0
    if workload.tasks < WARM_TASKS:
        took = _take_round(session, workload, everybody)
        for taken in everybody:
            taken.forget()
    for number in range(repeats):
        if number and time.monotonic() + took > deadline:
            break
        took = _take_round(session, workload, everybody)
    return [_describe(workload, taken) for taken in everybody if taken.seconds]


def _take_round(session: Session, workload: Workload, everybody: Sequence[Taken]) -> float:
    """Run it once on everybody who is not out; return how many seconds that took."""
    began = time.monotonic()
    for taken in everybody:
        if not taken.is_out:
            taken.take(session, workload)
    quickest = min(taken.seconds[-1] for taken in everybody if taken.seconds)
    for taken in everybody:
        last = taken.seconds[-1] if taken.seconds else 0.0
        is_slow = last > SLOW_SECONDS and last > SLOW_FACTOR * quickest
        if is_slow and taken.contender is not session.engine:
            taken.is_out = True
    return time.monotonic() - began


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
