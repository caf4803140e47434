"""The table of conversions: what a pin's type makes of a value, and what it leaves alone."""

from typing import Any

import pytest

from execution.engine.coercion import coerce

BIG = 10**5000
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]

STRING, INTEGER, NUMBER, BOOLEAN = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))
ARRAY, OBJECT, NULL = ({"type": kind} for kind in ("array", "object", "null"))
INTEGERS = {"type": "array", "items": INTEGER}
TEXTS_BY_KEY = {"type": "object", "additionalProperties": STRING}


def same(value: Any, expected: Any) -> bool:
    """Whether both are equal and of one type, all the way down: 1, 1.0 and True are three things here."""
    if isinstance(value, list) and isinstance(expected, list):
        return len(value) == len(expected) and all(same(*pair) for pair in zip(value, expected, strict=True))
    if isinstance(value, dict) and isinstance(expected, dict):
        return value.keys() == expected.keys() and all(same(value[key], expected[key]) for key in value)
    return type(value) is type(expected) and bool(value == expected)


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (STRING, "5", "5"),
        (STRING, 5, "5"),
        (STRING, 5.0, "5.0"),
        (STRING, True, "true"),
        (STRING, ["ä", 1], '["ä", 1]'),
        (STRING, {"k": None}, '{"k": null}'),
        (INTEGER, 5, 5),
        (INTEGER, "5", 5),
        (INTEGER, " -5\n", -5),
        (INTEGER, "5.7", 5),
        (INTEGER, 5.7, 5),
        (INTEGER, -5.7, -5),
        (INTEGER, "1e3", 1000),
        (INTEGER, "9" * 400, int("9" * 400)),
        (NUMBER, 5, 5),
        (NUMBER, 5.5, 5.5),
        (NUMBER, "5", 5),
        (NUMBER, "5.5", 5.5),
        (NUMBER, " 1e3 ", 1000.0),
        (BOOLEAN, True, True),
        (BOOLEAN, "true", True),
        (BOOLEAN, " YES ", True),
        (BOOLEAN, "on", True),
        (BOOLEAN, "1", True),
        (BOOLEAN, "False", False),
        (BOOLEAN, "no", False),
        (BOOLEAN, "off", False),
        (BOOLEAN, "0", False),
        (BOOLEAN, "", False),
        (BOOLEAN, 1, True),
        (BOOLEAN, 0, False),
        (BOOLEAN, 2, True),
        (BOOLEAN, 1.0, True),
        (BOOLEAN, -0.0, False),
        (ARRAY, [1, "a"], [1, "a"]),
        (ARRAY, "[1, 2]", [1, 2]),
        (ARRAY, "a, b", ["a, b"]),
        (ARRAY, "5", ["5"]),
        (ARRAY, '{"k": 1}', ['{"k": 1}']),
        (ARRAY, 5, [5]),
        (ARRAY, False, [False]),
        (ARRAY, {"k": 1}, [{"k": 1}]),
        (INTEGERS, '["1", 2.9]', [1, 2]),
        (INTEGERS, "7", [7]),
        (INTEGERS, ["x", None], ["x", None]),
        ({"type": "array", "items": INTEGERS}, "[[1], 2]", [[1], [2]]),
        ({"type": "array", "items": {}}, ["1"], ["1"]),
        ({"type": "array", "items": True}, ["1"], ["1"]),
        (OBJECT, {"k": 1}, {"k": 1}),
        (OBJECT, '{"k": 1}', {"k": 1}),
        (TEXTS_BY_KEY, {"k": 1, "j": "a"}, {"k": "1", "j": "a"}),
        (TEXTS_BY_KEY, '{"k": 1}', {"k": "1"}),
        ({"type": "object", "additionalProperties": False}, {"k": 1}, {"k": 1}),
        ({"type": "object", "additionalProperties": True}, {"k": 1}, {"k": 1}),
        ({"type": "object", "additionalProperties": {}}, {"k": 1}, {"k": 1}),
    ],
)
def test_a_value_becomes_what_the_pin_wants(schema: dict[str, Any], value: Any, expected: Any) -> None:
    assert same(coerce(value, schema), expected)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (INTEGER, "five"),
        (INTEGER, ""),
        (INTEGER, "nan"),
        (INTEGER, "1e999"),
        (INTEGER, "9" * 401),
        (INTEGER, "1_000"),
        (INTEGER, float("inf")),
        (INTEGER, [1]),
        (NUMBER, "five"),
        (NUMBER, " "),
        (NUMBER, "inf"),
        (NUMBER, "-Infinity"),
        (NUMBER, "1_000.5"),
        (NUMBER, [1]),
        (BOOLEAN, "maybe"),
        (BOOLEAN, 0.5),
        (BOOLEAN, float("nan")),
        (BOOLEAN, 2.0),
        (BOOLEAN, [1]),
        (OBJECT, "text"),
        (OBJECT, "[1]"),
        (OBJECT, '{"k": NaN}'),
        (OBJECT, "{" * 100_000),
        (OBJECT, [1]),
        (OBJECT, 5),
        (NULL, 5),
        (STRING, BIG),
        (STRING, DEEP),
        ({}, "5"),
        ({"type": "unheard of"}, "5"),
        ({"type": 5}, "5"),
        ({"type": {}}, "5"),
        ({"anyOf": 5}, "5"),
        ({"anyOf": []}, "5"),
        ({"anyOf": [True, 5]}, "5"),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, int | list) else type(value).__name__,
)
def test_what_cannot_be_brought_to_the_type_stays_and_fails_validation_later(
    schema: dict[str, Any], value: Any
) -> None:
    assert coerce(value, schema) is value


