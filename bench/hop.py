"""The quickest look: a chain, ours beside Celery's, and what each hop asks of the database."""

from collections.abc import Mapping
from typing import Final

from bench.engine import Engine
from bench.samples import Summary, ratio, summarize
from bench.session import Session, postgres_log
from bench.shapes import Shape, chain
from bench.statements import Statement, StatementLog, statements_logged
from config.supervisor import print_line
from execution.store.sessions import open_session

LENGTH: Final = 40
SHOWN: Final = 25


def compare_hops(session: Session, *, repeats: int) -> None:
    """Print medians of a chain of 40, their ratio, CPU per node, and the statements of one more run."""
    shape = chain(LENGTH)
    samples: dict[str, list[float]] = {contender.name: [] for contender in session.contenders}
    costs: dict[str, list[Mapping[str, float]]] = {contender.name: [] for contender in session.contenders}
    for contender in session.contenders:
        contender.run(shape)  # caches, connections, plans
    for _ in range(repeats):
        for contender in session.contenders:
            seconds, cost = session.meter(contender).measure(lambda who=contender: who.run(shape))  # type: ignore[misc]
            samples[contender.name].append(seconds)
            costs[contender.name].append(cost.per(LENGTH))
    for name, seconds_of in samples.items():
        print_line(f"{name}: {_describe(summarize(seconds_of))}")
        print_line("    per node: " + _describe_costs(costs[name]))
    print_line(f"hop_vs_celery: {ratio(samples['engine'], samples.get('celery', [])) or float('nan'):.2f}")
    _print_statements(trace(session.engine, shape), nodes=LENGTH)


def trace(engine: Engine, shape: Shape) -> StatementLog:
    """Return the statements of one run, which is not timed."""
    with open_session() as own, statements_logged(own, log=postgres_log()) as logged:
        engine.run(shape)
    return logged


def _describe(summary: Summary) -> str:
    hop = 1000 / LENGTH
    return (
        f"{summary.median:.3f} s, {summary.median * hop:.2f} ms a hop"
        f" (middle half {summary.low * hop:.2f} to {summary.high * hop:.2f}, {summary.count} times)"
    )


def _describe_costs(costs: list[Mapping[str, float]]) -> str:
    medians = {name: summarize([cost[name] for cost in costs]).median for name in costs[0]}
    return ", ".join(f"{name} {value:.2f}" if value < 100 else f"{name} {value:.0f}" for name, value in medians.items())


def _print_statements(logged: StatementLog, *, nodes: int) -> None:
    print_line(f"{logged.calls / nodes:.1f} statements per node:")
    for statement in logged.by_time()[:SHOWN]:
        print_line(_row(statement, nodes=nodes))


def _row(statement: Statement, *, nodes: int) -> str:
    each = statement.milliseconds / max(1, statement.calls)
    return f"{statement.calls / nodes:6.2f} × {each:7.3f} ms  {statement.text[:130]}"
