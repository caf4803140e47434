"""What is run by all who can: shapes, how many at once, how often."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bench.contender import Work
from bench.shapes import Shape, all_to_all, apart, chain, fan_out, fft, montage, stencil, tree


class Suite(StrEnum):
    """How much is measured."""

    HOP = "hop"
    QUICK = "quick"
    FULL = "full"


PEERS: Final = {Suite.HOP: ("celery",), Suite.QUICK: ("celery", "dbos"), Suite.FULL: ("celery", "dbos", "prefect")}


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A shape to run.

    `budget_seconds`: when it has taken so long it is not repeated any more, however few its samples are.
    """

    name: str
    shape: Shape
    runs: int = 1
    work: Work = Work.NO_OP
    budget_seconds: float = 240.0
    is_quick: bool = False

    @property
    def tasks(self) -> int:
        """How many nodes are executed."""
        return self.shape.size * self.runs


GROWTH: Final = (58, 310, 1738, 4991)


def choose(suite: Suite, *, traces: Mapping[str, Shape]) -> list[Workload]:
    """Return what a suite measures. Traces take the place of what would be made here under the same name."""
    chosen = [
        *(Workload(name=f"chain-{size}", shape=chain(size), is_quick=True) for size in (40, 400)),
        *(Workload(name=f"fan-{width}", shape=fan_out(width), is_quick=True) for width in (100, 1000)),
        *(_montage(size, traces) for size in GROWTH),
        *(
            Workload(name=f"{runs} run{'s' * (runs > 1)}", shape=chain(10), runs=runs, is_quick=runs == 100)
            for runs in (1, 10, 100)
        ),
        Workload(name="10 × fib(33)", shape=apart(10), work=Work.FIB),
        *(
            Workload(name=shape.name, shape=shape)
            for shape in (
                stencil(width=16, steps=16),
                fft(width=16, steps=16),
                tree(levels=8),
                all_to_all(width=16, steps=8),
            )
        ),
    ]
    names = {workload.name for workload in chosen}
    chosen += [Workload(name=name, shape=shape) for name, shape in traces.items() if name not in names]
    return [workload for workload in chosen if workload.is_quick or suite is Suite.FULL]


def _montage(size: int, traces: Mapping[str, Shape]) -> Workload:
    name = f"montage-{size}"
    return Workload(name=name, shape=traces.get(name, montage(size)), is_quick=True)
