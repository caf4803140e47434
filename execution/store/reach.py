"""The part of a run's state that what a node emits can touch: its sinks, what waits at them, their static values."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from execution.engine.dataflow import Firing, Masks, Sink
from execution.engine.plan import Plan, PlanNode
from execution.large_values import Kept
from execution.models.values import FEW_PINS
from execution.store.batches import Answer, Batch, Prepared


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The id of a node execution, and how many pins it has been given so far."""

    id: UUID
    pin_count: int = 0


WaitingByOrdinal = Mapping[tuple[UUID, int], Waiting]

# For each node, how many executions were opened, and those that wait with the pins that they have.
#
# A wide join would read more and more with each of its pins. As long as it hasn't `enough` of them to become ready now,
# those `pins` do that may be delivered. How many there are is known by the last one's number, NULL if that is small.
#
# `OFFSET 0` keeps PostgreSQL from reading the pins of all that wait in the run first: the larger the run, the longer
# that takes. `CASE` is what the index on what waits is of (see `NodeExecution`).
SINKS = Prepared(
    "sinks",
    "run uuid, nodes uuid[], enough int[], pins text[]",
    f"""
SELECT s.node_id,
       COALESCE((SELECT max(ordinal) + 1 FROM execution_nodeexecution n
                  WHERE n.execution_id = %(run)s AND n.node_id = s.node_id), 0),
       w.id, w.ordinal, w.many,
       CASE WHEN w.many < s.enough
            THEN ARRAY(SELECT pin FROM execution_nodeinput i WHERE i.node_execution_id = w.id AND i.pin = ANY(%(pins)s))
            ELSE ARRAY(SELECT pin FROM execution_nodeinput i WHERE i.node_execution_id = w.id) END
  FROM unnest(%(nodes)s, %(enough)s) AS s(node_id, enough) LEFT JOIN LATERAL (
       SELECT n.id, n.ordinal, CASE WHEN s.enough > 0 THEN (
              SELECT max(number) FROM execution_nodeinput i
               WHERE i.node_execution_id = n.id AND i.number > {FEW_PINS}) END AS many
         FROM execution_nodeexecution n
        WHERE n.status = 'INCOMPLETE' AND CASE WHEN n.status = 'INCOMPLETE' THEN n.execution_id END = %(run)s
           AND n.node_id = s.node_id OFFSET 0) AS w ON true
 ORDER BY s.node_id, w.ordinal
""",  # noqa: S608 - a number of ours
)

_STATICS = Prepared(
    "statics",
    "run uuid, nodes uuid[]",
    """
SELECT node_id, pin, value FROM execution_staticvalue WHERE execution_id = %(run)s AND node_id = ANY(%(nodes)s)
""",
)


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What a node's outputs can touch, asked for in one go with the run's lock.

    Of `wide` nodes not all delivered pins may have been read.
    """

    node_ids: frozenset[UUID]
    wide: frozenset[UUID] = frozenset()
    sinks: Answer | None = None
    statics: Answer | None = None

    def is_blurred(self, masks: Masks) -> bool:
        """Whether too little was read: which pins a masked node lacks is not known by their number."""
        return any(masks.get(node_id) for node_id in self.wide)


def ask_for_reach(batch: Batch, *, execution_id: UUID, plan: Plan, node_id: UUID, sharply: bool = False) -> Reach:
    """Ask for the state of all nodes that `node_id` has links to; `sharply`, for all pins that they have got.

    The run's lock must stand before it in the batch.
    """
    pins = plan.pins_reached_from(node_id)
    if not pins:
        return Reach(node_ids=frozenset())
    enough = {sink: 0 if sharply else _enough(plan.nodes[sink], own) for sink, own in pins.items()}
    asked = {"run": execution_id, "nodes": list(pins)}
    wide = frozenset(sink for sink, count in enough.items() if count)
    own_pins = sorted({pin for sink in wide for pin in pins[sink]})
    return Reach(
        node_ids=frozenset(pins),
        wide=wide,
        sinks=batch.ask(SINKS, asked | {"enough": list(enough.values()), "pins": own_pins}),
        statics=batch.ask(_STATICS, asked) if any(plan.nodes[sink].static for sink in pins) else None,
    )


def _enough(sink: PlanNode, pins: set[str]) -> int:
    """Return how many pins an execution must have for `pins` to make it ready; 0 if it never has many."""
    if len(sink.awaited) <= FEW_PINS:
        return 0
    return max(0, len(sink.awaited) - len(sink.static) - len(pins))


def read_sinks(reach: Reach) -> tuple[dict[UUID, Sink], WaitingByOrdinal]:
    """Return the state of the nodes, and what is known besides of their waiting executions."""
    sinks = {node_id: Sink() for node_id in reach.node_ids}
    waiting = {}
    for node_id, opened, key, ordinal, many, pins in reach.sinks.rows if reach.sinks else []:
        sink = sinks[node_id]
        sink.opened = opened
        if key is not None:
            sink.waiting.append(Firing(node_id=node_id, ordinal=ordinal, pins=set(pins)))
            waiting[node_id, ordinal] = Waiting(id=key, pin_count=many or len(pins))
    for node_id, pin, value in reach.statics.rows if reach.statics else []:
        sinks[node_id].statics[pin] = Kept(value)
    return sinks, waiting
