"""From a saved graph version to a plan that can run. Versions never change, so plans are kept in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from execution.engine.dataflow import Masks
from execution.engine.plan import Plan, PlanLink, PlanNode, PlanPin
from execution.queues import CPU_QUEUE, IO_QUEUE
from execution.retries import RetryRule, read_rule, read_time_limit
from graphs.blocks.contract import DEFAULT_TIME_LIMIT, Block, Kind, Need, RetryPolicy
from graphs.blocks.interfaces import InputPin, Interface
from graphs.blocks.registry import find_block, find_interface
from graphs.document import GraphDocument, LinkDocument, NodeDocument
from graphs.models import GraphVersion

PLANS_KEPT = 256


@dataclass(frozen=True, kw_only=True)
class NodeSpec:
    """What a worker needs to know of a node: its block, if we have it, and the pins that it has anyway.

    `retry` and `time_limit` are the block's, with what the node's metadata say instead.
    """

    plan: PlanNode
    block: Block[Any] | None
    interface: Interface | None
    retry: RetryRule = RetryRule(policy=RetryPolicy())
    time_limit: timedelta = DEFAULT_TIME_LIMIT
    constants: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the node's block, as Flower and messages show it."""
        return self.interface.name if self.interface else f"block {self.plan.block_id}"

    @property
    def is_agent(self) -> bool:
        """Whether the node runs another graph."""
        return self.interface is not None and self.interface.kind is Kind.AGENT

    @property
    def queue(self) -> str:
        """The queue of the workers that suit the block: `io` for coroutines, `cpu` for the rest."""
        return IO_QUEUE if self.block is not None and self.block.is_async else CPU_QUEUE

    @property
    def runs_in_simulation(self) -> bool:
        """Whether a simulated run really executes the block."""
        return self.block is not None and not self.block.needs & {Need.NETWORK, Need.CREDENTIALS}


@dataclass(frozen=True, kw_only=True)
class GraphPlan:
    """A graph version made ready: the engine's plan, and what its nodes are."""

    version_id: UUID
    graph_id: UUID
    version: int
    name: str
    plan: Plan
    specs: Mapping[UUID, NodeSpec]
    settings: Mapping[str, Any]

    def input_nodes(self) -> dict[str, list[PlanNode]]:
        """Return the INPUT nodes by the name under which a run is given their value."""
        named: dict[str, list[PlanNode]] = {}
        for node in self.plan.nodes.values():
            if node.is_input:
                named.setdefault(str(node.input_default.get("name", "")), []).append(node)
        return named

    def mask_pins(self, masks: Mapping[str, Mapping[str, Any]], *, simulate: bool) -> Masks:
        """Return the pins that need no link in a run with these `nodes_input_masks`.

        Those with a mask and, in a simulation, required pins without any value.
        """
        masked = {UUID(node_id): frozenset(pins) for node_id, pins in masks.items()}
        if simulate:
            for node in self.plan.nodes.values():
                masked[node.id] = masked.get(node.id, frozenset()) | node.uncovered
        return masked


# Versions that have just been read, while they are planned.
_at_hand: dict[UUID, GraphVersion] = {}


def plan_version(version: GraphVersion) -> GraphPlan:
    """Return the plan of a version, as `load_plan` does; what was fetched along with it is not read again."""
    _at_hand[version.pk] = version
    try:
        return load_plan(version.pk)
    finally:
        _at_hand.pop(version.pk, None)


@lru_cache(maxsize=PLANS_KEPT)
def load_plan(version_id: UUID) -> GraphPlan:
    """Return the plan of a saved version. Three queries the first time."""
    version = _at_hand.get(version_id) or GraphVersion.objects.get(pk=version_id)
    document = version.document()
    specs = build_specs(document)
    return GraphPlan(
        version_id=version.pk,
        graph_id=version.graph_id,
        version=version.version,
        name=version.name,
        plan=Plan(nodes={node_id: spec.plan for node_id, spec in specs.items()}),
        specs=specs,
        settings=version.settings,
    )


def build_specs(document: GraphDocument) -> dict[UUID, NodeSpec]:
    """Return what each node of a graph is. Links that lead from or to nowhere are left out."""
    interfaces = {node.id: find_interface(node.block_id) for node in document.nodes}
    incoming: dict[UUID, list[PlanLink]] = {node.id: [] for node in document.nodes}
    outgoing: dict[UUID, list[PlanLink]] = {node.id: [] for node in document.nodes}
    for link in document.links:
        if link.source_id in outgoing and link.sink_id in incoming:
            planned = _plan_link(link, interfaces[link.source_id])
            outgoing[link.source_id].append(planned)
            incoming[link.sink_id].append(planned)
    return {
        node.id: _specify(node, interfaces[node.id], incoming=incoming[node.id], outgoing=outgoing[node.id])
        for node in document.nodes
    }


def _plan_link(link: LinkDocument, source: Interface | None) -> PlanLink:
    return PlanLink(
        source_id=link.source_id,
        source_name=link.source_name,
        sink_id=link.sink_id,
        sink_name=link.sink_name,
        is_static=link.is_static or (source is not None and source.static_output),
    )


def _specify(
    node: NodeDocument, interface: Interface | None, *, incoming: list[PlanLink], outgoing: list[PlanLink]
) -> NodeSpec:
    kind = interface.kind if interface else Kind.STANDARD
    is_agent = kind is Kind.AGENT
    plan = PlanNode(
        id=node.id,
        block_id=node.block_id,
        name=str(node.metadata.get("customized_name") or (interface.name if interface else node.block_id)),
        input_default=_mapping(node.input_default.get("inputs")) if is_agent else node.input_default,
        pins=_agent_pins(node) if is_agent else _block_pins(interface),
        incoming=tuple(incoming),
        outgoing=tuple(outgoing),
        is_input=kind is Kind.INPUT,
        is_output=kind is Kind.OUTPUT,
        is_note=kind is Kind.NOTE,
        ordered=node.metadata.get("ordered") is not False,
    )
    block = find_block(node.block_id)
    return NodeSpec(
        plan=plan,
        block=block,
        interface=interface,
        retry=read_rule(block.retry if block else RetryPolicy(), node.metadata),
        time_limit=read_time_limit(block.time_limit if block else DEFAULT_TIME_LIMIT, node.metadata),
        constants=node.input_default if is_agent else {},
    )


def _block_pins(interface: Interface | None) -> dict[str, PlanPin]:
    return {name: _plan_pin(pin) for name, pin in interface.inputs.items()} if interface else {}


def _plan_pin(pin: InputPin) -> PlanPin:
    return PlanPin(schema=pin.schema, required=pin.required, has_default=not pin.required)


def _agent_pins(node: NodeDocument) -> dict[str, PlanPin]:
    """Return the inputs of the sub-graph, which the node's constants describe."""
    schema = _mapping(node.input_default.get("input_schema"))
    properties = _mapping(schema.get("properties"))
    return {name: PlanPin(schema=_mapping(each)) for name, each in properties.items()}


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
