"""Where emitted values go: joining, static links, readiness.

`deliver` takes the part of a run's state that some arrivals can touch and says what they change. The rules are
numbered in `docs/semantics.md`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from execution.engine.pins import NOTHING, base_pin, select
from execution.engine.plan import Plan, PlanLink, PlanNode

Masks = Mapping[UUID, frozenset[str]]
Select = Callable[..., Any]
"""What a link delivers of a value: `pins.select`, or what does the same where values are not at hand."""


@dataclass(frozen=True)
class Emission:
    """A value that travels now: what `node_id` emitted on `pin`."""

    node_id: UUID
    pin: str
    value: Any


@dataclass(kw_only=True)
class Firing:
    """A node execution that is waiting for pins, or has just become ready.

    `ordinal` numbers the executions of one node in the order in which they were opened, from 0. `pins` are the pins
    that links have delivered; `added` is what this event delivers; static values are added when it becomes ready.
    """

    node_id: UUID
    ordinal: int
    pins: set[str] = field(default_factory=set)
    added: dict[str, Any] = field(default_factory=dict)
    is_new: bool = False
    is_ready: bool = False

    @property
    def is_changed(self) -> bool:
        """Whether this event opened it, gave it a value or made it ready."""
        return self.is_new or self.is_ready or bool(self.added)


@dataclass(kw_only=True)
class Sink:
    """The state of one node that deliveries look at: how many executions were opened, which wait, static values."""

    opened: int = 0
    waiting: list[Firing] = field(default_factory=list)
    statics: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Deliveries:
    """What an event changes: firings opened, filled or made ready, and the newest static values by node and pin."""

    firings: tuple[Firing, ...]
    statics: Mapping[tuple[UUID, str], Any]

    @property
    def ready(self) -> tuple[Firing, ...]:
        """The firings that became QUEUED."""
        return tuple(firing for firing in self.firings if firing.is_ready)

    @property
    def opened(self) -> int:
        """How many node executions this event opened."""
        return sum(firing.is_new for firing in self.firings)


def start(plan: Plan, *, inputs_of: Mapping[UUID, Mapping[str, Any]], masks: Masks) -> Deliveries:
    """Open the first execution of every starting node (rule 1).

    `inputs_of` gives INPUT nodes what the run was started with. A node whose required pins have no value waits.
    """
    firings = []
    for node in plan.starting:
        added = dict(inputs_of.get(node.id, {}))
        firing = Firing(node_id=node.id, ordinal=0, pins=set(added), added=added, is_new=True)
        lacking = lacking_pins(node, delivered=added, masked=masks.get(node.id, ()))
        # An INPUT node fires once at the start, whatever links lead into it.
        firing.is_ready = lacking.isdisjoint(node.uncovered)
        firings.append(firing)
    return Deliveries(firings=tuple(firings), statics={})


def deliver(
    plan: Plan,
    *,
    sinks: Mapping[UUID, Sink],
    emissions: Iterable[Emission],
    masks: Masks,
    select: Select = select,
) -> Deliveries:
    """Carry `emissions` over their links, in order. `sinks` must hold every node that they can reach; it is changed."""
    delivery = _Delivery(sinks=sinks, masks=masks)
    for emission in emissions:
        for link in plan.nodes[emission.node_id].outgoing:
            value = select(
                emitted_pin=emission.pin,
                value=emission.value,
                source_name=link.source_name,
                sink_id=str(link.sink_id),
                sink_name=link.sink_name,
            )
            node = plan.nodes.get(link.sink_id)
            if value is not NOTHING and node is not None and not node.is_note:
                delivery.arrive(node, link, value)
    return delivery.result()


class _Delivery:
    """The changes that one event makes, gathered arrival by arrival."""

    def __init__(self, *, sinks: Mapping[UUID, Sink], masks: Masks) -> None:
        self._sinks = sinks
        self._masks = masks
        self._firings: dict[tuple[UUID, int], Firing] = {}
        self._statics: dict[tuple[UUID, str], Any] = {}

    def result(self) -> Deliveries:
        firings = tuple(firing for firing in self._firings.values() if firing.is_changed)
        return Deliveries(firings=firings, statics=self._statics)

    def arrive(self, node: PlanNode, link: PlanLink, value: Any) -> None:
        awaited = self._awaited(node)
        if awaited and link.sink_name not in awaited:
            return  # the mask has the word; the other pins decide how often the node fires
        if link.is_static:
            self._arrive_static(node, link.sink_name, value)
        else:
            self._arrive_once(node, link.sink_name, value)

    def _arrive_once(self, node: PlanNode, pin: str, value: Any) -> None:
        """Rule 3: the oldest waiting execution without that pin takes the value, or a new one does."""
        sink = self._sinks[node.id]
        firing = next((waiting for waiting in sink.waiting if pin not in waiting.pins), None)
        if firing is None:
            firing = self._open(node)
        firing.pins.add(pin)
        firing.added[pin] = value
        self._touch(firing)
        self._settle(node, firing)

    def _arrive_static(self, node: PlanNode, pin: str, value: Any) -> None:
        """Rule 5: remember the newest value, complete who waits for it, and fire again if statics suffice."""
        sink = self._sinks[node.id]
        sink.statics[pin] = value
        self._statics[node.id, pin] = value
        completed = [self._settle(node, firing) for firing in tuple(sink.waiting)]
        if any(completed):
            return
        masked = self._masks.get(node.id, frozenset())
        on_statics = self._awaited(node) <= node.static
        suffices = on_statics and not lacking_pins(node, statics=sink.statics, masked=masked)
        # The first value of all opens an execution even if it can't fire yet, so that the run can say what it lacked.
        if suffices or not sink.opened:
            self._settle(node, self._open(node))

    def _awaited(self, node: PlanNode) -> frozenset[str]:
        """Return the connected pins that no mask fills."""
        masked = self._masks.get(node.id)
        return lacking_pins(node, masked=masked) & node.connected if masked else node.connected

    def _open(self, node: PlanNode) -> Firing:
        sink = self._sinks[node.id]
        firing = Firing(node_id=node.id, ordinal=sink.opened, is_new=True)
        sink.opened += 1
        sink.waiting.append(firing)
        self._touch(firing)
        return firing

    def _touch(self, firing: Firing) -> None:
        self._firings[firing.node_id, firing.ordinal] = firing

    def _settle(self, node: PlanNode, firing: Firing) -> bool:
        """Make `firing` ready if it lacks nothing (rule 4): it takes the newest static values with it."""
        sink = self._sinks[node.id]
        masked = self._masks.get(node.id, frozenset())
        # A wide join asks this once per link: most answers are known from the numbers.
        if not masked and len(firing.pins) + len(sink.statics) < len(node.awaited):
            return False
        if lacking_pins(node, delivered=firing.pins, statics=sink.statics, masked=masked):
            return False
        firing.added |= {pin: value for pin, value in sink.statics.items() if pin not in firing.pins}
        firing.is_ready = True
        sink.waiting.remove(firing)
        self._touch(firing)
        return True


def lacking_pins(
    node: PlanNode, *, delivered: Iterable[str] = (), statics: Iterable[str] = (), masked: Iterable[str] = ()
) -> frozenset[str]:
    """Return what an execution of `node` still waits for: connected pins and required pins without a value.

    A mask on a base pin fills its parts too, and one on a part gives a required pin its value.
    """
    lacking = node.awaited.difference(delivered, statics)
    masked = frozenset(masked)
    if not masked:
        return lacking
    bases = {base_pin(name, known=node.pins) for name in masked}
    covered = {pin for pin in lacking if base_pin(pin, known=node.pins) in masked}
    given = covered | (node.uncovered & bases)
    return lacking - masked - given
