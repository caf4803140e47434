"""Deliveries: load the state that they touch, ask the engine, write down what it says."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from execution.engine.dataflow import Deliveries, Emission, Firing, Sink, deliver
from execution.engine.outputs import run_outputs
from execution.engine.statuses import Status
from execution.store.runs import LockedRun, wake
from execution.values import dump
from graphs.models import new_id

WaitingIds = dict[tuple[UUID, int], UUID]


def travel(run: LockedRun, node_id: UUID, outputs: Sequence[tuple[str, Any]]) -> None:
    """Carry what a node emitted over its links, and out of the run if it is an OUTPUT node."""
    if not outputs:
        return
    plan = run.graph.plan
    leave(run, run_outputs(plan.nodes[node_id], outputs))
    reachable = plan.sinks_of([node_id])
    if not reachable:
        return
    sinks, waiting_ids = _load_sinks(run, reachable)
    emissions = [Emission(node_id, pin, value) for pin, value in outputs]
    write_deliveries(run, deliver(plan, sinks=sinks, emissions=emissions, masks=run.masks), waiting_ids)


def leave(run: LockedRun, outputs: Sequence[tuple[str, Any]]) -> None:
    """Add to the run's outputs; whoever waits for them as a sub-run's is woken."""
    if not outputs:
        return
    first = run.output_count
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO execution_runoutput (execution_id, position, name, value)"
            " SELECT %s, o.position - 1 + %s, o.name, o.value::json"
            " FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS o(name, value, position)",
            [run.id, first, [name for name, _ in outputs], [dump(value) for _, value in outputs]],
        )
    run.output_count += len(outputs)
    run.ready.extend(wake([run.parent_id] if run.parent_id else []))


def write_deliveries(run: LockedRun, deliveries: Deliveries, waiting_ids: Mapping[tuple[UUID, int], UUID]) -> None:
    """Write opened, filled and ready node executions and static values; count and announce them."""
    opened = [firing for firing in deliveries.firings if firing.is_new]
    filled = [firing for firing in deliveries.firings if not firing.is_new]
    _open(run, opened)
    _fill(run, filled, waiting_ids)
    _remember(run, deliveries.statics)
    run.opened += len(opened)
    run.unfinished += len(deliveries.ready)


def _open(run: LockedRun, firings: Sequence[Firing]) -> None:
    if not firings:
        return
    ids = [new_id() for _ in firings]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO execution_nodeexecution"
            " (id, execution_id, node_id, ordinal, queue, status, inputs, opened_at, queued_at)"
            " SELECT f.id, %s, f.node_id, f.ordinal, f.queue, CASE WHEN f.ready THEN 'QUEUED' ELSE 'INCOMPLETE' END,"
            " f.inputs::json, clock_timestamp(), CASE WHEN f.ready THEN clock_timestamp() END"
            " FROM unnest(%s::uuid[], %s::uuid[], %s::int[], %s::text[], %s::bool[], %s::text[])"
            " AS f(id, node_id, ordinal, queue, ready, inputs)",
            [
                run.id,
                ids,
                [firing.node_id for firing in firings],
                [firing.ordinal for firing in firings],
                [run.graph.specs[firing.node_id].queue for firing in firings],
                [firing.is_ready for firing in firings],
                [dump(firing.added if firing.is_ready else {}) for firing in firings],
            ],
        )
    _add_inputs([(key, firing) for key, firing in zip(ids, firings, strict=True) if not firing.is_ready])
    for key, firing in zip(ids, firings, strict=True):
        if firing.is_ready:
            run.announce(key, firing.node_id)


def _fill(run: LockedRun, firings: Sequence[Firing], ids: Mapping[tuple[UUID, int], UUID]) -> None:
    if not firings:
        return
    _add_inputs([(ids[firing.node_id, firing.ordinal], firing) for firing in firings])
    ready = [firing for firing in firings if firing.is_ready]
    if ready:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE execution_nodeexecution SET status = %s, queued_at = clock_timestamp()"
                " WHERE id = ANY(%s) AND status = %s",
                [Status.QUEUED, [ids[f.node_id, f.ordinal] for f in ready], Status.INCOMPLETE],
            )
    for firing in ready:
        run.announce(ids[firing.node_id, firing.ordinal], firing.node_id)


def _add_inputs(firings: Sequence[tuple[UUID, Firing]]) -> None:
    added = [(key, pin, dump(value)) for key, firing in firings for pin, value in firing.added.items()]
    if not added:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO execution_nodeinput (node_execution_id, pin, value)"
            " SELECT a.id, a.pin, a.value::json FROM unnest(%s::uuid[], %s::text[], %s::text[]) AS a(id, pin, value)",
            [list(column) for column in zip(*added, strict=True)],
        )


def _remember(run: LockedRun, statics: Mapping[tuple[UUID, str], Any]) -> None:
    if not statics:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO execution_staticvalue (execution_id, node_id, pin, value)"
            " SELECT %s, s.node_id, s.pin, s.value::json FROM unnest(%s::uuid[], %s::text[], %s::text[])"
            " AS s(node_id, pin, value)"
            " ON CONFLICT (execution_id, node_id, pin) DO UPDATE SET value = EXCLUDED.value",
            [
                run.id,
                [node_id for node_id, _ in statics],
                [pin for _, pin in statics],
                [dump(value) for value in statics.values()],
            ],
        )


def _load_sinks(run: LockedRun, node_ids: Collection[UUID]) -> tuple[dict[UUID, Sink], WaitingIds]:
    """Return the state of these nodes, and the ids of their waiting executions. The run's row must be locked."""
    sinks = {node_id: Sink() for node_id in node_ids}
    waiting_ids: WaitingIds = {}
    keys = list(node_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.node_id, COALESCE((SELECT max(ordinal) + 1 FROM execution_nodeexecution n"
            " WHERE n.execution_id = %s AND n.node_id = s.node_id), 0) FROM unnest(%s::uuid[]) AS s(node_id)",
            [run.id, keys],
        )
        for node_id, opened in cursor.fetchall():
            sinks[node_id].opened = opened
        cursor.execute(
            "SELECT n.id, n.node_id, n.ordinal,"
            " ARRAY(SELECT pin FROM execution_nodeinput i WHERE i.node_execution_id = n.id)"
            " FROM execution_nodeexecution n"
            " WHERE n.execution_id = %s AND n.node_id = ANY(%s) AND n.status = 'INCOMPLETE' ORDER BY n.ordinal",
            [run.id, keys],
        )
        for key, node_id, ordinal, pins in cursor.fetchall():
            sinks[node_id].waiting.append(Firing(node_id=node_id, ordinal=ordinal, pins=set(pins)))
            waiting_ids[node_id, ordinal] = key
        if any(run.graph.plan.nodes[node_id].static for node_id in node_ids):
            cursor.execute(
                "SELECT node_id, pin, value FROM execution_staticvalue WHERE execution_id = %s AND node_id = ANY(%s)",
                [run.id, keys],
            )
            for node_id, pin, value in cursor.fetchall():
                sinks[node_id].statics[pin] = value
    return sinks, waiting_ids
