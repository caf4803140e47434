"""Names of pins: bases, parts and tools."""

import pytest

from graphs.pins import base_of, find_bad_index, is_tool, part_of, rename_tool_node


@pytest.mark.parametrize(
    ("name", "base", "part"),
    [
        ("values", "values", ""),
        ("values_#_name", "values", "_#_name"),
        ("list_$_0_#_key", "list", "_$_0_#_key"),
        ("object_@_attribute", "object", "_@_attribute"),
        ("with_under_score", "with_under_score", ""),
    ],
)
def test_a_name_has_a_base_and_a_part(name: str, base: str, part: str) -> None:
    assert (base_of(name), part_of(name)) == (base, part)


def test_a_pin_known_under_its_full_name_has_no_parts() -> None:
    assert base_of("odd_#_name", known={"odd_#_name"}) == "odd_#_name"


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("list_$_0", None),
        ("list_$_12_#_x", None),
        ("list_$_x", "x"),
        ("list_$_-1", "-1"),
        ("a_#_b_$_", ""),
        ("a", None),
        ("list_$_10000", None),
        ("list_$_10001", "10001"),
        ("list_$_999999", "999999"),
        ("list_$_000000000007", None),
        ("list_$_0000000000007", "0000000000007"),
    ],
)
def test_a_list_index_is_a_whole_number_of_bounded_size(name: str, bad: str | None) -> None:
    assert find_bad_index(name) == bad


def test_a_pin_known_under_its_full_name_has_no_index() -> None:
    assert find_bad_index("cost_$_total", known={"cost_$_total"}) is None


def test_a_tool_pin_follows_its_sink_to_its_new_id() -> None:
    assert rename_tool_node("tools_^_old_~_pin_name", {"old": "new"}.get) == "tools_^_new_~_pin_name"
    assert rename_tool_node("tools_^_other_~_pin", {"old": "new"}.get) == "tools_^_other_~_pin"
    assert rename_tool_node("result", {"result": "new"}.get) == "result"


def test_tools_are_told_from_other_pins() -> None:
    assert is_tool("tools")
    assert is_tool("tools_^_node_~_pin")
    assert not is_tool("toolset")
