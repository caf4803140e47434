"""The part of a run's state that what a node emits can touch: its sinks, what waits at them, their static values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from execution.engine.dataflow import Firing, Masks, Sink
from execution.engine.plan import Plan, PlanLink, PlanNode
from execution.large_values import Kept
from execution.models.values import FEW_PINS
from execution.store.batches import Answer, Batch
from execution.store.round_trips import Prepared


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The id of a node execution, and how many pins it has been given so far."""

    id: UUID
    pin_count: int = 0


FEW_OPENED: Final = 16
"""So many executions of a node are simply read if they wait; of more, those that can be touched."""

WaitingByOrdinal = Mapping[tuple[UUID, int], Waiting]

# `CASE` is what the index on what waits is of (see `NodeExecution`).
_WAITS_HERE = """{n}.status = 'INCOMPLETE' AND {n}.node_id = s.node_id
           AND CASE WHEN {n}.status = 'INCOMPLETE' THEN {n}.execution_id END = %(run)s"""

# Those that have a pin wait before those that lack it (rule 3): if the latest has it, all have it.
_FIRST_THAT_LACKS = f"""(
       SELECT CASE WHEN NOT EXISTS(SELECT FROM execution_nodeinput i
                                    WHERE i.node_execution_id = latest.id AND i.pin = s.pin) THEN (
              SELECT o.ordinal FROM execution_nodeexecution o
               WHERE {_WAITS_HERE.format(n="o")}
                 AND NOT EXISTS(SELECT FROM execution_nodeinput i
                                 WHERE i.node_execution_id = o.id AND i.pin = s.pin OFFSET 0)
               ORDER BY o.ordinal LIMIT 1) END
         FROM (SELECT l.id FROM execution_nodeexecution l
                WHERE {_WAITS_HERE.format(n="l")} ORDER BY l.ordinal DESC LIMIT 1) AS latest)"""  # noqa: S608 - our own

# For each node, how many executions were opened, and those that wait with the pins that they have.
#
# Where only one `pin` can be delivered, `most` times at best, as many of those that lack it will do: before a join of
# two streams all of one may wait for the other. (Before a join of more, those are passed over that have it already.) It
# is all that waits without a `pin`, or where few were opened.
#
# A wide join would read more and more with each of its pins. As long as it hasn't `enough` of them to become ready now,
# those `pins` do that may be delivered. How many there are is known by the last one's number, NULL if that is small.
#
# `LIMIT` also keeps PostgreSQL from reading the pins of all that wait in the run first.
SINKS = Prepared(
    "sinks",
    "run uuid, nodes uuid[], pin_of text[], most int[], enough int[], pins text[]",
    f"""
SELECT s.node_id, c.opened, w.id, w.ordinal, w.many,
       CASE WHEN w.many < s.enough
            THEN ARRAY(SELECT pin FROM execution_nodeinput i WHERE i.node_execution_id = w.id AND i.pin = ANY(%(pins)s))
            ELSE ARRAY(SELECT pin FROM execution_nodeinput i WHERE i.node_execution_id = w.id) END
  FROM unnest(%(nodes)s, %(pin_of)s, %(most)s, %(enough)s) AS s(node_id, pin, most, enough) CROSS JOIN LATERAL (
       SELECT COALESCE(max(n.ordinal) + 1, 0) AS opened FROM execution_nodeexecution n
        WHERE n.execution_id = %(run)s AND n.node_id = s.node_id) AS c LEFT JOIN LATERAL (
       SELECT n.id, n.ordinal, CASE WHEN s.enough > 0 THEN (
              SELECT max(number) FROM execution_nodeinput i
               WHERE i.node_execution_id = n.id AND i.number > {FEW_PINS}) END AS many
         FROM execution_nodeexecution n
        WHERE {_WAITS_HERE.format(n="n")}
          AND n.ordinal >= CASE WHEN s.pin IS NULL OR c.opened <= {FEW_OPENED} THEN 0 ELSE {_FIRST_THAT_LACKS} END
        ORDER BY n.ordinal LIMIT CASE WHEN c.opened > {FEW_OPENED} AND s.pin IS NOT NULL THEN s.most END) AS w ON true
 ORDER BY s.node_id, w.ordinal
""",  # noqa: S608 - our own
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
    """What the outputs of some nodes can touch, asked for in one go with the run's lock.

    It is enough for so many `emitted` values of each. Of `wide` nodes not all delivered pins may have been read.
    """

    node_ids: frozenset[UUID]
    emitted: Mapping[UUID, int]
    wide: frozenset[UUID] = frozenset()
    sinks: Answer | None = None
    statics: Answer | None = None

    def is_blurred(self, masks: Masks) -> bool:
        """Whether too few pins were read: which ones a masked node lacks is not known by their number."""
        return any(masks.get(node_id) for node_id in self.wide)

    def suffices(self, emitted: Mapping[UUID, int]) -> bool:
        """Whether it is enough for so many values of each node."""
        return all(count <= self.emitted.get(node_id, 0) for node_id, count in emitted.items())


def ask_for_reach(
    batch: Batch, *, execution_id: UUID, plan: Plan, emitted: Mapping[UUID, int], sharply: bool = False
) -> Reach:
    """Ask for the state of all nodes that others have links to, as far as so many `emitted` values may touch it.

    `sharply`: ask for everything that waits there, with all pins. The run's lock must stand before it in the batch.
    """
    links = plan.links_reached_from(emitted)
    if not links:
        return Reach(node_ids=frozenset(), emitted=emitted)
    enough = {sink: 0 if sharply else _enough(plan.nodes[sink], own) for sink, own in links.items()}
    wide = frozenset(sink for sink, count in enough.items() if count)
    asked = {"run": execution_id, "nodes": list(links)}
    how = {
        "pin_of": [None if sharply else _only_pin(own) for own in links.values()],
        "most": [sum(emitted[link.source_id] for link in own) for own in links.values()],
        "enough": list(enough.values()),
        "pins": sorted({link.sink_name for sink in wide for link in links[sink]}),
    }
    return Reach(
        node_ids=frozenset(links),
        emitted=emitted,
        wide=wide,
        sinks=batch.ask(SINKS, asked | how),
        statics=batch.ask(_STATICS, asked) if any(plan.nodes[sink].static for sink in links) else None,
    )


def _only_pin(links: Sequence[PlanLink]) -> str | None:
    """Return the pin that all values go to, one for each execution; a static one goes to whatever waits."""
    (pin, *others) = {link.sink_name for link in links}
    return None if others or any(link.is_static for link in links) else pin


def _enough(sink: PlanNode, links: Sequence[PlanLink]) -> int:
    """Return how many pins an execution must have for `links` to make it ready; 0 if it never has many."""
    if len(sink.awaited) <= FEW_PINS:
        return 0
    return max(0, len(sink.awaited) - len(sink.static) - len({link.sink_name for link in links}))


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
