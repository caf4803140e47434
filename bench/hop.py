"""The quickest look: one shape, ours beside Celery's, and what each node asks of the database."""

from collections.abc import Mapping, Sequence
from typing import Final

from bench.contender import Contender
from bench.engine import Engine
from bench.samples import Summary, ratio, summarize
from bench.session import Session, postgres_log
from bench.shapes import Shape
from bench.statements import Statement, StatementLog, statements_logged
from config.supervisor import print_line
from execution.store.sessions import open_session

SHOWN: Final = 25


def compare_hops(session: Session, shape: Shape, *, repeats: int) -> None:
    """Print medians of a shape, their ratio, what a node costs, and the statements of one more run.

    With no repeats only the statements.
    """
    contenders = [each for each in session.contenders if each.can_run(shape)]
    if repeats:
        _compare(session, contenders, shape, repeats=repeats)
    _print_statements(trace(session.engine, shape), nodes=shape.size)


def _compare(session: Session, contenders: Sequence[Contender], shape: Shape, *, repeats: int) -> None:
    samples: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    costs: dict[str, list[Mapping[str, float]]] = {contender.name: [] for contender in contenders}
    for contender in contenders:
        contender.run(shape)  # caches, connections, plans
    for _ in range(repeats):
        for contender in contenders:
            seconds, cost = session.meter(contender).measure(lambda who=contender: who.run(shape))  # type: ignore[misc]
            samples[contender.name].append(seconds)
            costs[contender.name].append(cost.per(shape.size))
    for name, seconds_of in samples.items():
        print_line(f"{name}: {_describe(summarize(seconds_of), nodes=shape.size)}")
        print_line("    per node: " + _describe_costs(costs[name]))
    for peer in samples.keys() - {session.engine.name}:
        print_line(f"engine / {peer}: {ratio(samples[session.engine.name], samples[peer]) or float('nan'):.2f}")


def trace(engine: Engine, shape: Shape) -> StatementLog:
    """Return the statements of one run, which is not timed."""
    with open_session() as own, statements_logged(own, log=postgres_log()) as logged:
        engine.run(shape)
    return logged


def _describe(summary: Summary, *, nodes: int) -> str:
    hop = 1000 / nodes
    return (
        f"{summary.median:.3f} s, {summary.median * hop:.2f} ms a node"
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
