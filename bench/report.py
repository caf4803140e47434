"""What is written of the results: `bench/results.json`, and the figures in `docs/performance.md`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.plot import draw_bars
from bench.ratios import GOALS
from bench.results import Measured, Results
from bench.samples import summarize
from bench.statements import StatementLog
from config.local import BASE_DIR

RESULTS: Final = BASE_DIR / "bench" / "results.json"
PAGE: Final = BASE_DIR / "docs" / "performance.md"
PLOT: Final = BASE_DIR / "docs" / "performance.svg"
BEGIN: Final = "<!-- Written by `make bench`: -->"
END: Final = "<!-- until here. -->"
PLOTTED: Final[tuple[str, ...]] = ("chain-40", "chain-400", "fan-100", "fan-1000", "montage-310", "100 runs")
SHOWN_STATEMENTS: Final = 12


def write_results(
    results: Results,
    *,
    suite: str,
    surroundings: Mapping[str, Any],
    ratios: Mapping[str, float],
    statements: Mapping[str, tuple[StatementLog, int]],
) -> None:
    """Write the raw samples, their summaries and the ratios; `statements`: of a workload, and its number of nodes."""
    written = {
        "suite": suite,
        "surroundings": surroundings,
        "ratios": ratios,
        "goals": {goal.name: {"limit": goal.limit, "is_floor": goal.is_floor, "says": goal.says} for goal in GOALS},
        "statements": {name: _statements(log, nodes) for name, (log, nodes) in statements.items()},
        "measured": [measured.as_json() for measured in results.measured],
    }
    RESULTS.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", "utf-8")


def write_page(results: Results, *, suite: str, surroundings: Mapping[str, Any], ratios: Mapping[str, float]) -> None:
    """Put the tables between the marks of the page, and the plot beside it."""
    bars = {
        name: {each.contender: each.per_node for each in results.measured if each.workload == name and each.per_node}
        for name in PLOTTED
        if name in results.workloads()
    }
    PLOT.write_text(draw_bars(bars, title="Milliseconds per node (less is better)"), "utf-8")
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    parts = [_describe(suite, surroundings), ratio_table(ratios), f"![Milliseconds per node]({PLOT.name})"]
    parts += [time_table(results), cost_table(results), other_table(results)]
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}{after}", "utf-8")


def ratio_table(ratios: Mapping[str, float]) -> str:
    """Return the ratios beside what they should be."""
    rows = [
        [
            f"`{goal.name}`",
            goal.says,
            f"{ratios[goal.name]:.2f}",
            f"{'≥' if goal.is_floor else '≤'} {goal.limit:g}",
            "yes" if goal.is_met(ratios[goal.name]) else "**no**",
        ]
        for goal in GOALS
        if goal.name in ratios
    ]
    return _table(["ratio", "what it compares", "seen", "wanted", "met"], rows)


def time_table(results: Results) -> str:
    """Return seconds from trigger to seen end, by workload and contender."""
    contenders = results.contenders()
    timed = [name for name in results.workloads() if (found := results.find(name)) and found.costs]
    rows = [
        [name, *(_show_time(results.find(name, contender)) for contender in contenders), _show_node(results.find(name))]
        for name in timed
    ]
    return _table(["seconds, median (spread)", *contenders, "engine, ms a node"], rows)


def cost_table(results: Results) -> str:
    """Return what a node costs our engine, by workload."""
    found = [each for each in results.measured if each.contender == "engine" and each.costs]
    names = list(dict.fromkeys(name for each in found for name in each.median_costs()))
    rows = [[each.workload, *(_show_number(each.median_costs()[name]) for name in names)] for each in found]
    return _table(["per node, engine", *(name.replace("_", " ") for name in names)], rows)


def other_table(results: Results) -> str:
    """Return what was measured of our engine alone."""
    alone = [each for each in results.measured if not each.costs]
    rows = [[each.workload, _show_value(each), f"{summarize(each.samples).spread:.0%}"] for each in alone]
    return _table(["engine alone", "median", "spread"], rows)


def _describe(suite: str, surroundings: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in surroundings["versions"].items())
    settings = surroundings["postgresql"]
    text = (
        f"`make bench{'' if suite == 'full' else f' BENCH={suite}'}`, {surroundings['at']}, commit"
        f" {surroundings['commit']}: {surroundings['cores']} cores ({surroundings['processor']}), Python"
        f" {surroundings['python']}, PostgreSQL {settings['server_version']} (fsync {settings['fsync']},"
        f" synchronous_commit {settings['synchronous_commit']}), {versions}. Load before:"
        f" {surroundings['load_before']}."
    )
    if surroundings["is_provisional"]:
        text += " **The machine was busy with other work: provisional.**"
    return text


def _statements(log: StatementLog, nodes: int) -> dict[str, Any]:
    shown = [
        {
            "per_node": round(each.calls / nodes, 3),
            "ms": round(each.milliseconds / max(1, each.calls), 3),
            "sql": each.text,
        }
        for each in log.by_time()[:SHOWN_STATEMENTS]
    ]
    return {"per_node": round(log.calls / nodes, 2), "by_time": shown}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _show_time(measured: Measured | None) -> str:
    if measured is None:
        return "–"
    summary = summarize(measured.samples)
    return f"{summary.median:.3f} ({summary.spread:.0%})"


def _show_node(measured: Measured | None) -> str:
    return f"{measured.per_node:.2f}" if measured and measured.per_node else "–"


def _show_value(measured: Measured) -> str:
    median = summarize(measured.samples).median
    if measured.unit == "s":
        return f"{1000 * median:.1f} ms" if median < 1 else f"{median:.2f} s"
    return f"{median:.0f}" if measured.unit == "count" else f"{median:.0f} {measured.unit}"


def _show_number(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"
