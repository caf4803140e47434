"""A graph version made ready to run: immutable, and everything that a hop asks for is already worked out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from execution.engine.pins import base_pin, has_bad_index


@dataclass(frozen=True, kw_only=True)
class PlanPin:
    """An input pin: its JSON Schema, whether it must have a value, whether it has one by itself."""

    schema: Mapping[str, Any] = field(default_factory=dict)
    required: bool = False
    has_default: bool = False


@dataclass(frozen=True, kw_only=True)
class PlanLink:
    """`source_id.source_name` → `sink_id.sink_name`."""

    source_id: UUID
    source_name: str
    sink_id: UUID
    sink_name: str
    is_static: bool = False


@dataclass(frozen=True, kw_only=True)
class PlanNode:
    """One node with its links. `is_input`, `is_output` and `is_note` come from its block's kind."""

    id: UUID
    block_id: str
    name: str
    input_default: Mapping[str, Any] = field(default_factory=dict)
    pins: Mapping[str, PlanPin] = field(default_factory=dict)
    incoming: tuple[PlanLink, ...] = ()
    outgoing: tuple[PlanLink, ...] = ()
    is_input: bool = False
    is_output: bool = False
    is_note: bool = False
    ordered: bool = True

    @cached_property
    def connected(self) -> frozenset[str]:
        """The pins (or parts of pins) that links lead into."""
        return frozenset(link.sink_name for link in self.incoming)

    @cached_property
    def static(self) -> frozenset[str]:
        """The connected pins that at least one static link leads into."""
        return frozenset(link.sink_name for link in self.incoming if link.is_static)

    @cached_property
    def uncovered(self) -> frozenset[str]:
        """Required pins that neither a link nor a constant gives a value."""
        covered = {base_pin(name, known=self.pins) for name in (*self.connected, *self.input_default)}
        return frozenset(name for name, pin in self.pins.items() if pin.required and name not in covered)

    @cached_property
    def awaited(self) -> frozenset[str]:
        """What an execution waits for: connected pins and uncovered ones."""
        return self.connected | self.uncovered

    @cached_property
    def sound(self) -> frozenset[str]:
        """Names that take any value (see `can_be_invalid`): pins, and parts of pins that links or constants fill."""
        parts = {*self.connected, *self.input_default}
        return frozenset(self.pins) | {name for name in parts if not has_bad_index(name)}

    @property
    def starts(self) -> bool:
        """Whether the node fires by itself when a run starts."""
        return not self.is_note and (self.is_input or not self.incoming)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All nodes of a graph version, in the order in which they are saved."""

    nodes: Mapping[UUID, PlanNode]

    @cached_property
    def starting(self) -> tuple[PlanNode, ...]:
        """The nodes that fire when a run starts."""
        return tuple(node for node in self.nodes.values() if node.starts)

    def links_reached_from(self, node_ids: Iterable[UUID]) -> dict[UUID, list[PlanLink]]:
        """Return the nodes that something emitted by others can reach in one hop, with the links that lead there."""
        reached: dict[UUID, list[PlanLink]] = {}
        for node_id in node_ids:
            for link in self.nodes[node_id].outgoing:
                if link.sink_id in self.nodes:
                    reached.setdefault(link.sink_id, []).append(link)
        return reached
