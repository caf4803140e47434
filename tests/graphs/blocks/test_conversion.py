"""Nearly everything converts to something, and what can't is said."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.blocks.conversion import UniversalTypeConverterBlock, convert
from tests.graphs.blocks.running import run_block

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
TYPES = {"string": str, "number": float, "boolean": bool, "list": list, "dictionary": dict}


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        ("x", "string", "x"),
        (None, "string", "null"),
        ([1, "é"], "string", '[1, "\\u00e9"]'),
        ("2.5", "number", 2.5),
        (" 7 ", "number", 7.0),
        (True, "number", 1.0),
        (None, "number", 0.0),
        ("seven", "number", 0.0),
        ([1, 2, 3], "number", 3.0),
        ({"a": 1}, "number", 1.0),
        ("1", "boolean", True),
        ("True", "boolean", True),
        ("yes", "boolean", False),
        ("", "boolean", False),
        (2, "boolean", True),
        ([], "boolean", False),
        ("a", "list", ["a"]),
        ("[1, 2", "list", ["[1, 2"]),
        ("[1, 2}]", "list", ["[1, 2}]"]),
        ({"a": 1}, "list", [["a", 1]]),
        (5, "list", [5]),
        (None, "list", [None]),
        ("[1]", "dictionary", {"value": [1]}),
        ("a", "dictionary", {"value": "a"}),
        (["x", "y"], "dictionary", {"0": "x", "1": "y"}),
        (None, "dictionary", {"value": None}),
    ],
)
def test_a_value_becomes_another_type(value: Any, wanted: str, expected: Any) -> None:
    ((pin, converted),) = run_block(UniversalTypeConverterBlock(), {"value": value, "type": wanted}).outputs

    assert (pin, converted, type(converted)) == ("value", expected, type(expected))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(10**400, "number"), ("[" * 100_000 + "]" * 100_000, "list"), ('{"a":' * 100_000, "dictionary")],
)
def test_what_can_not_be_converted_is_an_error(value: Any, wanted: str) -> None:
    ((pin, text),) = run_block(UniversalTypeConverterBlock(), {"value": value, "type": wanted}).outputs

    assert pin == "error"
    assert text.startswith("Failed to convert value: ")


@given(value=JSON, wanted=st.sampled_from(sorted(TYPES)))
def test_any_json_becomes_the_wanted_type_and_stays_json(value: Any, wanted: str) -> None:
    ((pin, converted),) = run_block(UniversalTypeConverterBlock(), {"value": value, "type": wanted}).outputs

    if pin == "value":
        assert isinstance(converted, TYPES[wanted])
        json.dumps(converted)
    else:
        assert converted.startswith("Failed to convert value: ")


@given(value=JSON)
def test_a_value_that_has_the_type_is_left_alone(value: Any) -> None:
    assert convert(value, type(value)) is value
