"""What has to be known to let outputs travel in the order of the rules, and the travelling itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from execution.engine.ordering import travels_at_once
from execution.large_values import read
from execution.planning import load_plan
from execution.store.batches import Answer, Batch
from execution.store.claims import Hold
from execution.store.flow import travel
from execution.store.reach import Reach, ask_for_reach
from execution.store.round_trips import Prepared
from execution.store.runs import LockedRun

Output = tuple[str, Any]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What has to be known to let outputs travel: the nodes that they reach, and the node's other executions."""

    reach: Reach
    order: Answer | None


_ORDER = Prepared(
    "order_of",
    "run uuid, node uuid, ordinal int",
    """
SELECT EXISTS(SELECT FROM execution_nodeexecution WHERE execution_id = %(run)s AND node_id = %(node)s
                 AND ordinal < %(ordinal)s AND status IN ('QUEUED', 'RUNNING', 'SUSPENDED', 'REVIEW')),
       EXISTS(SELECT FROM execution_nodeexecution WHERE execution_id = %(run)s AND node_id = %(node)s
                 AND ordinal > %(ordinal)s)
""",
)


def ask_for_scene(batch: Batch, claimed: Hold, *, emitted: int) -> Scene:
    """Ask for the scene of so many outputs. The run's lock must stand before it in the batch."""
    plan = load_plan(claimed.graph_version_id).plan
    is_ordered = plan.nodes[claimed.node_id].ordered
    where = {"run": claimed.execution_id, "node": claimed.node_id, "ordinal": claimed.ordinal}
    return Scene(
        order=batch.ask(_ORDER, where) if is_ordered else None,
        reach=ask_for_reach(
            batch, execution_id=claimed.execution_id, plan=plan, node_id=claimed.node_id, emitted=emitted
        ),
    )


def let_travel(run: LockedRun, claimed: Hold, scene: Scene, outputs: Sequence[Output], *, has_ended: bool) -> None:
    """Let travel what may now (rule 6): nothing if an older execution is unfinished; at the end, what was held too."""
    older_unfinished, has_later = scene.order.rows[0] if scene.order else (False, False)
    if not travels_at_once(run.graph.plan.nodes[claimed.node_id], older_unfinished=older_unfinished):
        return
    released = _load_released(run.batch, claimed) if has_ended and has_later else []
    travel(run, claimed.node_id, [*outputs, *released], scene.reach)


# The rows form of `engine.ordering.released`: all later executions up to the first that has not ended, it included.
# The bound is one value: were it one of each row, all later executions would be read, and of a large run they are many.
RELEASED = Prepared(
    "released",
    "execution uuid, node uuid, ordinal int",
    """
SELECT o.pin, o.value
  FROM execution_nodeexecution n JOIN execution_output o ON o.node_execution_id = n.id
 WHERE n.execution_id = %(execution)s AND n.node_id = %(node)s AND n.ordinal > %(ordinal)s
   AND n.ordinal <= COALESCE((
       SELECT min(u.ordinal) FROM execution_nodeexecution u
        WHERE u.execution_id = %(execution)s AND u.node_id = %(node)s AND u.ordinal > %(ordinal)s
          AND u.status IN ('INCOMPLETE', 'QUEUED', 'RUNNING', 'SUSPENDED', 'REVIEW')), 2147483647)
 ORDER BY n.ordinal, o.position
""",
)


def _load_released(batch: Batch, claimed: Hold) -> list[Output]:
    where = {"execution": claimed.execution_id, "node": claimed.node_id, "ordinal": claimed.ordinal}
    return [(pin, read(form)) for pin, form in batch.fetch(RELEASED, where)]
