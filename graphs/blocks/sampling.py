"""The block that draws a sample from rows."""

import heapq
import math
import random
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.exceptions import BlockError

Row = dict[Any, Any] | list[Any]

_EXAMPLE_ROWS = [{"id": number, "group": "ab"[number % 2], "weight": number} for number in range(6)]


class SamplingMethod(StrEnum):
    """How the rows of a sample are chosen."""

    RANDOM = "random"
    SYSTEMATIC = "systematic"
    TOP = "top"
    BOTTOM = "bottom"
    STRATIFIED = "stratified"
    WEIGHTED = "weighted"
    RESERVOIR = "reservoir"
    CLUSTER = "cluster"


class DataSamplingInputs(BlockInputs):
    """Rows, and how to choose among them."""

    data: dict[str, Any] | list[dict[Any, Any] | list[Any]] = Field(
        description="The rows to sample from, each a dictionary or a list; or a single dictionary."
    )
    sample_size: int = Field(default=10, description="How many rows to take.")
    sampling_method: SamplingMethod = Field(
        default=SamplingMethod.RANDOM,
        description="random: any rows; systematic: every n-th row; top and bottom: the first and the last rows; "
        "stratified: as many of each group as is its share; weighted: heavier rows rather, the same row may come "
        "again; reservoir: any rows, in one pass; cluster: whole groups.",
    )
    accumulate: bool = Field(default=False, description="Whether too few rows give no sample instead of an error.")
    random_seed: int | None = Field(
        default=None, description="With the same seed and the same data, the sample is the same in every run."
    )
    stratify_key: str | None = Field(default=None, description="The key that groups the rows of a stratified sample.")
    weight_key: str | None = Field(default=None, description="The key of the weights of a weighted sample.")
    cluster_key: str | None = Field(default=None, description="The key that groups the rows of a cluster sample.")


class DataSamplingOutputs(BlockOutputs):
    """The sample."""

    sampled_data: list[dict[Any, Any] | list[Any]] = Field(description="The rows of the sample.")
    sample_indices: list[int] = Field(description="Where each of them is in the data, counted from 0.")


