"""Pins inside values, on the source side and on the sink side."""

from typing import Any

import pytest

from execution.engine.exceptions import EngineError, InputsInvalidError
from execution.engine.pins import MAX_LIST_INDEX, NOTHING, assemble, base_pin, has_bad_index, select, split_pin

SINK = "5e1f"


def selected(emitted_pin: str, value: Any, source_name: str) -> Any:
    return select(emitted_pin=emitted_pin, value=value, source_name=source_name, sink_id=SINK, sink_name="query")


@pytest.mark.parametrize(
    ("name", "base", "steps"),
    [
        ("plain", "plain", ()),
        ("snake_case_1", "snake_case_1", ()),
        ("a_$_0", "a", (("$", "0"),)),
        ("a_#_k", "a", (("#", "k"),)),
        ("a_@_k", "a", (("@", "k"),)),
        ("a_$_0_#_k_@_n", "a", (("$", "0"), ("#", "k"), ("@", "n"))),
        ("a_b_#_some key", "a_b", (("#", "some key"),)),
    ],
)
def test_a_name_is_split_into_its_pin_and_the_steps_into_the_value(
    name: str, base: str, steps: tuple[tuple[str, str], ...]
) -> None:
    assert split_pin(name) == (base, steps)
    assert base_pin(name) == base


@pytest.mark.parametrize("value", [1, None, [], {"a": 1}, ""])
def test_the_exact_name_delivers_the_value_as_it_is(value: Any) -> None:
    assert selected("out", value, "out") == value


@pytest.mark.parametrize(
    ("source_name", "value", "expected"),
    [
        ("out_$_0", ["a", "b"], "a"),
        ("out_$_1", ["a", "b"], "b"),
        ("out_$_007", list(range(8)), 7),
        ("out_$_10001", list(range(10_002)), 10_001),
        ("out_$_100000", list(range(100_001)), 100_000),
        ("out_#_k", {"k": 1}, 1),
        ("out_#_0", {"0": "text key"}, "text key"),
        ("out_@_k", {"k": 1}, 1),
        ("out_#_k_$_1_@_n", {"k": [0, {"n": False}]}, False),
        ("out_#_a key", {"a key": 0}, 0),
    ],
)
def test_a_longer_source_name_selects_inside_the_value(source_name: str, value: Any, expected: Any) -> None:
    assert selected("out", value, source_name) == expected


@pytest.mark.parametrize(
    ("source_name", "value"),
    [
        pytest.param("out_$_2", ["a", "b"], id="index out of range"),
        pytest.param("out_$_-1", ["a", "b"], id="negative index"),
        pytest.param("out_$_one", ["a", "b"], id="index that is no number"),
        pytest.param("out_$_1.0", ["a", "b"], id="index that is no whole number"),
        pytest.param("out_$_", ["a", "b"], id="empty index"),
        pytest.param("out_$_²", ["a", "b", "c"], id="index in other digits"),
        pytest.param("out_$_" + "9" * 5000, ["a"], id="endless index"),
        pytest.param("out_$_0", "text", id="index into text"),
        pytest.param("out_$_0", {"0": 1}, id="index into a dictionary"),
        pytest.param("out_#_k", {"other": 1}, id="key that is missing"),
        pytest.param("out_#_0", ["a"], id="key into a list"),
        pytest.param("out_#_k", None, id="key into nothing"),
        pytest.param("out_#_k", {"k": None}, id="None inside"),
        pytest.param("out_@_upper", "text", id="attribute that only Python has"),
        pytest.param("out_#_k_#_j", {"k": 5}, id="key into a number"),
        pytest.param("other", 1, id="another pin"),
        pytest.param("output", 1, id="a pin that begins alike"),
        pytest.param("output_#_k", {"k": 1}, id="a part of a pin that begins alike"),
        pytest.param("ou", {"k": 1}, id="a shorter pin"),
        pytest.param("a_out_#_k", {"k": 1}, id="a pin that ends alike"),
    ],
)
def test_a_selector_that_misses_does_not_deliver(source_name: str, value: Any) -> None:
    assert selected("out", value, source_name) is NOTHING


def test_an_emitted_part_is_the_base_of_longer_names() -> None:
    assert selected("out_#_k", {"j": 1}, "out_#_k_#_j") == 1


@pytest.mark.parametrize("source_name", ["tools", "tools_^_search_~_query"])
def test_a_tool_link_delivers_only_what_was_emitted_for_its_sink_and_pin(source_name: str) -> None:
    assert selected(f"tools_^_{SINK}_~_query", "cats", source_name) == "cats"
    assert selected(f"tools_^_{SINK}_~_query", None, source_name) is None
    assert selected(f"tools_^_{SINK}_~_other", "cats", source_name) is NOTHING
    assert selected("tools_^_another_~_query", "cats", source_name) is NOTHING
    assert selected("tools", "cats", source_name) is NOTHING
    assert selected(source_name, "cats", source_name) is NOTHING


