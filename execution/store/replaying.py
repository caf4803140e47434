"""Replaying a run that has ended, from one of its node executions on, as a new run.

The engine plays the origin's outputs through the graph (`engine.rehearsal`); what comes of it is written as the state
in which the new run begins.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from execution.engine.dataflow import Deliveries, Firing
from execution.engine.rehearsal import PastFiring, Played, Rehearsal, find_changed
from execution.engine.statuses import ENDED, Status
from execution.exceptions import ExecutionNotFoundError, ExecutionNotReplayableError, ReplayInvalidError
from execution.large_values import read, read_all
from execution.planning import GraphPlan
from execution.store.admission import lock_admission
from execution.store.batches import Batch
from execution.store.flow import leave, write_deliveries
from execution.store.runs import LockedRun
from execution.store.starting import InputsOf, Order, Started, start_run
from execution.values import dump
from graphs.models import new_id


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What is replayed: a run of `graph`, from `node_execution_id` on."""

    execution_id: UUID
    node_execution_id: UUID
    graph: GraphPlan


# The end of a node execution is written before the outputs that came with it.
_LOAD_FIRINGS: Final = """
SELECT n.id, n.node_id, n.ordinal, n.status, n.inputs,
       (SELECT json_object_agg(pin, value) FROM execution_nodeinput i WHERE i.node_execution_id = n.id),
       EXTRACT(EPOCH FROM n.ended_at)::float8
  FROM execution_nodeexecution n WHERE n.execution_id = %s AND n.status IN ('COMPLETED', 'FAILED')
"""

_LOAD_OUTPUTS: Final = """
SELECT o.node_execution_id, o.pin, o.value, EXTRACT(EPOCH FROM o.recorded_at)::float8
  FROM execution_nodeexecution n JOIN execution_output o ON o.node_execution_id = n.id
 WHERE n.execution_id = %s AND n.status = 'COMPLETED' ORDER BY o.node_execution_id, o.position
"""

# What was reused happened a moment ago, one thing after the other: the replay may be replayed itself.
_WRITE_REUSED: Final = """
INSERT INTO execution_nodeexecution
       (id, execution_id, tree_id, node_id, ordinal, queue, status, inputs, output_count, reused_from,
        opened_at, queued_at, started_at, ended_at)
SELECT r.id, %(run)s, %(run)s, r.node_id, r.ordinal, r.queue, 'COMPLETED', r.inputs::json, r.outputs, r.reused_from,
       t, t, t, t
  FROM unnest(%(ids)s::uuid[], %(nodes)s::uuid[], %(ordinals)s::int[], %(queues)s::text[], %(inputs)s::text[],
              %(counts)s::int[], %(origins)s::uuid[], %(moments)s::int[])
       AS r(id, node_id, ordinal, queue, inputs, outputs, reused_from, moment),
       LATERAL (SELECT %(now)s::timestamptz + r.moment * interval '1 microsecond' AS t) AS at
"""

_WRITE_OUTPUTS: Final = """
INSERT INTO execution_output (node_execution_id, position, pin, value, recorded_at)
SELECT o.id, o.position, o.pin, o.value::json, %(now)s::timestamptz + o.moment * interval '1 microsecond'
  FROM unnest(%(ids)s::uuid[], %(positions)s::int[], %(pins)s::text[], %(values)s::text[], %(moments)s::int[])
       AS o(id, position, pin, value, moment)
"""

_DONT_BILL: Final = "UPDATE execution_execution SET billed_executions = billed_executions + %s WHERE id = %s"

_NAME_ORIGIN: Final = """
UPDATE execution_execution SET origin_id = %(origin)s, origin_node_execution_id = %(node)s WHERE id = %(run)s
"""

# What a simulated run remembers stays with the run at the top of its tree.
_REMEMBER: Final = """
INSERT INTO execution_simulatedvalue (execution_id, graph_id, key, value)
SELECT %(run)s, v.graph_id, v.key, v.value
  FROM execution_simulatedvalue v JOIN execution_execution e ON v.execution_id = COALESCE(e.root_id, e.id)
 WHERE e.id = %(origin)s
"""


def start_replay(order: Order, origin: Origin) -> Started:
    """Make a run that begins with what the origin can give it.

    Raises `ExecutionNotFoundError`, `ExecutionNotReplayableError`, `ReplayInvalidError`, `InputsUnknownError`.
    """
    with transaction.atomic():
        # Before any run, as whoever starts one does.
        lock_admission(Batch(sends_at_once=True), user_id=order.user_id)
        _lock(origin, order.graph)
        return start_run(order, begin=lambda run, inputs_of: _begin(run, inputs_of, origin))


