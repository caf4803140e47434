"""Conditions compare numbers as numbers and go exactly one way."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.blocks.conditions import ConditionBlock, IfInputMatchesBlock
from tests.graphs.blocks.running import run_block


def compare(value1: Any, operator: str, value2: Any, **others: Any) -> list[tuple[str, Any]]:
    inputs = {"value1": value1, "operator": operator, "value2": value2, **others}
    return run_block(ConditionBlock(), inputs).outputs


@pytest.mark.parametrize(
    ("value1", "operator", "value2", "holds"),
    [
        (1, "==", 1.0, True),
        ("1", "==", 1, True),
        ("10", ">", "9", True),
        ("a10", ">", "a9", False),
        (" a ", "==", "a", True),
        (3, "<", "1", False),
        (1, "<=", 1, True),
        (1, ">=", 2, False),
        (None, "==", None, True),
        (None, "!=", 0, True),
        ([1], "==", [1], True),
        ("nan", "==", "nan", True),
        ("inf", ">", "a", True),
    ],
)
def test_two_values_are_compared(value1: Any, operator: str, value2: Any, holds: bool) -> None:
    assert compare(value1, operator, value2)[0] == ("result", holds)


def test_without_values_to_emit_the_compared_ones_go_on() -> None:
    assert compare("2", ">", " 1 ") == [("result", True), ("yes_output", 2.0)]
    assert compare("b ", "<", " a ") == [("result", False), ("no_output", "a")]


@pytest.mark.parametrize("value", [0, "", False, []])
def test_a_falsy_value_to_emit_is_emitted(value: Any) -> None:
    assert compare(1, "==", 1, yes_value=value) == [("result", True), ("yes_output", value)]
    assert compare(1, "==", 2, no_value=value) == [("result", False), ("no_output", value)]


@pytest.mark.parametrize(("value1", "value2"), [("a", 1), (None, 1), ({}, {"a": 1}), ([1], 1)])
def test_values_without_an_order_are_an_error(value1: Any, value2: Any) -> None:
    ((pin, text),) = compare(value1, "<", value2)

    assert pin == "error"
    assert "can't compare" in text


@given(
    left=st.integers(-(10**6), 10**6), right=st.integers(-(10**6), 10**6), operator=st.sampled_from(["<", "<=", ">"])
)
def test_numbers_in_text_compare_as_the_numbers_do(left: int, right: int, operator: str) -> None:
    as_text, as_numbers = compare(str(left), operator, str(right)), compare(left, operator, right)

    assert as_text == as_numbers


def match(value: Any, expected: Any) -> list[tuple[str, Any]]:
    return run_block(IfInputMatchesBlock(), {"input": value, "value": expected}).outputs


@pytest.mark.parametrize(
    ("value", "expected"),
    [(10, "10"), ("10", 10), (1.5, "1.5"), (True, "true"), ([1], "[1]"), ({"a": 1}, '{"a": 1}'), (None, None)],
)
def test_the_expected_value_is_taken_as_the_type_of_the_input(value: Any, expected: Any) -> None:
    assert match(value, expected) == [("result", True), ("yes_output", None)]


@pytest.mark.parametrize(("value", "expected"), [(10, "None"), (None, "None"), ("a", None), ("a", "A"), (1.5, 10**400)])
def test_what_does_not_match_goes_the_other_way(value: Any, expected: Any) -> None:
    assert match(value, expected) == [("result", False), ("no_output", None)]
