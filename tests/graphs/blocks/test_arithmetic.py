"""The calculator always has a result, at once; the counter always has a number."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.blocks.arithmetic import CalculatorBlock, CountItemsBlock, Operation
from tests.graphs.blocks.running import run_block


def calculate(operation: str, a: Any, b: Any, *, round_result: bool = False) -> Any:
    inputs = {"operation": operation, "a": a, "b": b, "round_result": round_result}
    ((pin, result),) = run_block(CalculatorBlock(), inputs).outputs
    assert pin == "result"
    return result


@pytest.mark.parametrize(
    ("operation", "a", "b", "expected"),
    [
        ("Add", 7, 34, 41.0),
        ("Add", "7", "34", 41.0),
        ("Subtract", 1, 2.5, -1.5),
        ("Multiply", 1e200, 1e200, math.inf),
        ("Divide", 1, 4, 0.25),
        ("Divide", 1, 0, math.inf),
        ("Divide", -1, 0, math.inf),
        ("Divide", 0, 0, math.inf),
        ("Power", 2, 10, 1024.0),
        ("Power", 0, -1, math.inf),
    ],
)
def test_a_calculation_has_its_result(operation: str, a: Any, b: Any, expected: float) -> None:
    assert calculate(operation, a, b) == expected


@pytest.mark.parametrize(("a", "b"), [(10, 10**10), (-8, 0.5)])
def test_a_power_that_has_no_number_is_nan_at_once(a: float, b: float) -> None:
    assert math.isnan(calculate("Power", a, b))


@pytest.mark.parametrize(("a", "expected"), [(2.4, 2), (2.6, 3), (2.5, 2), (-2.6, -3)])
def test_rounding_gives_a_whole_number(a: float, expected: int) -> None:
    rounded = calculate("Add", a, 0, round_result=True)

    assert (rounded, type(rounded)) == (expected, int)


def test_infinity_can_not_be_rounded() -> None:
    assert math.isnan(calculate("Multiply", 1e200, 1e200, round_result=True))
    assert calculate("Divide", 1, 0, round_result=True) == math.inf


@given(operation=st.sampled_from(Operation), a=st.floats(), b=st.floats(), round_result=st.booleans())
def test_every_calculation_has_a_number(operation: Operation, a: float, b: float, round_result: bool) -> None:
    assert isinstance(calculate(operation.value, a, b, round_result=round_result), int | float)


@pytest.mark.parametrize(
    ("collection", "count"),
    [([], 0), ([1, None], 2), ({"a": 1}, 1), ("", 0), ("four", 4), (5, -1), (None, -1), (True, -1)],
)
def test_items_are_counted(collection: Any, count: int) -> None:
    assert run_block(CountItemsBlock(), {"collection": collection}).outputs == [("count", count)]