def test_a_link_from_another_pin_does_not_deliver_tool_calls() -> None:
    assert selected(f"tools_^_{SINK}_~_query", "cats", "conversations") is NOTHING


def test_a_pin_whose_name_only_begins_like_tools_is_an_ordinary_pin() -> None:
    assert selected("tools_used", 3, "tools_used") == 3
    assert selected("tools_used", {"k": 3}, "tools_used_#_k") == 3


@pytest.mark.parametrize(
    ("inputs", "base", "expected"),
    [
        ({"a_#_x": 1, "a_#_y": 2}, "a", {"x": 1, "y": 2}),
        ({"a_@_x": 1}, "a", {"x": 1}),
        ({"a_$_0": "p", "a_$_1": "q"}, "a", ["p", "q"]),
        ({"a_$_2": "r"}, "a", [None, None, "r"]),
        ({"a_$_1": "q", "a_$_0": "p"}, "a", ["p", "q"]),
        ({"a_$_0_#_k": 1}, "a", [{"k": 1}]),
        ({"a_$_0_#_k": 1, "a_$_0_#_j": 2}, "a", [{"k": 1, "j": 2}]),
        ({"a_#_k_$_1": 1}, "a", {"k": [None, 1]}),
        ({"a_$_0": None}, "a", [None]),
        ({"a": {"x": 0, "z": 9}, "a_#_x": 1}, "a", {"x": 1, "z": 9}),
        ({"a_#_x": 1, "a": {"x": 0, "z": 9}}, "a", {"x": 1, "z": 9}),
        ({"a": ["p", "q", "r"], "a_$_1": "Q"}, "a", ["p", "Q", "r"]),
        ({"a": None, "a_#_x": 1}, "a", {"x": 1}),
        ({"a": "text", "a_$_0": 1}, "a", [1]),
        ({"a": [1], "a_#_x": 1}, "a", {"x": 1}),
        ({"a_#_k": {"i": 1}, "a_#_k_#_j": 2}, "a", {"k": {"i": 1, "j": 2}}),
        ({"a_#_k_#_j": 2, "a_#_k": {"i": 1}}, "a", {"k": {"i": 1, "j": 2}}),
        ({f"a_$_{MAX_LIST_INDEX}": 1}, "a", [*[None] * MAX_LIST_INDEX, 1]),
    ],
)
def test_parts_are_assembled_into_the_base_value(inputs: dict[str, Any], base: str, expected: Any) -> None:
    assert assemble(inputs)[base] == expected


def test_the_flattened_keys_stay_in_the_inputs() -> None:
    assert assemble({"a_$_0": 1, "b": 2}) == {"a": [1], "a_$_0": 1, "b": 2}


def test_several_pins_are_assembled_side_by_side() -> None:
    assembled = assemble({"a_#_x": 1, "b_$_0": 2, "a_#_y": 3})

    assert (assembled["a"], assembled["b"]) == ({"x": 1, "y": 3}, [2])


@pytest.mark.parametrize("index", ["-1", "one", "1.5", "", " 1", "²", str(MAX_LIST_INDEX + 1), "9" * 5000])
def test_an_index_that_is_none_is_an_error_that_names_the_pin(index: str) -> None:
    with pytest.raises(InputsInvalidError) as caught:
        assemble({f"a_$_{index}": 1, "b_$_0": 2})

    assert caught.value.problems == {f"a_$_{index}": f"“{index}” is not a list index from 0 to {MAX_LIST_INDEX}"}
    assert isinstance(caught.value, EngineError)
    assert has_bad_index(f"a_$_{index}")
    assert has_bad_index(f"a_#_k_$_{index}_@_n")


@pytest.mark.parametrize("name", ["a", "a_#_x", "a_@_-1", f"a_$_{MAX_LIST_INDEX}", "a_#_k_$_0_@_n"])
def test_the_name_alone_tells_that_an_index_is_one(name: str) -> None:
    assert not has_bad_index(name)


def test_every_impossible_index_is_named_at_once() -> None:
    with pytest.raises(InputsInvalidError) as caught:
        assemble({"a_$_x": 1, "b_#_k_$_-2": 2, "c_$_0": 3})

    assert set(caught.value.problems) == {"a_$_x", "b_#_k_$_-2"}
    limit = f"is not a list index from 0 to {MAX_LIST_INDEX}"
    assert str(caught.value) == f"a_$_x: “x” {limit}; b_#_k_$_-2: “-2” {limit}"


def test_assembling_leaves_the_given_values_alone() -> None:
    constant = {"k": [1]}
    inputs = {"a": constant, "a_#_k_$_1": 2, "a_#_j": 3}

    assembled = assemble(inputs)

    assert assembled["a"] == {"k": [1, 2], "j": 3}
    assert constant == {"k": [1]} and inputs["a"] is constant
