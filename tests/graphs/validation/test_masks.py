"""Masks that fit nothing are told, not swallowed."""

from typing import Any
from uuid import UUID

import pytest

from graphs.document import GraphDocument
from graphs.validation import problems_for_run
from tests.graphs.building import (
    AGENT,
    COMBINE_TEXTS,
    FILL_TEXT_TEMPLATE,
    INPUT,
    INTERFACES,
    NOBODY_KNOWS,
    make_id,
    make_node,
)

IN = make_node("in", INPUT, name="Input")
FILL = make_node("fill", FILL_TEXT_TEMPLATE, format="x", values={})
BELOW = GraphDocument(name="Below", nodes=(IN,))

either_way = pytest.mark.parametrize("simulate", [False, True])


def check(*nodes: Any, simulate: bool, masks: Any = frozenset(), **options: Any) -> dict[str, set[str]]:
    """Return the fields with problems, by node."""
    document = GraphDocument(name="Graph", nodes=nodes)
    problems = problems_for_run(document, masks=masks, simulate=simulate, find=INTERFACES.get, **options)
    return {str(node): set(fields) for node, fields in problems.items()}


@either_way
def test_a_masked_node_that_the_graph_does_not_have_is_told(*, simulate: bool) -> None:
    gone = make_id("gone")

    assert check(IN, simulate=simulate, masks={gone: {"value": 1}}) == {str(gone): {"nodes_input_masks"}}


@either_way
def test_a_masked_pin_that_its_node_does_not_have_is_told(*, simulate: bool) -> None:
    masks = {FILL.id: {"value": 1, "format": "y", "values_#_a": 2, "formats_#_a": 3}}

    assert check(IN, FILL, simulate=simulate, masks=masks) == {str(FILL.id): {"value", "formats_#_a"}}


@either_way
def test_a_masked_part_needs_an_index_that_a_list_can_have(*, simulate: bool) -> None:
    join = make_node("join", COMBINE_TEXTS, input=[])

    masks = {join.id: {"input_$_0": "a", "input_$_x": "b", "input_$_999999": "c"}}
    assert check(IN, join, simulate=simulate, masks=masks) == {str(join.id): {"input_$_x", "input_$_999999"}}


def test_of_a_block_that_nobody_knows_any_pin_may_be_masked() -> None:
    odd = make_node("odd", NOBODY_KNOWS)

    assert check(odd, simulate=True, masks={odd.id: {"anything": 1}}) == {}


def ask(masks: Any) -> Any:
    schema: dict[str, Any] = {"properties": {"Input": {}, "cost_$_total": {}}}
    return make_node(
        "ask", AGENT, graph_id=str(make_id("below")), graph_version=1, input_schema=schema, nodes_input_masks=masks
    )


def find_graph(graph_id: UUID, version: int) -> GraphDocument | None:
    return BELOW if (graph_id, version) == (make_id("below"), 1) else None


@either_way
def test_an_agents_pins_may_be_masked_under_their_full_names(*, simulate: bool) -> None:
    node = ask(None)

    masks = {node.id: {"Input": 1, "cost_$_total": 2, "Other": 3}}
    assert check(node, simulate=simulate, masks=masks) == {str(node.id): {"Other"}}


@either_way
@pytest.mark.parametrize(
    "masks",
    [
        [],
        "text",
        {"in": {"value": 1}},
        {str(IN.id): 1},
        {str(IN.id): ["value"]},
        {str(make_id("gone")): {"value": 1}},
        {str(IN.id): {"values": 1}},
    ],
)
def test_an_agents_masks_must_fit_the_graph_that_it_runs(masks: Any, *, simulate: bool) -> None:
    node = ask(masks)

    assert check(node, simulate=simulate, find_graph=find_graph) == {str(node.id): {"nodes_input_masks"}}


@either_way
@pytest.mark.parametrize("masks", [None, {}, {str(IN.id): {"value": 1}}])
def test_masks_that_fit_are_fine(masks: Any, *, simulate: bool) -> None:
    assert check(ask(masks), simulate=simulate, find_graph=find_graph) == {}
