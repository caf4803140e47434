"""The suites: everything that is measured, in its order."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from bench import latencies, reading, waiting
from bench.engine import Engine
from bench.measuring import measure
from bench.results import Measured, Results
from bench.samples import summarize
from bench.session import Session
from bench.shapes import Shape
from bench.workloads import FULL_SECONDS, Suite, choose
from config.supervisor import print_line

Measurement = Callable[[Engine, int], Iterable[Measured]]

_LATENCIES: Final[Mapping[str, Measurement]] = {
    "hop by message": lambda engine, repeats: [latencies.hop_by_message(engine, repeats=repeats)],
    "first node": lambda engine, repeats: [latencies.first_node(engine, repeats=repeats)],
    "first of a stream": lambda engine, repeats: [latencies.first_of_a_stream(engine, repeats=repeats)],
    "stop": lambda engine, repeats: [latencies.stop(engine, repeats=repeats)],
}
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
    for workload in choose(suite, traces=traces):
        if only in workload.name:
            print_line(f"{workload.name}: {workload.tasks:,} tasks")
            is_full = suite is Suite.FULL
            who = session.contenders if is_full or workload.is_compared else [session.engine]
            budget = FULL_SECONDS if is_full else workload.quick_seconds
            results.measured += measure(session, workload, who=who, repeats=repeats, budget=budget)
    others = {**_LATENCIES, **(_FULL_ONLY if suite is Suite.FULL else {})}
    for name, measurement in others.items():
        if only in name:
            print_line(f"{name}:")
            found = list(measurement(session.engine, repeats))
            for each in found:
                _say(each)
            results.measured += found
    return results


def _say(measured: Measured) -> None:
    summary = summarize(measured.samples)
    print_line(f"    {measured.workload}: {summary.median:.4g} {measured.unit}, spread {summary.spread:.0%}")
