"""What makes two values the same."""

from itertools import combinations
from typing import Any

import pytest

from graphs.blocks.identity import identify_items, index_by_identity
from graphs.exceptions import BlockError

DIFFERENT: list[Any] = [None, 0, 1, "1", True, False, "", [], {}, [[]], [{}], {"a": None}, [0], ["dict"], ["list", []]]


@pytest.mark.parametrize(("one", "other"), combinations(DIFFERENT, 2))
def test_different_values_are_told_apart(one: Any, other: Any) -> None:
    first, second = identify_items([one, other])

    assert first != second


def test_the_first_of_the_same_items_is_kept() -> None:
    assert list(index_by_identity([1, 2, 1.0, [1], [1.0]]).values()) == [1, 2, [1]]


def test_an_item_too_deep_is_an_error() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(BlockError, match="nested too deeply"):
        identify_items([deep])
