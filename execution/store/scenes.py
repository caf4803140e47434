"""What has to be known to let outputs travel in the order of the rules, and the travelling itself."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from execution.engine.ordering import travels_at_once
from execution.planning import load_plan
from execution.store.batches import Answer, Batch
from execution.store.claims import Hold
from execution.store.flow import travel
from execution.store.parts import Foreseen, Output
from execution.store.reach import Reach, ask_for_reach
from execution.store.round_trips import Prepared
from execution.store.runs import LockedRun


@dataclass(frozen=True, kw_only=True)
class Emitted:
    """What a node execution has emitted, and whether it has ended with that."""

    claimed: Hold
    outputs: Sequence[Output]
    has_ended: bool


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What has to be known to let outputs travel: the nodes that they reach, and their nodes' other executions.

    `orders` has a row for each node execution for which these matter. Of what was run ahead there was nothing before.
    """

    reach: Reach
    orders: Answer | None


# Whether an older one is unfinished, and whether there are later ones.
_ORDER_TEXT: Final = """
SELECT {id},
       EXISTS(SELECT FROM execution_nodeexecution n WHERE n.execution_id = %(run)s AND n.node_id = {node}
                 AND n.ordinal < {ordinal} AND n.status IN ('QUEUED', 'RUNNING', 'SUSPENDED', 'REVIEW')),
       EXISTS(SELECT FROM execution_nodeexecution n WHERE n.execution_id = %(run)s AND n.node_id = {node}
                 AND n.ordinal > {ordinal})
"""
ORDER = Prepared(
    "order_of",
    "id uuid, run uuid, node uuid, ordinal int",
    _ORDER_TEXT.format(id="%(id)s", node="%(node)s", ordinal="%(ordinal)s"),
)
# For a single one this takes PostgreSQL longer.
ORDER_OF_SEVERAL = Prepared(
    "order_of_several",
    "run uuid, ids uuid[]",
    _ORDER_TEXT.format(id="own.id", node="own.node_id", ordinal="own.ordinal")
    + "  FROM execution_nodeexecution own WHERE own.id = ANY(%(ids)s)",
)


def ask_for_scene(batch: Batch, emitting: Sequence[tuple[Hold, int]], *, foreseen: Sequence[Foreseen] = ()) -> Scene:
    """Ask for the scene of node executions of one run that emit so many outputs each, and of what was run ahead.

    In the batch, the run's lock and what they end with must stand before it.
    """
    first, _ = emitting[0]
    plan = load_plan(first.graph_version_id).plan
    emitted: Counter[UUID] = Counter()
    for claimed, count in emitting:
        emitted[claimed.node_id] += count
    for each in foreseen:
        emitted[each.claimed.node_id] += len(each.part.outputs)
    return Scene(
        orders=_ask_for_orders(batch, [claimed for claimed, _ in emitting if plan.nodes[claimed.node_id].ordered]),
        reach=ask_for_reach(batch, execution_id=first.execution_id, plan=plan, emitted=emitted),
    )


def _ask_for_orders(batch: Batch, ordered: Sequence[Hold]) -> Answer | None:
    if not ordered:
        return None
    if len(ordered) == 1:
        return batch.ask(ORDER, {"id": ordered[0].id, **_describe_place(ordered[0])})
    return batch.ask(ORDER_OF_SEVERAL, {"run": ordered[0].execution_id, "ids": [claimed.id for claimed in ordered]})


def let_travel(run: LockedRun, scene: Scene, emitted: Sequence[Emitted]) -> None:
    """Let travel what may now (rule 6): nothing if an older execution is unfinished; at the end, what was held too.

    Call it when all that was `emitted` is written.
    """
    orders = {key: order for key, *order in scene.orders.rows} if scene.orders else {}
    travelling: list[tuple[UUID, Sequence[Output]]] = []
    for node_id, group in _group_by_node(emitted).items():
        if group[0].claimed.id not in orders:
            travelling += [(node_id, each.outputs) for each in group]
            continue
        # The others stand behind it: what they have emitted is released by its end like anything that was held.
        head = min(group, key=lambda each: each.claimed.ordinal)
        older_unfinished, has_later = orders[head.claimed.id]
        if travels_at_once(run.graph.plan.nodes[node_id], older_unfinished=older_unfinished):
            released = _load_released(run, head.claimed) if head.has_ended and has_later else []
            travelling.append((node_id, [*head.outputs, *released]))
    travel(run, travelling, scene.reach)


def _group_by_node(emitted: Sequence[Emitted]) -> dict[UUID, list[Emitted]]:
    groups: dict[UUID, list[Emitted]] = {}
    for each in emitted:
        groups.setdefault(each.claimed.node_id, []).append(each)
    return groups


def _describe_place(claimed: Hold) -> dict[str, Any]:
    return {"run": claimed.execution_id, "node": claimed.node_id, "ordinal": claimed.ordinal}


# The rows form of `engine.ordering.released`: all later executions up to the first that has not ended, it included.
# The bound is one value: were it one of each row, all later executions would be read, and of a large run they are many.
RELEASED = Prepared(
    "released",
    "run uuid, node uuid, ordinal int",
    """
SELECT o.pin, o.value
  FROM execution_nodeexecution n JOIN execution_output o ON o.node_execution_id = n.id
 WHERE n.execution_id = %(run)s AND n.node_id = %(node)s AND n.ordinal > %(ordinal)s
   AND n.ordinal <= COALESCE((
       SELECT min(u.ordinal) FROM execution_nodeexecution u
        WHERE u.execution_id = %(run)s AND u.node_id = %(node)s AND u.ordinal > %(ordinal)s
          AND u.status IN ('INCOMPLETE', 'QUEUED', 'RUNNING', 'SUSPENDED', 'REVIEW')), 2147483647)
 ORDER BY n.ordinal, o.position
""",
)


def _load_released(run: LockedRun, claimed: Hold) -> list[Output]:
    return [(pin, run.writer.read(form)) for pin, form in run.batch.fetch(RELEASED, _describe_place(claimed))]