@pytest.mark.parametrize("text", ["[NaN]", "[-Infinity]", "[" * 100_000, "[1"])
def test_text_that_is_no_json_list_is_wrapped(text: str) -> None:
    assert coerce(text, ARRAY) == [text]


@pytest.mark.parametrize("schema", [STRING, INTEGER, NUMBER, BOOLEAN, ARRAY, OBJECT, NULL, {"anyOf": [STRING]}])
def test_none_stays_none(schema: dict[str, Any]) -> None:
    assert coerce(None, schema) is None


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"anyOf": [INTEGER, NULL]}, "5", 5),
        ({"oneOf": [INTEGER, NULL]}, "5", 5),
        ({"type": ["integer", "null"]}, "5", 5),
        ({"anyOf": [INTEGER, STRING]}, "5", "5"),
        ({"anyOf": [INTEGER, STRING]}, 5, 5),
        ({"anyOf": [INTEGER, STRING]}, [5], "[5]"),
        ({"anyOf": [NUMBER, BOOLEAN]}, True, True),
        ({"anyOf": [BOOLEAN, INTEGER]}, 1, 1),
        ({"anyOf": [INTEGER, BOOLEAN]}, "yes", True),
        ({"anyOf": [INTEGERS, NULL]}, "[1]", [1]),
        ({"anyOf": [INTEGERS, STRING]}, ["1"], [1]),
        ({"anyOf": [{"$ref": "#/elsewhere"}, INTEGER]}, "5", "5"),
        ({"anyOf": [{"type": ["string", "null"]}, INTEGER]}, "5", "5"),
        ({"anyOf": [{"type": ["integer", "null"]}, BOOLEAN]}, "5", 5),
        ({"anyOf": [{"type": ["boolean", "null"]}, INTEGER]}, "5", 5),
        ({"anyOf": [INTEGER, NULL]}, "five", "five"),
        ({"type": ["array", "object"]}, '{"k": 1}', ['{"k": 1}']),
        ({"type": ["array"], "items": INTEGER}, ["1"], [1]),
        ({"anyOf": [{"type": "unheard of"}, INTEGER]}, "5", 5),
    ],
)
def test_of_several_types_one_that_the_value_has_wins_then_the_first_it_can_be_brought_to(
    schema: dict[str, Any], value: Any, expected: Any
) -> None:
    assert same(coerce(value, schema), expected)


def test_coercion_leaves_the_given_value_alone() -> None:
    value = {"k": 1}

    coerce(value, TEXTS_BY_KEY)

    assert value == {"k": 1}