def _lock(origin: Origin, graph: GraphPlan) -> None:
    """Keep the origin from being resumed or pruned meanwhile, and refuse what can't be replayed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT status FROM execution_execution WHERE id = %s FOR SHARE", [origin.execution_id])
        run = cursor.fetchone()
        cursor.execute(
            "SELECT node_id, queued_at IS NOT NULL FROM execution_nodeexecution WHERE id = %s AND execution_id = %s",
            [origin.node_execution_id, origin.execution_id],
        )
        chosen = cursor.fetchone()
    if run is None:
        raise ExecutionNotFoundError(f"There is no execution {origin.execution_id}.")
    if chosen is None:
        raise ExecutionNotFoundError(
            f"The execution {origin.execution_id} has no node execution {origin.node_execution_id}."
        )
    if run[0] not in ENDED:
        raise ExecutionNotReplayableError("The run has not ended yet: stop it, or wait until it has.")
    node_id, was_ready = chosen
    if not was_ready:
        raise ExecutionNotReplayableError("The node execution never got all its inputs: it has not run.")
    if node_id not in graph.plan.nodes:
        raise ReplayInvalidError(f"Version {graph.version} of the graph doesn't have the node {node_id}.")


def _begin(run: LockedRun, inputs_of: InputsOf, origin: Origin) -> None:
    past = _load_past(run.batch, origin, changed=_find_changed(origin.graph, run.graph))
    rehearsal = Rehearsal(run.graph.plan, past=past, inputs_of=inputs_of, masks=run.masks)
    names = {"run": run.id, "origin": origin.execution_id, "node": origin.node_execution_id}
    run.batch.ask(_NAME_ORIGIN, names)
    if run.simulate:
        run.batch.ask(_REMEMBER, names)
    _write_reused(run, [(each, each.reused) for each in rehearsal.played.values() if each.reused is not None])
    leave(run, rehearsal.outputs)
    opened = [_reopen(played) for played in rehearsal.played.values() if played.reused is None]
    statics = {(node_id, pin): value for node_id, s in rehearsal.sinks.items() for pin, value in s.statics.items()}
    write_deliveries(run, Deliveries(firings=tuple(opened), statics=statics), {})


def _find_changed(old: GraphPlan, new: GraphPlan) -> frozenset[UUID]:
    """Return the nodes that are not what they were; an agent's constants also say which graph it runs."""
    agents = {
        node_id
        for node_id, spec in new.specs.items()
        if node_id in old.specs and dump(spec.constants) != dump(old.specs[node_id].constants)
    }
    return find_changed(old.plan, new.plan) | agents


def _load_past(batch: Batch, origin: Origin, *, changed: Collection[UUID]) -> list[PastFiring]:
    firings = batch.ask(_LOAD_FIRINGS, [origin.execution_id])
    outputs: dict[UUID, list[tuple[str, Any, float]]] = {}
    for key, pin, value, moment in batch.fetch(_LOAD_OUTPUTS, [origin.execution_id]):
        outputs.setdefault(key, []).append((pin, read(value), moment))
    past = []
    for key, node_id, ordinal, status, inputs, later, ended_at in firings.rows:
        emitted = outputs.get(key, [])
        moments = [moment for _, _, moment in emitted]
        past.append(
            PastFiring(
                id=key,
                node_id=node_id,
                ordinal=ordinal,
                inputs=read_all({**inputs, **(later or {})}),
                outputs=tuple((pin, value) for pin, value, _ in emitted),
                moments=(*moments, max(ended_at, *moments[-1:])) if moments else (ended_at,),
                is_reusable=(status == Status.COMPLETED and key != origin.node_execution_id and node_id not in changed),
            )
        )
    return past


def _write_reused(run: LockedRun, reused: Sequence[tuple[Played, PastFiring]]) -> None:
    if not reused:
        return
    ids = [new_id() for _ in reused]
    last = max(played.moments[-1] for played, _ in reused)
    ((now,),) = run.batch.fetch("SELECT clock_timestamp() - %s * interval '1 microsecond'", [last])
    run.batch.ask(
        _WRITE_REUSED,
        {
            "run": run.id,
            "now": now,
            "ids": ids,
            "nodes": [played.node_id for played, _ in reused],
            "ordinals": [played.ordinal for played, _ in reused],
            "queues": [run.graph.specs[played.node_id].queue for played, _ in reused],
            "inputs": [run.writer.write_all(played.inputs) for played, _ in reused],
            "counts": [len(past.outputs) for _, past in reused],
            "origins": [past.id for _, past in reused],
            "moments": [played.moments[-1] for played, _ in reused],
        },
    )
    run.batch.ask(_WRITE_OUTPUTS, {"now": now, **_columns_of_outputs(run, ids, [played for played, _ in reused])})
    # Nobody pays again for what is reused.
    run.batch.ask(_DONT_BILL, [len(reused), run.id])
    run.opened += len(reused)
    run.ended += len(reused)


def _columns_of_outputs(run: LockedRun, ids: Sequence[UUID], reused: Iterable[Played]) -> Mapping[str, list[Any]]:
    columns: dict[str, list[Any]] = {"ids": [], "positions": [], "pins": [], "values": [], "moments": []}
    for key, played in zip(ids, reused, strict=True):
        for position, (pin, value) in enumerate(played.emitted):
            columns["ids"].append(key)
            columns["positions"].append(position)
            columns["pins"].append(pin)
            columns["values"].append(run.writer.write(value))
            columns["moments"].append(played.moments[position])
    return columns


def _reopen(played: Played) -> Firing:
    return Firing(
        node_id=played.node_id,
        ordinal=played.ordinal,
        added=dict(played.inputs),
        is_new=True,
        is_ready=played.is_ready,
    )
