"""Runs: their lock, their counters, their end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db import connection

from execution.engine.dataflow import Masks, lacking_pins
from execution.engine.statuses import Status
from execution.planning import CPU_QUEUE, GraphPlan, load_plan
from execution.store.trees import ENDED_CHANNEL, terminate_below
from execution.values import dump


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A node execution that became QUEUED: send a message with its id to `queue`. `name` is its block's.

    `is_revocable`: its messages may be called by its id. Not in a resumed run, whose earlier messages were revoked.
    """

    id: UUID
    queue: str
    name: str
    is_revocable: bool = False


@dataclass(kw_only=True)
class LockedRun:
    """A run whose row this transaction holds. The counters are changes, written once by `save_counters`."""

    id: UUID
    status: Status
    graph: GraphPlan
    nodes_input_masks: Mapping[str, Mapping[str, Any]]
    simulate: bool
    max_node_executions: int
    on_error: str
    parent_id: UUID | None
    unfinished: int
    opened: int
    output_count: int
    resumptions: int
    ended: int = 0
    errors: int = 0
    walltime: float = 0.0
    cputime: float = 0.0
    ready: list[Ready] = field(default_factory=list)

    @cached_property
    def masks(self) -> Masks:
        """The pins that need no link."""
        return self.graph.mask_pins(self.nodes_input_masks, simulate=self.simulate)

    def announce(self, node_execution_id: UUID, node_id: UUID) -> None:
        """Note that a node execution of this run became QUEUED."""
        spec = self.graph.specs[node_id]
        self.ready.append(
            Ready(id=node_execution_id, queue=spec.queue, name=spec.name, is_revocable=not self.resumptions)
        )


def lock_run(execution_id: UUID) -> LockedRun | None:
    """Lock a run's row until the transaction ends; None if there is no such run."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT status, graph_version_id, nodes_input_masks, simulate, max_node_executions, on_error, parent_id,"
            " unfinished, opened, output_count, resumptions FROM execution_execution WHERE id = %s FOR NO KEY UPDATE",
            [execution_id],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    status, version_id, masks, simulate, limit, on_error, parent_id, unfinished, opened, output_count, resumptions = row
    return LockedRun(
        id=execution_id,
        status=Status(status),
        graph=load_plan(version_id),
        nodes_input_masks=masks,
        simulate=simulate,
        max_node_executions=limit,
        on_error=on_error,
        parent_id=parent_id,
        unfinished=unfinished,
        opened=opened,
        output_count=output_count,
        resumptions=resumptions,
    )


def save_run(run: LockedRun, *, failure: str = "") -> None:
    """Write the counters; end the run if it fails, has opened more than it may, or has nothing left to do."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE execution_execution SET unfinished = %s, opened = %s, output_count = %s,"
            " node_count = node_count + %s, node_error_count = node_error_count + %s,"
            " nodes_walltime = nodes_walltime + %s, nodes_cputime = nodes_cputime + %s,"
            " event_number = event_number + 1, recorded_at = clock_timestamp() WHERE id = %s",
            [run.unfinished, run.opened, run.output_count, run.ended, run.errors, run.walltime, run.cputime, run.id],
        )
    if failure:
        end_run(run, Status.FAILED, error=failure)
    elif run.opened > run.max_node_executions:
        end_run(run, Status.FAILED, error=_explain_limit(run))
    elif run.unfinished == 0:
        end_run(run, Status.COMPLETED)


def end_run(run: LockedRun, status: Status, *, error: str = "") -> None:
    """End a locked run, what is unfinished in it, and the runs below it; wake the node execution that waits for it."""
    warnings = _list_warnings(run) if status is Status.COMPLETED else []
    if status is not Status.COMPLETED:
        terminate_below(run.id, error="The run that started it has ended.")
        run.ready.clear()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE execution_execution SET status = %s, error = %s, warnings = %s::json, unfinished = 0,"
            " started_at = COALESCE(started_at, clock_timestamp()), ended_at = clock_timestamp()"
            " WHERE id = %s AND status = ANY(%s)",
            [status, error, dump(warnings), run.id, [Status.QUEUED, Status.RUNNING]],
        )
        cursor.execute("SELECT pg_notify(%s, %s)", [ENDED_CHANNEL, str(run.id)])
    run.status = status
    run.ready.extend(wake([run.parent_id] if run.parent_id else []))


def wake(node_execution_ids: Iterable[UUID]) -> list[Ready]:
    """Queue suspended node executions again: what they waited for is there."""
    ids = list(node_execution_ids)
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE execution_nodeexecution n SET status = 'QUEUED', queued_at = clock_timestamp(), wake_at = NULL"
            "  FROM execution_execution e"
            " WHERE n.id = ANY(%s) AND n.status IN ('SUSPENDED', 'REVIEW') AND e.id = n.execution_id"
            " RETURNING n.id, n.node_id, e.graph_version_id",
            [ids],
        )
        return describe_ready(cursor.fetchall())


def describe_ready(rows: Sequence[tuple[UUID, UUID, UUID]]) -> list[Ready]:
    """Return where to send `(node execution, node, graph version)` rows that became QUEUED."""
    ready = []
    for key, node_id, version_id in rows:
        spec = load_plan(version_id).specs.get(node_id)
        ready.append(Ready(id=key, queue=spec.queue if spec else CPU_QUEUE, name=spec.name if spec else "unknown"))
    return ready


def _explain_limit(run: LockedRun) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT node_id, count(*) FROM execution_nodeexecution WHERE execution_id = %s"
            " GROUP BY node_id ORDER BY count(*) DESC, node_id LIMIT 1",
            [run.id],
        )
        node_id, count = cursor.fetchone()
    return (
        f"The run opened more than {run.max_node_executions} node executions (MAX_NODE_EXECUTIONS_PER_RUN)."
        f" The busiest node is “{run.graph.plan.nodes[node_id].name}” ({node_id}) with {count}:"
        " does it stand in a loop that never ends?"
    )


def _list_warnings(run: LockedRun) -> list[dict[str, Any]]:
    """Say what never fired, and which pins it lacked (rule 9)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.id, n.node_id,"
            " ARRAY(SELECT pin FROM execution_nodeinput i WHERE i.node_execution_id = n.id),"
            " ARRAY(SELECT pin FROM execution_staticvalue s WHERE s.execution_id = n.execution_id"
            "       AND s.node_id = n.node_id)"
            " FROM execution_nodeexecution n WHERE n.execution_id = %s AND n.status = %s ORDER BY n.id",
            [run.id, Status.INCOMPLETE],
        )
        rows = cursor.fetchall()
    return [_warn(run, key, node_id, delivered, statics) for key, node_id, delivered, statics in rows]


def _warn(run: LockedRun, key: UUID, node_id: UUID, delivered: Sequence[str], statics: Sequence[str]) -> dict[str, Any]:
    node = run.graph.plan.nodes[node_id]
    masked = run.masks.get(node_id, frozenset())
    lacking = sorted(lacking_pins(node, delivered=delivered, statics=statics, masked=masked))
    return {
        "node_id": str(node_id),
        "node_execution_id": str(key),
        "lacking_pins": lacking,
        "message": f"An execution of “{node.name}” never fired: no value came for {', '.join(lacking)}.",
    }
