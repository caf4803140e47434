"""Repeated measurements: their middle, and how far they lie apart."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The median of some samples, and their spread: the middle half lies between `low` and `high`."""

    median: float
    low: float
    high: float
    count: int

    @property
    def spread(self) -> float:
        """The width of the middle half, as a share of the median."""
        return (self.high - self.low) / self.median if self.median else 0.0


def summarize(samples: Sequence[float]) -> Summary:
    """Return what is told of the samples. ValueError if there are none."""
    if not samples:
        raise ValueError("There is no sample to summarize.")
    if len(samples) == 1:
        return Summary(median=samples[0], low=samples[0], high=samples[0], count=1)
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Summary(median=median, low=low, high=high, count=len(samples))


def ratio(samples: Sequence[float], floor: Sequence[float]) -> float | None:
    """Return how many times as long as `floor` it took, by their medians; None if either was not measured."""
    if not samples or not floor:
        return None
    below = statistics.median(floor)
    return statistics.median(samples) / below if below else None
