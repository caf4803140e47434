"""What a node execution works with."""

import json
from typing import Any

import pytest

from execution.engine.exceptions import InputsInvalidError
from execution.engine.inputs import resolve_inputs
from execution.engine.plan import PlanNode, PlanPin
from tests.execution.engine.sketches import node_id, sketch

TEXT = PlanPin(schema={"type": "string"}, required=True)
NUMBER = PlanPin(schema={"type": "integer"}, has_default=True)
ITEMS = PlanPin(schema={"type": "array", "items": {"type": "integer"}}, has_default=True)
MAPPING = PlanPin(schema={"type": "object", "additionalProperties": {"type": "string"}})


def node(*links: str, constants: dict[str, Any] | None = None, **pins: PlanPin) -> PlanNode:
    return sketch(*links, b={"input_default": constants or {}, "pins": pins}).nodes[node_id("b")]


def test_links_overlay_constants_and_masks_overlay_both() -> None:
    it = node(constants={"x": "constant", "y": "constant", "z": "constant"})

    inputs = resolve_inputs(node=it, delivered={"y": "delivered", "z": "delivered"}, mask={"z": "masked"})

    assert inputs == {"x": "constant", "y": "delivered", "z": "masked"}


def test_a_mask_on_a_base_pin_replaces_its_parts() -> None:
    it = node(constants={"a_#_x": 1, "a": {"w": 0}, "b_#_x": 1})

    inputs = resolve_inputs(node=it, delivered={"a_#_y": 2}, mask={"a": {"z": 3}})

    assert inputs == {"a": {"z": 3}, "b": {"x": 1}, "b_#_x": 1}


def test_a_mask_on_a_part_replaces_that_part() -> None:
    inputs = resolve_inputs(node=node(), delivered={"a_#_x": 1, "a_#_y": 2}, mask={"a_#_y": 3})

    assert inputs["a"] == {"x": 1, "y": 3}


def test_a_pin_that_is_known_under_its_full_name_is_no_part_of_another() -> None:
    pins: dict[str, PlanPin] = {"cost_$_total": NUMBER, "a_#_x": NUMBER}
    it = sketch(b={"pins": pins}).nodes[node_id("b")]

    inputs = resolve_inputs(node=it, delivered={"cost_$_total": "5", "a_#_x": 1}, mask={"cost": 7, "a": {}})

    assert inputs == {"cost_$_total": 5, "a_#_x": 1, "cost": 7, "a": {}}


def test_none_gives_way_to_the_default_of_a_pin_that_has_one() -> None:
    it = node(n=NUMBER, text=TEXT)

    assert resolve_inputs(node=it, delivered={"n": None, "text": None, "free": None}) == {"text": None, "free": None}


def test_masks_of_none_give_way_to_the_default_too() -> None:
    assert resolve_inputs(node=node(n=NUMBER), delivered={"n": 1}, mask={"n": None}) == {}


def test_values_are_coerced_to_the_types_of_their_pins() -> None:
    it = node(constants={"n": "7"}, n=NUMBER, text=TEXT)

    assert resolve_inputs(node=it, delivered={"text": 5, "free": "5"}) == {"n": 7, "text": "5", "free": "5"}


def test_what_is_assembled_from_parts_is_coerced() -> None:
    it = node(items=ITEMS, mapping=MAPPING)

    inputs = resolve_inputs(node=it, delivered={"items_$_1": "2", "mapping_#_k": 5})

    assert inputs["items"] == [None, 2]
    assert inputs["mapping"] == {"k": "5"}
    assert (inputs["items_$_1"], inputs["mapping_#_k"]) == ("2", 5)


def test_parts_are_put_into_a_constant_that_is_json_text() -> None:
    it = node(constants={"items": "[1, 2, 3]", "mapping": '{"a": "A"}'}, items=ITEMS, mapping=MAPPING)

    inputs = resolve_inputs(node=it, delivered={"items_$_1": 9, "mapping_#_b": "B"})

    assert inputs["items"] == [1, 9, 3]
    assert inputs["mapping"] == {"a": "A", "b": "B"}


def test_an_impossible_index_is_an_error_of_the_node_execution() -> None:
    with pytest.raises(InputsInvalidError, match="items_\\$_-1"):
        resolve_inputs(node=node(items=ITEMS), delivered={"items_$_-1": 1})


def test_the_order_in_which_pins_were_filled_does_not_show() -> None:
    it = node("a.p -> b.values_#_first", "a.q -> b.values_#_second", "a.r -> b.values_#_third")
    early = {"values_#_first": 1, "values_#_second": 2, "values_#_third": 3}
    late = dict(reversed(early.items()))

    expected = '{"first": 1, "second": 2, "third": 3}'
    assert json.dumps(resolve_inputs(node=it, delivered=early)["values"]) == expected
    assert json.dumps(resolve_inputs(node=it, delivered=late)["values"]) == expected


def test_the_order_in_which_conflicting_parts_were_filled_does_not_show() -> None:
    it = node("a.p -> b.v_$_0", "a.q -> b.v_#_k")

    by_index_first = resolve_inputs(node=it, delivered={"v_$_0": 1, "v_#_k": 2})
    by_key_first = resolve_inputs(node=it, delivered={"v_#_k": 2, "v_$_0": 1})

    assert by_index_first["v"] == by_key_first["v"] == {"k": 2}


def test_constants_and_delivered_values_are_left_alone() -> None:
    constants, delivered = {"a": {"k": 1}}, {"a_#_j": 2}

    resolve_inputs(node=node(constants=constants), delivered=delivered)

    assert (constants, delivered) == ({"a": {"k": 1}}, {"a_#_j": 2})
