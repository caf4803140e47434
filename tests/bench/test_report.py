"""The tables and the plot that are made of results."""

import re

from bench.plot import draw_bars
from bench.report import cost_table, other_table, ratio_table, time_table
from bench.results import Measured, Results

RESULTS = Results(
    [
        Measured(
            workload="chain-40",
            contender="engine",
            samples=(0.2, 0.3, 0.4),
            nodes=40,
            costs=({"wal_bytes": 1500.0},) * 3,
        ),
        Measured(workload="chain-40", contender="celery", samples=(0.1,), nodes=40, costs=({"wal_bytes": 0.0},)),
        Measured(workload="stop", contender="engine", samples=(0.02,)),
    ]
)


def test_times_stand_side_by_side() -> None:
    assert time_table(RESULTS).splitlines()[2] == "| chain-40 | 0.300 (33%) | 0.100 (0%) | 7.50 |"


def test_costs_are_the_engines() -> None:
    assert cost_table(RESULTS).splitlines()[2:] == ["| chain-40 | 1,500 |"]


def test_what_only_the_engine_does_has_a_table_of_its_own() -> None:
    assert other_table(RESULTS).splitlines()[2:] == ["| stop | 20.0 ms | 0% |"]


def test_a_missed_goal_stands_out() -> None:
    table = ratio_table({"hop_vs_celery": 2.5, "throughput_vs_celery": 0.75})

    assert "| 2.50 | ≤ 2 | **no** |" in table
    assert "| 0.75 | ≥ 0.5 | yes |" in table


def test_the_plot_has_a_bar_per_value_the_longest_for_the_largest() -> None:
    svg = draw_bars({"chain <40>": {"engine": 4.0, "celery": 2.0}, "fan": {"engine": 40.0}}, title="ms & more")

    lengths = [float(width) for width in re.findall(r'width="([\d.]+)" height="13"', svg)]
    assert len(lengths) == 3
    assert lengths[2] > lengths[0] > lengths[1]
