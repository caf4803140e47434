"""Finds, among the graphs of one document, the one that an agent node means."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphs.agents import AGENT_BLOCK_ID, AgentReference, read_reference
from graphs.blocks.contract import Kind
from graphs.blocks.interfaces import Interface
from graphs.exchange.records import GraphRecord, NodeRecord


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The names of a graph's inputs and outputs."""

    inputs: frozenset[str]
    outputs: frozenset[str]


def is_agent(node: NodeRecord) -> bool:
    """Whether the node runs another graph."""
    return node.block_id == AGENT_BLOCK_ID


def read_signature(graph: GraphRecord, *, find: Callable[[str], Interface | None]) -> Signature:
    """Return the names of the graph's INPUT and OUTPUT nodes."""
    names: dict[Kind, set[str]] = {Kind.INPUT: set(), Kind.OUTPUT: set()}
    for node in graph.nodes:
        interface, name = find(node.block_id), node.input_default.get("name")
        if interface is not None and interface.kind in names and isinstance(name, str):
            names[interface.kind].add(name)
    return Signature(inputs=frozenset(names[Kind.INPUT]), outputs=frozenset(names[Kind.OUTPUT]))


def find_target(
    constants: Mapping[str, Any], *, graphs: Sequence[GraphRecord], signatures: Sequence[Signature]
) -> int | None:
    """Return the index of the graph that an agent node with these constants refers to, or None.

    The same id and version, else the same id, decide. Exports often carry ids that no longer match: then the one
    graph with the node's version and the names of its pins is meant, else the one with these names.
    """
    reference = read_reference(constants)
    same_id = [index for index, graph in enumerate(graphs) if graph.id and graph.id == reference.graph_id]
    exact = [index for index in same_id if graphs[index].version == reference.graph_version]
    if exact or same_id:
        return (exact or same_id)[0]
    # The graph itself, at 0, is no sub-graph: only its id can mean it.
    same_names = [index for index in range(1, len(graphs)) if _matches(reference, signatures[index])]
    same_version = [index for index in same_names if graphs[index].version == reference.graph_version]
    for candidates in (same_version, same_names):
        if len(candidates) == 1:
            return candidates[0]
    return None


def _matches(reference: AgentReference, signature: Signature) -> bool:
    return reference.inputs == signature.inputs and reference.outputs == signature.outputs
