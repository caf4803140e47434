"""The ratios that tell whether the engine is fast, from what was measured."""

from bench.ratios import GOALS, compute_ratios
from bench.results import Measured, Results


def seconds(workload: str, contender: str, *samples: float, nodes: int = 0) -> Measured:
    return Measured(workload=workload, contender=contender, samples=samples, nodes=nodes)


def test_the_worse_of_both_chains_is_told() -> None:
    results = Results(
        [
            seconds("chain-40", "engine", 0.3, nodes=40),
            seconds("chain-40", "celery", 0.1, nodes=40),
            seconds("chain-400", "engine", 2.0, nodes=400),
            seconds("chain-400", "celery", 1.0, nodes=400),
        ]
    )

    assert compute_ratios(results)["hop_vs_celery"] == 3.0


def test_throughput_is_tasks_per_second_not_seconds() -> None:
    results = Results([seconds("100 runs", "engine", 4.0), seconds("100 runs", "celery", 1.0)])

    assert compute_ratios(results)["throughput_vs_celery"] == 0.25


def test_growth_compares_what_a_node_takes_in_the_dearest_and_the_cheapest_size() -> None:
    results = Results(
        [
            seconds("montage-58", "engine", 0.058, nodes=58),
            seconds("montage-310", "engine", 0.62, nodes=310),
            seconds("montage-4991", "engine", 7.4865, nodes=4991),
        ]
    )

    assert compute_ratios(results)["cost_per_node_growth"] == 2.0


def test_a_latency_is_told_in_hops_by_a_message() -> None:
    results = Results([seconds("hop by message", "engine", 0.005), seconds("first of a stream", "engine", 0.01)])

    assert compute_ratios(results)["stream_vs_hop"] == 2.0


def test_what_was_not_measured_is_left_out() -> None:
    assert compute_ratios(Results()) == {}


def test_a_goal_may_be_a_floor_or_a_ceiling() -> None:
    goals = {goal.name: goal for goal in GOALS}

    assert goals["throughput_vs_celery"].is_met(0.6) and not goals["throughput_vs_celery"].is_met(0.4)
    assert goals["hop_vs_celery"].is_met(1.9) and not goals["hop_vs_celery"].is_met(2.1)