class DataSamplingBlock(Block[DataSamplingInputs]):
    """Draws a sample. Without a seed, each node execution draws another one, and each attempt at it the same."""

    id = "4a448883-71fa-49cf-91cf-70d793bd7d87"
    name = "DataSamplingBlock"
    description = "Takes a sample of rows by one of eight methods."
    Inputs = DataSamplingInputs
    Outputs = DataSamplingOutputs
    examples = (
        Example(
            inputs={"data": _EXAMPLE_ROWS, "sample_size": 2, "sampling_method": "bottom"},
            outputs=(("sampled_data", _EXAMPLE_ROWS[4:]), ("sample_indices", [4, 5])),
        ),
        Example(
            inputs={"data": [[1], [2], [3]], "sample_size": 2},
            outputs=(
                ("sampled_data", lambda rows: len(rows) == 2 and all(row in [[1], [2], [3]] for row in rows)),
                ("sample_indices", lambda indices: len(set(indices)) == 2),
            ),
        ),
        Example(
            inputs={
                "data": _EXAMPLE_ROWS,
                "sample_size": 4,
                "sampling_method": "stratified",
                "stratify_key": "group",
                "random_seed": 1,
            },
            outputs=(
                ("sampled_data", lambda rows: sorted(row["group"] for row in rows) == ["a", "a", "b", "b"]),
                ("sample_indices", lambda indices: [index % 2 for index in indices] == [0, 0, 1, 1]),
            ),
        ),
        Example(
            inputs={"data": {"id": 1}, "sample_size": 2},
            outputs=(("error", "Sample size (2) cannot be larger than the dataset size (1)."),),
        ),
        Example(inputs={"data": {"id": 1}, "sample_size": 2, "accumulate": True}, outputs=()),
    )

    def run(self, inputs: DataSamplingInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the rows of the sample, then their indices."""
        rows: list[Row] = [inputs.data] if isinstance(inputs.data, dict) else inputs.data
        if inputs.accumulate and len(rows) < inputs.sample_size:
            return
        _check_size(inputs.sample_size, available=len(rows))
        generator = context.random if inputs.random_seed is None else _seed(inputs.random_seed)
        indices = _METHODS[inputs.sampling_method](rows, inputs, generator)
        yield "sampled_data", [rows[index] for index in indices]
        yield "sample_indices", indices


def _seed(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - not for secrets


def _check_size(size: int, *, available: int) -> None:
    if size < 1:
        raise BlockError(f"Sample size must be at least 1, not {size}.")
    if size > available:
        raise BlockError(f"Sample size ({size}) cannot be larger than the dataset size ({available}).")


def _draw_random(rows: list[Row], inputs: DataSamplingInputs, generator: random.Random) -> list[int]:
    return generator.sample(range(len(rows)), inputs.sample_size)


def _draw_systematic(rows: list[Row], inputs: DataSamplingInputs, generator: random.Random) -> list[int]:
    step = len(rows) // inputs.sample_size
    start = generator.randrange(step)
    return list(range(start, len(rows), step))[: inputs.sample_size]


def _take_top(_: list[Row], inputs: DataSamplingInputs, __: random.Random) -> list[int]:
    return list(range(inputs.sample_size))


def _take_bottom(rows: list[Row], inputs: DataSamplingInputs, _: random.Random) -> list[int]:
    return list(range(len(rows) - inputs.sample_size, len(rows)))


def _draw_stratified(rows: list[Row], inputs: DataSamplingInputs, generator: random.Random) -> list[int]:
    strata = list(_group(rows, inputs.stratify_key, purpose="stratify").values())
    sizes = _share_out(inputs.sample_size, [len(stratum) for stratum in strata])
    return [index for stratum, size in zip(strata, sizes, strict=True) for index in generator.sample(stratum, size)]


def _draw_weighted(rows: list[Row], inputs: DataSamplingInputs, generator: random.Random) -> list[int]:
    weights = [_read_weight(value) for value in _read_key(rows, inputs.weight_key, purpose="weight")]
    total = sum(weights)
    if not 0 < total < math.inf:
        raise BlockError("The weights must have a finite sum above 0.")
    return generator.choices(range(len(rows)), weights=weights, k=inputs.sample_size)


def _draw_from_reservoir(rows: list[Row], inputs: DataSamplingInputs, generator: random.Random) -> list[int]:
    indices = list(range(inputs.sample_size))
    for index in range(inputs.sample_size, len(rows)):
        place = generator.randrange(index + 1)
        if place < inputs.sample_size:
            indices[place] = index
    return indices


def _draw_clusters(rows: list[Row], inputs: DataSamplingInputs, generator: random.Random) -> list[int]:
    clusters = list(_group(rows, inputs.cluster_key, purpose="cluster").values())
    indices: list[int] = []
    while len(indices) < inputs.sample_size:
        indices += clusters.pop(generator.randrange(len(clusters)))
    if len(indices) > inputs.sample_size:
        return generator.sample(indices, inputs.sample_size)
    return indices


_METHODS: Mapping[SamplingMethod, Callable[[list[Row], DataSamplingInputs, random.Random], list[int]]] = {
    SamplingMethod.RANDOM: _draw_random,
    SamplingMethod.SYSTEMATIC: _draw_systematic,
    SamplingMethod.TOP: _take_top,
    SamplingMethod.BOTTOM: _take_bottom,
    SamplingMethod.STRATIFIED: _draw_stratified,
    SamplingMethod.WEIGHTED: _draw_weighted,
    SamplingMethod.RESERVOIR: _draw_from_reservoir,
    SamplingMethod.CLUSTER: _draw_clusters,
}


def _group(rows: list[Row], key: str | None, *, purpose: str) -> dict[str, list[int]]:
    """Return the indices of the rows by what they have under the key, groups in order of appearance."""
    groups: dict[str, list[int]] = {}
    for index, value in enumerate(_read_key(rows, key, purpose=purpose)):
        groups.setdefault(_name_group(value), []).append(index)
    return groups


def _name_group(value: Any) -> str:
    try:
        return str(value)
    except RecursionError:
        raise BlockError("A row is nested too deeply to be grouped.") from None


def _read_key(rows: list[Row], key: str | None, *, purpose: str) -> list[Any]:
    if not key:
        raise BlockError(f"{purpose}_key must be set for this sampling method.")
    values = [row.get(key) if isinstance(row, dict) else None for row in rows]
    if None in values:
        raise BlockError(f"Row {values.index(None)} has no value under the {purpose}_key '{key}'.")
    return values


def _read_weight(value: Any) -> float:
    try:
        weight = float(value)
    except (TypeError, ValueError, OverflowError):
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise BlockError(f"The weight {str(value)[:50]!r} is not a number of 0 or more.")
    return weight


def _share_out(sample_size: int, stratum_sizes: list[int]) -> list[int]:
    """Return how many rows to take of each stratum: its share, at least one, and `sample_size` in all.

    What rounding leaves over or lacks is made up by the largest, one by one; if there are more strata than rows to
    take, the first strata go without.
    """
    rows = sum(stratum_sizes)
    sizes = [max(1, size * sample_size // rows) for size in stratum_sizes]
    difference = sample_size - sum(sizes)
    step = 1 if difference > 0 else -1
    largest = [(-size, place) for place, size in enumerate(sizes) if step < 0 or size < stratum_sizes[place]]
    heapq.heapify(largest)
    for _ in range(abs(difference)):
        _, place = heapq.heappop(largest)
        sizes[place] += step
        if step < 0 or sizes[place] < stratum_sizes[place]:
            heapq.heappush(largest, (-sizes[place], place))
    return sizes
