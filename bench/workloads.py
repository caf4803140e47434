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

    It is not repeated any more when that would take longer than the suite's budget for it, however few its samples are:
    `quick_seconds` in the quick suite, which leaves it out if that is 0 and compares it with peers if `is_compared`.
    Those of one `group` are run in turn, for they are compared with each other.
    """

    name: str
    shape: Shape
    runs: int = 1
    work: Work = Work.NO_OP
    quick_seconds: float = 0.0
    is_compared: bool = True
    group: str = ""

    @property
    def tasks(self) -> int:
        """How many nodes are executed."""
        return self.shape.size * self.runs


# How many nodes, and how many seconds that is worth to the quick suite.
GROWTH: Final = {58: 20.0, 310: 30.0, 1738: 40.0, 4991: 50.0}
COMPARED_GROWTH: Final = 310
FULL_SECONDS: Final = 240.0


def choose(suite: Suite, *, traces: Mapping[str, Shape]) -> list[Workload]:
    """Return what a suite measures. Traces take the place of what would be made here under the same name."""
    chosen = [
        Workload(name="chain-40", shape=chain(40), quick_seconds=25),
        Workload(name="chain-400", shape=chain(400), quick_seconds=35),
        Workload(name="fan-100", shape=fan_out(100), quick_seconds=25, group="widths"),
        Workload(name="fan-1000", shape=fan_out(1000), quick_seconds=30, is_compared=False, group="widths"),
        *(_montage(size, traces) for size in GROWTH),
        *(
            Workload(name=f"{runs} run{'s' * (runs > 1)}", shape=chain(10), runs=runs, quick_seconds=40 * (runs == 100))
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
    return [workload for workload in chosen if workload.quick_seconds or suite is Suite.FULL]


def _montage(size: int, traces: Mapping[str, Shape]) -> Workload:
    name = f"montage-{size}"
    return Workload(
        name=name,
        shape=traces.get(name, montage(size)),
        quick_seconds=GROWTH[size],
        is_compared=size == COMPARED_GROWTH,
        group="growth",
    )
