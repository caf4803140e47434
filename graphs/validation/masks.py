"""Masks, {node id: {pin: value}}, must fit the graph whose inputs they stand in for."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final
from uuid import UUID

from graphs.agents import read_reference
from graphs.blocks.interfaces import Interface
from graphs.document import GraphDocument, NodeDocument
from graphs.pins import find_bad_index
from graphs.validation.known_pins import is_agent, knows_input, list_inputs
from graphs.validation.naming import describe_node
from graphs.validation.saving import Problems, add_problem

MASKS_PIN: Final = "nodes_input_masks"
"""The constant of an agent node that holds the masks of the runs that it starts."""

FindInterface = Callable[[str], Interface | None]
FindGraph = Callable[[UUID, int], GraphDocument | None]


def problems_of_masks(
    document: GraphDocument, masks: Mapping[UUID, Collection[str]], *, find: FindInterface
) -> Problems:
    """Return the nodes and pins that are masked but that the graph doesn't have."""
    problems: Problems = {}
    nodes = {node.id: node for node in document.nodes}
    for node_id, pins in masks.items():
        node = nodes.get(node_id)
        if node is None:
            message = f"{MASKS_PIN} names the node {node_id}, which the graph doesn't have."
            add_problem(problems, node=node_id, field=MASKS_PIN, message=message)
            continue
        for pin in pins:
            told = _explain_pin(node, pin, interface=find(node.block_id))
            if told:
                add_problem(problems, node=node_id, field=pin, message=told)
    return problems


def explain_agents_masks(node: NodeDocument, *, find: FindInterface, find_graph: FindGraph | None) -> str | None:
    """Return what is wrong with the masks that an agent node has for its graph, as the end of a sentence."""
    wanted = node.input_default.get(MASKS_PIN)
    if wanted is None or not is_agent(find(node.block_id)):
        return None
    masks = _read(wanted)
    if masks is None:
        return "must be {node id: {pin: value}}"
    target = read_reference(node.input_default).target
    below = find_graph(*target) if find_graph and target else None
    problems = problems_of_masks(below, masks, find=find) if below else {}
    first = next((message for fields in problems.values() for message in fields.values()), None)
    return f"doesn't fit the graph that it is for: {first.rstrip('.')}" if first else None


def _explain_pin(node: NodeDocument, pin: str, *, interface: Interface | None) -> str | None:
    name = describe_node(node, interface)
    if not knows_input(node, pin, interface=interface):
        return f"“{name}” has no input “{pin}” for {MASKS_PIN} to set."
    bad = find_bad_index(pin, known=list_inputs(node, interface) if interface else ())
    return None if bad is None else f"“{bad}” in “{pin}” isn't a list index."


def _read(masks: Any) -> dict[UUID, Collection[str]] | None:
    """Return the masked pins by node; None if this has another shape."""
    if not isinstance(masks, Mapping) or not all(isinstance(pins, Mapping) for pins in masks.values()):
        return None
    try:
        return {UUID(node_id): pins.keys() for node_id, pins in masks.items()}
    except ValueError:
        return None
