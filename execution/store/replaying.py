"""Replaying a run that has ended, from one of its node executions on, as a new run.

The engine plays the origin's outputs through the graph (`engine.rehearsal`); what comes of it is written as the state
in which the new run begins. Values don't come along: the database copies them, the storage gives files a second name.
All that takes time happens before anybody has to wait for it: what is locked at the end is looked at again there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from execution.engine.dataflow import Deliveries, Firing
from execution.engine.rehearsal import Played, Rehearsal, find_changed
from execution.engine.statuses import ENDED
from execution.exceptions import (
    ExecutionError,
    ExecutionNotFoundError,
    ExecutionNotReplayableError,
    ReplayInvalidError,
)
from execution.large_values import share
from execution.planning import GraphPlan
from execution.run_files import FilesOfRun
from execution.store.admission import lock_admission
from execution.store.batches import Batch
from execution.store.copying import Copied, copy_reused, copy_values
from execution.store.flow import leave, write_deliveries
from execution.store.past import DISTANT, CopyingWriter, find_files, know, load_past
from execution.store.runs import LockedRun
from execution.store.starting import KEEP_GRAPHS, Order, Started, Written, place_inputs, start_run, write_values
from execution.values import dump
from graphs.exceptions import GraphNotFoundError


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What is replayed: a run of `graph`, from `node_execution_id` on."""

    execution_id: UUID
    node_execution_id: UUID
    graph: GraphPlan


@dataclass(frozen=True, kw_only=True)
class _Beginning:
    """What a replay begins with: what has left it, what is opened, who writes that, and what was copied before."""

    outputs: Sequence[tuple[str, Any]]
    rest: Deliveries
    writer: CopyingWriter
    copied: Copied


_LOOK: Final = """
SELECT e.status, e.resumptions, e.event_number, n.node_id, n.queued_at IS NOT NULL
  FROM execution_execution e LEFT JOIN execution_nodeexecution n ON n.execution_id = e.id AND n.id = %(node)s
 WHERE e.id = %(run)s
"""

_DONT_BILL: Final = "UPDATE execution_execution SET billed_executions = billed_executions + %s WHERE id = %s"

# It was made when its first rows were.
_NAME_ORIGIN: Final = """
UPDATE execution_execution
   SET origin_id = %(origin)s, origin_node_execution_id = %(node)s, created_at = LEAST(created_at, %(began)s)
 WHERE id = %(run)s
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

    Raises `ExecutionNotFoundError`, `ExecutionNotReplayableError`, `ReplayInvalidError`, `InputsUnknownError`, and
    `GraphNotFoundError` if the graph was deleted meanwhile.
    """
    seen = _look(origin, order.graph)
    played = _rehearse(order, origin)
    files = FilesOfRun(user_id=str(order.user_id), execution_id=order.id)
    share((path for each in played.played.values() for path in find_files(each)), files)
    writer = CopyingWriter(files)
    rest = _list_rest(played)
    written = _write_large(order, rest, writer)
    try:
        with transaction.atomic():
            reused = [(each, each.reused) for each in played.played.values() if each.reused is not None]
            copied = copy_reused(order, origin.execution_id, reused)
            batch = Batch(sends_at_once=True)
            # The graph first, and both before any run, as whoever starts one does.
            batch.ask(KEEP_GRAPHS, {"versions": [order.graph.version_id]})
            lock_admission(batch, user_id=order.user_id)
            if _look(origin, order.graph, lock=True) != seen:
                raise ExecutionNotReplayableError("The run has gone on meanwhile: replay it again as it is now.")
            beginning = _Beginning(outputs=played.outputs, rest=rest, writer=writer, copied=copied)
            return start_run(order, begin=lambda run, _: _begin(run, origin, beginning), written=written)
    except (ExecutionError, GraphNotFoundError):
        files.remove()
        raise


def _look(origin: Origin, graph: GraphPlan, *, lock: bool = False) -> Sequence[Any]:
    """Refuse what can't be replayed; return what changes with the origin. `lock` keeps it from changing."""
    with connection.cursor() as cursor:
        cursor.execute(
            _LOOK + (" FOR SHARE OF e" if lock else ""), {"run": origin.execution_id, "node": origin.node_execution_id}
        )
        found: Sequence[Any] | None = cursor.fetchone()
    if found is None:
        raise ExecutionNotFoundError(f"There is no execution {origin.execution_id}.")
    status, _resumptions, _events, node_id, was_ready = found
    if node_id is None:
        raise ExecutionNotFoundError(
            f"The execution {origin.execution_id} has no node execution {origin.node_execution_id}."
        )
    if status not in ENDED:
        raise ExecutionNotReplayableError("The run has not ended yet: stop it, or wait until it has.")
    if not was_ready:
        raise ExecutionNotReplayableError("The node execution never got all its inputs: it has not run.")
    if node_id not in graph.plan.nodes:
        raise ReplayInvalidError(f"Version {graph.version} of the graph doesn't have the node {node_id}.")
    return found


def _rehearse(order: Order, origin: Origin) -> Rehearsal:
    return Rehearsal(
        order.graph.plan,
        past=load_past(
            origin.execution_id, from_id=origin.node_execution_id, changed=_find_changed(origin.graph, order.graph)
        ),
        inputs_of={
            node_id: {pin: know(value) for pin, value in inputs.items()}
            for node_id, inputs in place_inputs(order).items()
        },
        masks=order.graph.mask_pins(order.masks, simulate=order.simulate),
        values=DISTANT,
    )


def _list_rest(rehearsal: Rehearsal) -> Deliveries:
    """Return what is not reused: it is opened, and waits or is ready."""
    return Deliveries(
        firings=tuple(_reopen(played) for played in rehearsal.played.values() if played.reused is None),
        statics={(node_id, pin): value for node_id, s in rehearsal.sinks.items() for pin, value in s.statics.items()},
    )


def _write_large(order: Order, rest: Deliveries, writer: CopyingWriter) -> Written:
    """Write what goes to the storage: that takes its time. The writer knows it when rows are made of it."""
    written = write_values(order, writer=writer)
    for value in chain(rest.statics.values(), *(firing.added.values() for firing in rest.firings)):
        writer.write(value)
    return written


def _begin(run: LockedRun, origin: Origin, beginning: _Beginning) -> None:
    writer, copied = beginning.writer, beginning.copied
    names = {"run": run.id, "origin": origin.execution_id, "node": origin.node_execution_id, "began": copied.began}
    run.batch.ask(_NAME_ORIGIN, names)
    if run.simulate:
        run.batch.ask(_REMEMBER, names)
    # Nobody pays again for what is reused.
    run.batch.ask(_DONT_BILL, [copied.count, run.id])
    run.opened += copied.count
    run.ended += copied.count
    leave(run, beginning.outputs)
    write_deliveries(run, beginning.rest, {})
    copy_values(run, origin.execution_id, writer.mark)


def _find_changed(old: GraphPlan, new: GraphPlan) -> frozenset[UUID]:
    """Return the nodes that are not what they were; an agent's constants also say which graph it runs."""
    agents = {
        node_id
        for node_id, spec in new.specs.items()
        if node_id in old.specs and dump(spec.constants) != dump(old.specs[node_id].constants)
    }
    return find_changed(old.plan, new.plan) | agents


def _reopen(played: Played) -> Firing:
    return Firing(
        node_id=played.node_id,
        ordinal=played.ordinal,
        added=dict(played.inputs),
        is_new=True,
        is_ready=played.is_ready,
    )
