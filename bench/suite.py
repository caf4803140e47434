"""The suites: everything that is measured, in its order."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final

from bench import latencies, reading, waiting
from bench.engine import Engine
from bench.measuring import Series, measure
from bench.results import Measured, Results
from bench.samples import summarize
from bench.session import Session
from bench.shapes import Shape
from bench.workloads import FULL_SECONDS, Suite, Workload, choose
from config.supervisor import print_line

Measurement = Callable[[Engine, int], Iterable[Measured]]

# Each of them is over in a moment.
_LATENCY_REPEATS: Final = 5
_FULL_ONLY: Final[Mapping[str, Measurement]] = {
    "waiting": lambda engine, repeats: waiting.many_waits(engine, repeats=repeats),
    "memory of a stream": lambda engine, _repeats: latencies.memory_of_a_stream(engine),
    "reading a large run": lambda engine, repeats: reading.large_run(engine, repeats=4 * repeats),
    # Last of all: nothing else should be measured beside a million rows.
    "reading a long list": lambda engine, repeats: reading.long_list(engine, runs=reading.RUNS, repeats=4 * repeats),
}


def run_suite(session: Session, suite: Suite, *, repeats: int, traces: Mapping[str, Shape], only: str) -> Results:
    """Measure what the suite has; `only` is a part of the names of what is wanted."""
    results = Results()
    chosen = [workload for workload in choose(suite, traces=traces) if only in workload.name]
    for _, together in groupby(chosen, key=lambda workload: workload.group or workload.name):
        planned = [_plan(session, suite, workload) for workload in together]
        print_line("; ".join(f"{series.workload.name}: {series.workload.tasks:,} tasks" for series in planned))
        results.measured += measure(session, planned, repeats=repeats)
    for names in latencies.TOGETHER:
        wanted = [name for name in names if only in name]
        results.measured += _said(latencies.measure(session.engine, wanted, repeats=_LATENCY_REPEATS * repeats))
    for name, measurement in (_FULL_ONLY if suite is Suite.FULL else {}).items():
        if only in name:
            print_line(f"{name}:")
            results.measured += _said(measurement(session.engine, repeats))
    return results


def _plan(session: Session, suite: Suite, workload: Workload) -> Series:
    is_full = suite is Suite.FULL
    return Series(
        workload,
        who=session.contenders if is_full or workload.is_compared else [session.engine],
        budget=FULL_SECONDS if is_full else workload.quick_seconds,
    )


def _said(found: Iterable[Measured]) -> Iterator[Measured]:
    for measured in found:
        summary = summarize(measured.samples)
        print_line(f"    {measured.workload}: {summary.median:.4g} {measured.unit}, spread {summary.spread:.0%}")
        yield measured
