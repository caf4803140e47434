"""Graphs drawn as text, and a hand that emits into them."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from execution.engine.dataflow import Deliveries, Emission, Firing, Masks, Sink, deliver, start
from execution.engine.plan import Plan, PlanLink, PlanNode

Inputs = dict[str, Any]


def node_id(name: str) -> UUID:
    """Return the id that every sketched node of this name has."""
    return uuid5(NAMESPACE_OID, name)


def sketch(*links: str, **nodes: Mapping[str, Any]) -> Plan:
    """Return a plan with `links` like `a.out -> b.x` (`=>` is a static link).

    `nodes` gives the fields of the nodes that are more than a name, or that have no link.
    """
    drawn = [_draw_link(text) for text in links]
    names = dict.fromkeys([*nodes, *(name for source, sink, _ in drawn for name in (source, sink))])
    planned = [link for _, _, link in drawn]
    made = [_make_node(name, planned, nodes.get(name, {})) for name in names]
    return Plan(nodes={node.id: node for node in made})


def _draw_link(text: str) -> tuple[str, str, PlanLink]:
    arrow = "=>" if "=>" in text else "->"
    source, sink = text.split(f" {arrow} ")
    source_node, _, source_pin = source.partition(".")
    sink_node, _, sink_pin = sink.partition(".")
    link = PlanLink(
        source_id=node_id(source_node),
        source_name=source_pin,
        sink_id=node_id(sink_node),
        sink_name=sink_pin,
        is_static=arrow == "=>",
    )
    return source_node, sink_node, link


def _make_node(name: str, links: Iterable[PlanLink], fields: Mapping[str, Any]) -> PlanNode:
    key = node_id(name)
    links = tuple(links)
    return PlanNode(
        id=key,
        block_id=f"block of {name}",
        name=name,
        incoming=tuple(link for link in links if link.sink_id == key),
        outgoing=tuple(link for link in links if link.source_id == key),
        **fields,
    )


class Hand:
    """Emits into a plan what a test tells it to, and keeps what follows."""

    def __init__(self, plan: Plan, *, masks: Mapping[str, Iterable[str]] | None = None) -> None:
        self.plan = plan
        self.masks: Masks = {node_id(name): frozenset(pins) for name, pins in (masks or {}).items()}
        self.sinks = {key: Sink() for key in plan.nodes}
        self._inputs: dict[tuple[str, int], Inputs] = {}
        self._ready: list[tuple[str, int]] = []

    def start(self, inputs_of: Mapping[str, Inputs] | None = None) -> None:
        """Start the run; `inputs_of` is what its INPUT nodes get."""
        given = {node_id(name): inputs for name, inputs in (inputs_of or {}).items()}
        started = start(self.plan, inputs_of=given, masks=self.masks)
        for firing in started.firings:
            self.sinks[firing.node_id].opened = 1
        self._keep(started)

    def emit(self, source: str, *values: Any) -> Deliveries:
        """Let `source`, like `a.out`, emit `values` in one event."""
        name, _, pin = source.partition(".")
        emissions = [Emission(node_id(name), pin, value) for value in values]
        deliveries = deliver(self.plan, sinks=self.sinks, emissions=emissions, masks=self.masks)
        self._keep(deliveries)
        return deliveries

    def fired(self, name: str) -> list[Inputs]:
        """Return the inputs of the node's executions that became ready, in that order."""
        return [self._inputs[key] for key in self._ready if key[0] == name]

    def ordinals(self, name: str) -> list[int]:
        """Return the ordinals of the node's executions that became ready, in that order."""
        return [ordinal for key, ordinal in self._ready if key == name]

    def waiting(self, name: str) -> list[Inputs]:
        """Return what the node's waiting executions have got so far, oldest first."""
        return [dict(inputs) for key, inputs in self._inputs.items() if key[0] == name and key not in self._ready]

    def _keep(self, deliveries: Deliveries) -> None:
        for firing in deliveries.firings:
            key = self.plan.nodes[firing.node_id].name, firing.ordinal
            self._inputs.setdefault(key, {}).update(firing.added)
            if firing.is_ready:
                self._ready.append(key)
        for sink in self.sinks.values():  # as if loaded again from where the run is kept
            sink.waiting = [Firing(node_id=f.node_id, ordinal=f.ordinal, pins=set(f.pins)) for f in sink.waiting]
