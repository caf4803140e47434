"""What was measured, as it goes into `results.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.samples import summarize


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Samples of one workload on one contender. `nodes` counts one run's, `runs` how many ran at once.

    `unit` is that of the samples (s, ms, MiB, count). `costs` has, for each sample, what a node cost (see
    `bench.costs`); it is empty where only time was looked at.
    """

    workload: str
    contender: str
    samples: tuple[float, ...]
    unit: str = "s"
    nodes: int = 0
    runs: int = 1
    costs: tuple[Mapping[str, float], ...] = ()

    @property
    def per_node(self) -> float | None:
        """The median by node, in milliseconds."""
        tasks = self.nodes * self.runs
        return 1000 * summarize(self.samples).median / tasks if tasks and self.unit == "s" else None

    def median_costs(self) -> dict[str, float]:
        """Return the median of each cost."""
        names = self.costs[0] if self.costs else ()
        return {name: summarize([cost[name] for cost in self.costs]).median for name in names}

    def as_json(self) -> dict[str, Any]:
        """Return it with its summary."""
        summary = summarize(self.samples)
        return {
            **asdict(self),
            "median": summary.median,
            "low": summary.low,
            "high": summary.high,
            "spread": summary.spread,
            "ms_per_node": self.per_node,
            "median_costs": self.median_costs(),
        }


@dataclass
class Results:
    """All that was measured in one session."""

    measured: list[Measured] = field(default_factory=list)

    def samples(self, workload: str, contender: str = "engine") -> tuple[float, ...]:
        """Return the samples of a workload on a contender; none if it wasn't measured."""
        found = self.find(workload, contender)
        return found.samples if found else ()

    def find(self, workload: str, contender: str = "engine") -> Measured | None:
        """Return what was measured, if it was."""
        return next((each for each in self.measured if (each.workload, each.contender) == (workload, contender)), None)

    def workloads(self) -> list[str]:
        """Return the names of what was measured, in its order."""
        return list(dict.fromkeys(each.workload for each in self.measured))

    def contenders(self) -> list[str]:
        """Return the names of who was measured, in the order in which they came."""
        return list(dict.fromkeys(each.contender for each in self.measured))
