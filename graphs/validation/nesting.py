"""Follows agent nodes into the graphs that they run, and into the graphs that those run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from graphs.agents import read_reference
from graphs.blocks.contract import Kind
from graphs.blocks.interfaces import Interface
from graphs.document import GraphDocument, NodeDocument
from graphs.validation.naming import describe_node
from graphs.validation.saving import Problems

MAX_NESTING: Final = 10
"""How deep graphs may run each other unless somebody says otherwise."""

FindInterface = Callable[[str], Interface | None]
FindGraph = Callable[[UUID, int], GraphDocument | None]


@dataclass(frozen=True, kw_only=True)
class Nesting:
    """One validation's look below. `depths` remembers the graphs that were found good, and how deep they nest."""

    find: FindInterface
    find_graph: FindGraph
    problems_of: Callable[[GraphDocument], Problems]
    max_nesting: int = MAX_NESTING
    depths: dict[tuple[UUID, int], int] = field(default_factory=dict)

    def explain(self, node: NodeDocument, *, above: tuple[tuple[UUID, int], ...] = ()) -> str | None:
        """Return why the graph that an agent node refers to can't run, as the end of a sentence; None if it can."""
        reference = read_reference(node.input_default)
        target = reference.target
        if target in above:
            return "runs a graph that it is itself a part of"
        if target in self.depths and len(above) + self.depths[target] <= self.max_nesting:
            return None
        if len(above) >= self.max_nesting:
            return f"is nested in {self.max_nesting} other graphs, which is as deep as graphs may run each other"
        document = self.find_graph(*target) if target else None
        if target is None or document is None:
            version = "" if reference.graph_version is None else f" version {reference.graph_version}"
            return f"refers to graph {reference.graph_id or '(none)'}{version}, which you don't have"
        told = self._explain_graph(document, above=(*above, target))
        if told is None:
            self.depths[target] = 1 + max((self._depth_below(agent) for agent in self._agents(document)), default=0)
        return told

    def _explain_graph(self, document: GraphDocument, *, above: tuple[tuple[UUID, int], ...]) -> str | None:
        problems = self.problems_of(document)
        if problems:
            first = next(message for fields in problems.values() for message in fields.values())
            return f"runs “{document.name}”, which can't run: {first.rstrip('.')}"
        for agent in self._agents(document):
            told = self.explain(agent, above=above)
            if told:
                return f"runs “{document.name}”, where “{describe_node(agent, self.find(agent.block_id))}” {told}"
        return None

    def _agents(self, document: GraphDocument) -> list[NodeDocument]:
        interfaces = ((node, self.find(node.block_id)) for node in document.nodes)
        return [node for node, interface in interfaces if interface and interface.kind is Kind.AGENT]

    def _depth_below(self, agent: NodeDocument) -> int:
        target = read_reference(agent.input_default).target
        return self.depths.get(target, 0) if target else 0
