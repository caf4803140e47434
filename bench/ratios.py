"""The few figures that tell whether the engine is fast: all are ratios of one session, so machines compare."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.results import Results
from bench.samples import ratio

GROWING: Final = ("montage-58", "montage-310", "montage-1738", "montage-4991")


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a ratio says, and how it should be."""

    name: str
    says: str
    limit: float
    is_floor: bool = False

    def is_met(self, value: float) -> bool:
        """Whether the value is as it should be."""
        return value >= self.limit if self.is_floor else value <= self.limit


GOALS: Final = (
    Goal(name="hop_vs_celery", says="a hop of a chain of 40 or of 400 (the worse) / a raw Celery hop", limit=2.0),
    Goal(name="chain40_vs_dbos", says="a chain of 40 / the same as DBOS's steps in one process", limit=1.0),
    Goal(name="fan100_vs_celery_chord", says="1 → 100 → 1 / Celery's group and chord", limit=0.8),
    Goal(name="fan1000_vs_fan100", says="a node of 1 → 1,000 → 1 / a node of 1 → 100 → 1", limit=1.2),
    Goal(name="montage310_vs_dbos", says="montage of 310 nodes / the same as DBOS's steps", limit=1.0),
    Goal(name="cost_per_node_growth", says="the dearest / the cheapest node of montages of all sizes", limit=1.3),
    Goal(
        name="throughput_vs_celery",
        says="tasks per second in 100 runs at once / raw Celery's",
        limit=0.5,
        is_floor=True,
    ),
    Goal(name="stream_vs_hop", says="from the first yield to its successor's start / a hop by a message", limit=3.0),
    Goal(name="start_vs_hop", says="from the POST to the start of the first node / a hop by a message", limit=3.0),
)


def compute_ratios(results: Results) -> dict[str, float]:
    """Return the ratios of what was measured; the others are left out."""
    found = {name: compute(results) for name, compute in _RATIOS.items()}
    return {name: round(value, 3) for name, value in found.items() if value is not None}


def _hop(results: Results) -> float | None:
    ratios = [ratio(results.samples(name), results.samples(name, "celery")) for name in ("chain-40", "chain-400")]
    return max((each for each in ratios if each is not None), default=None)


def _growth(results: Results) -> float | None:
    found = [each for name in GROWING if (each := results.find(name)) is not None]
    per_node = [each.per_node for each in found if each.per_node is not None]
    return max(per_node) / min(per_node) if len(per_node) > 1 else None


def _widths(results: Results) -> float | None:
    wide, narrow = results.find("fan-1000"), results.find("fan-100")
    if wide is None or narrow is None or wide.per_node is None or not narrow.per_node:
        return None
    return wide.per_node / narrow.per_node


def _throughput(results: Results) -> float | None:
    return ratio(results.samples("100 runs", "celery"), results.samples("100 runs"))


def _in_messages(workload: str) -> Callable[[Results], float | None]:
    return lambda results: ratio(results.samples(workload), results.samples("hop by message"))


def _against(workload: str, contender: str) -> Callable[[Results], float | None]:
    return lambda results: ratio(results.samples(workload), results.samples(workload, contender))


_RATIOS: Final[dict[str, Callable[[Results], float | None]]] = {
    "hop_vs_celery": _hop,
    "chain40_vs_dbos": _against("chain-40", "dbos"),
    "fan100_vs_celery_chord": _against("fan-100", "celery"),
    "fan1000_vs_fan100": _widths,
    "montage310_vs_dbos": _against("montage-310", "dbos"),
    "cost_per_node_growth": _growth,
    "throughput_vs_celery": _throughput,
    "stream_vs_hop": _in_messages("first of a stream"),
    "start_vs_hop": _in_messages("first node"),
}
