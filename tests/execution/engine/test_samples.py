"""Values made from declared types."""

from typing import Any

import pytest

from execution.engine.coercion import coerce
from execution.engine.samples import make_sample


def nested(levels: int, kind: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = (
            {"type": "array", "items": schema} if kind == "array" else {"type": "object", "properties": {"k": schema}}
        )
    return schema


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "sample pin"),
        ({"type": "integer"}, 1),
        ({"type": "number"}, 1.0),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({}, "sample pin"),
        ({"type": "unheard of"}, "sample pin"),
        ({"type": "array"}, ["sample pin"]),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array", "items": True}, ["sample pin"]),
        ({"type": "object"}, {}),
        ({"type": "object", "properties": True}, {}),
        ({"type": "object", "properties": {"n": {"type": "integer"}, "t": {}}}, {"n": 1, "t": "sample t"}),
        ({"type": "string", "enum": ["b", "a"]}, "b"),
        ({"type": "string", "format": "date"}, "2024-01-31"),
        ({"anyOf": [{"type": "string", "format": "time"}, {"type": "null"}]}, "12:00:00"),
        ({"type": "string", "format": "date-time"}, "2024-01-31T12:00:00Z"),
        ({"type": "string", "format": "unheard of"}, "sample pin"),
        ({"type": "string", "format": []}, "sample pin"),
        ({"type": "string", "format": "date", "enum": ["today"]}, "today"),
        ({"type": "string", "enum": []}, "sample pin"),
        ({"const": 7, "type": "string"}, 7),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, 1),
        ({"allOf": [{"type": "boolean"}]}, True),
        ({"anyOf": [{"type": "null"}]}, "sample pin"),
        ({"anyOf": [], "type": "integer"}, 1),
        ({"anyOf": "nonsense", "type": "integer"}, 1),
        ({"anyOf": [True]}, "sample pin"),
        ({"type": ["null", "integer"]}, 1),
        ({"type": ["null"]}, "sample pin"),
        ({"type": []}, "sample pin"),
    ],
)
def test_a_sample_has_the_declared_type(schema: dict[str, Any], expected: Any) -> None:
    sample = make_sample(schema, name="pin")

    assert sample == expected and type(sample) is type(expected)


def test_an_object_inside_alternatives_inside_a_list_keeps_its_names() -> None:
    schema = {"type": "array", "items": {"anyOf": [{"type": "object", "properties": {"title": {"type": "string"}}}]}}

    assert make_sample(schema, name="pin") == [{"title": "sample title"}]


def test_samples_end_at_six_levels() -> None:
    assert make_sample(nested(6, "array"), name="pin") == [[[[[["sample pin"]]]]]]
    assert make_sample(nested(7, "array"), name="pin") == [[[[[[[]]]]]]]
    assert make_sample(nested(6, "object"), name="pin") == {"k": {"k": {"k": {"k": {"k": {"k": "sample k"}}}}}}
    assert make_sample(nested(7, "object"), name="pin") == {"k": {"k": {"k": {"k": {"k": {"k": {}}}}}}}


def test_alternatives_count_as_no_level() -> None:
    assert make_sample({"anyOf": [nested(6, "array")]}, name="pin") == [[[[[["sample pin"]]]]]]
    assert make_sample({"anyOf": [nested(7, "array")]}, name="pin") == [[[[[[[]]]]]]]
    inside = {"type": "array", "items": {"anyOf": [nested(6, "array")]}}
    assert make_sample(inside, name="pin") == [[[[[[[]]]]]]]


@pytest.mark.parametrize("kind", ["string", "integer", "number", "boolean", "array", "object"])
def test_a_sample_needs_no_coercion(kind: str) -> None:
    sample = make_sample({"type": kind}, name="pin")

    assert coerce(sample, {"type": kind}) == sample
