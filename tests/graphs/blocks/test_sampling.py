"""Samples have the size they were asked for, agree with their indices, and come again with the same seed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.blocks.sampling import DataSamplingBlock, SamplingMethod
from tests.graphs.blocks.context import make_context
from tests.graphs.blocks.running import run_block

METHODS = st.sampled_from(list(SamplingMethod))
WITHOUT_REPEATS = st.sampled_from([method for method in SamplingMethod if method is not SamplingMethod.WEIGHTED])


def make_rows(groups: list[int]) -> list[dict[str, Any]]:
    return [{"id": number, "group": group, "weight": 1 + group} for number, group in enumerate(groups)]


def sample(data: Any, size: int, method: str = "random", **inputs: Any) -> dict[str, Any]:
    keys = {"stratify_key": "group", "weight_key": "weight", "cluster_key": "group"}
    wanted = {"data": data, "sample_size": size, "sampling_method": method, **keys, **inputs}
    return dict(run_block(DataSamplingBlock(), wanted).outputs)


@given(
    groups=st.lists(st.integers(0, 4), min_size=1, max_size=20),
    share=st.floats(0, 1),
    method=METHODS,
    seed=st.one_of(st.none(), st.integers()),
)
def test_a_sample_has_its_size_and_its_indices_and_comes_again(
    groups: list[int], share: float, method: SamplingMethod, seed: int | None
) -> None:
    rows = make_rows(groups)
    size = max(1, round(share * len(rows)))

    drawn = sample(rows, size, method, random_seed=seed)

    assert len(drawn["sample_indices"]) == size
    assert [row["id"] for row in drawn["sampled_data"]] == drawn["sample_indices"]
    assert drawn == sample(rows, size, method, random_seed=seed)


@given(groups=st.lists(st.integers(0, 4), min_size=1, max_size=20), share=st.floats(0, 1), method=WITHOUT_REPEATS)
def test_no_row_comes_twice_unless_it_is_drawn_by_weight(
    groups: list[int], share: float, method: SamplingMethod
) -> None:
    size = max(1, round(share * len(groups)))

    indices = sample(make_rows(groups), size, method)["sample_indices"]

    assert len(set(indices)) == size


@given(groups=st.lists(st.integers(0, 4), min_size=1, max_size=20), extra=st.integers(0, 15))
def test_every_stratum_is_in_a_stratified_sample_that_is_large_enough(groups: list[int], extra: int) -> None:
    size = min(len(groups), len(set(groups)) + extra)

    drawn = sample(make_rows(groups), size, "stratified")["sampled_data"]

    assert {row["group"] for row in drawn} == set(groups)


def test_strata_keep_their_shares() -> None:
    drawn = sample(make_rows([0] * 60 + [1] * 30 + [2] * 10), 10, "stratified")["sampled_data"]

    assert [row["group"] for row in drawn] == [0] * 6 + [1] * 3 + [2]


def test_a_systematic_sample_takes_every_nth_row() -> None:
    indices = sample(make_rows([0] * 10), 3, "systematic")["sample_indices"]

    assert indices in ([0, 3, 6], [1, 4, 7], [2, 5, 8])


def test_a_row_without_weight_is_never_drawn() -> None:
    rows = [{"weight": 0}, {"weight": "2.5"}, {"weight": 0}]

    assert sample(rows, 3, "weighted")["sample_indices"] == [1, 1, 1]


def test_a_cluster_sample_takes_whole_groups_before_another_one() -> None:
    drawn = sample(make_rows([0, 1, 2] * 4), 8, "cluster")["sampled_data"]

    groups = [row["group"] for row in drawn]
    assert sorted(groups.count(group) for group in set(groups)) == [4, 4]


@pytest.mark.parametrize("method", ["random", "reservoir", "systematic", "cluster", "weighted"])
def test_another_seed_draws_another_sample(method: str) -> None:
    rows = make_rows(list(range(50)))

    drawn = {tuple(sample(rows, 5, method, random_seed=seed)["sample_indices"]) for seed in range(20)}

    assert len(drawn) > 1


def test_without_a_seed_the_node_execution_decides() -> None:
    rows = make_rows([0] * 100)
    inputs = {"data": rows, "sample_size": 5}

    drawn = [run_block(DataSamplingBlock(), inputs, context=make_context()).outputs for _ in range(2)]

    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("size", [0, -1])
def test_a_sample_of_nothing_is_an_error(size: int) -> None:
    assert sample([[1]], size) == {"error": f"Sample size must be at least 1, not {size}."}


@pytest.mark.parametrize(
    ("method", "key"), [("stratified", "stratify_key"), ("weighted", "weight_key"), ("cluster", "cluster_key")]
)
@pytest.mark.parametrize("rows", [[{"other": 1}], [{"nowhere": None}], [[1]]])
def test_a_key_that_a_row_lacks_is_an_error(method: str, key: str, rows: list[Any]) -> None:
    assert sample(rows, 1, method, **{key: "nowhere"}) == {"error": f"Row 0 has no value under the {key} 'nowhere'."}
    assert sample(rows, 1, method, **{key: None}) == {"error": f"{key} must be set for this sampling method."}


@pytest.mark.parametrize("weight", [-1, "heavy", "nan", "inf", [], 10**400])
def test_a_weight_that_is_no_number_is_an_error(weight: Any) -> None:
    assert "is not a number of 0 or more" in sample([{"weight": weight}], 1, "weighted")["error"]


@pytest.mark.parametrize("weights", [[0, 0], [1e308, 1e308]])
def test_weights_without_a_finite_sum_above_zero_are_an_error(weights: list[float]) -> None:
    rows = [{"weight": weight} for weight in weights]

    assert sample(rows, 1, "weighted") == {"error": "The weights must have a finite sum above 0."}


@pytest.mark.parametrize("method", ["stratified", "cluster"])
def test_a_group_for_every_row_is_no_trap(method: str) -> None:
    rows = make_rows(list(range(20_000)))

    assert len(sample(rows, 10_000, method)["sample_indices"]) == 10_000
