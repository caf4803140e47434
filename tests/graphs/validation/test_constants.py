"""A constant fits a pin if it can be brought to the pin's type."""

from typing import Any

import pytest

from graphs.validation.constants import explain_misfit

NUMBERS = {"type": "array", "items": {"type": "number"}}
OPTIONAL_NUMBER = {"anyOf": [{"type": "number"}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (None, {"type": "number"}),
        ("5", {"type": "number"}),
        (" 5.5 ", {"type": "number"}),
        ("5", {"type": "integer"}),
        (5, {"type": "string"}),
        ([1], {"type": "string"}),
        ("yes", {"type": "boolean"}),
        (0, {"type": "boolean"}),
        ("[1, 2]", NUMBERS),
        (["1", 2], NUMBERS),
        ("7", NUMBERS),
        ('{"a": 1}', {"type": "object"}),
        ({"a": "1"}, {"type": "object", "additionalProperties": {"type": "number"}}),
        ("Add", {"enum": ["Add", "Subtract"]}),
        ("5", OPTIONAL_NUMBER),
        ("anything", {}),
        (3, {"type": ["integer", "string"]}),
        (10, {"type": "integer", "maximum": 10, "minimum": 10}),
    ],
)
def test_a_value_fits(value: Any, schema: dict[str, Any]) -> None:
    assert explain_misfit(value, schema) is None


@pytest.mark.parametrize(
    ("value", "schema", "told"),
    [
        ("five", {"type": "number"}, "must be a number"),
        ("inf", {"type": "integer"}, "must be a whole number"),
        ({}, OPTIONAL_NUMBER, "must be a number"),
        ("maybe", {"type": "boolean"}, "must be true or false"),
        ("[1, 2", {"type": "object"}, "must be an object"),
        (["x"], NUMBERS, "must be a list whose item 0 must be a number"),
        ("Divide", {"enum": ["Add", "Subtract"]}, "must be one of “Add”, “Subtract”"),
        (11, {"type": "integer", "maximum": 10}, "must be at most 10"),
        ("0", {"type": "integer", "exclusiveMinimum": 0}, "must be more than 0"),
        ("", {"type": "string", "minLength": 1}, "must have at least 1 characters"),
        ([1, 2], {"type": "array", "maxItems": 1}, "must have at most 1 items"),
        ({"a": "x"}, {"type": "object", "properties": {"a": {"type": "number"}}}, "must be an object whose “a”"),
        ({}, {"type": "object", "required": ["a"]}, "must be an object with “a”"),
    ],
)
def test_a_value_that_does_not_fit_is_explained(value: Any, schema: dict[str, Any], told: str) -> None:
    explanation = explain_misfit(value, schema)

    assert explanation is not None
    assert explanation.startswith(told)
