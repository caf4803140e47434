"""Deliveries: ask the engine what they change, and write that down."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from execution.engine.dataflow import Deliveries, Emission, Firing, deliver
from execution.engine.outputs import run_outputs
from execution.paces import paces
from execution.prices import may_cost
from execution.queues import CPU_QUEUE
from execution.store.ahead import write_foreseen
from execution.store.filling import add_inputs
from execution.store.opening import open_claim
from execution.store.reach import Reach, Waiting, WaitingByOrdinal, ask_for_reach, read_sinks
from execution.store.round_trips import Prepared
from execution.store.runs import LockedRun, wake
from execution.store.window import FEW_MESSAGES, may_exceed_window
from graphs.models import new_id

_LEAVE = Prepared(
    "leave",
    "run uuid, first int, names text[], texts text[]",
    """
INSERT INTO execution_runoutput (execution_id, position, name, value)
SELECT %(run)s, o.position - 1 + %(first)s, o.name, o.value::json
  FROM unnest(%(names)s, %(texts)s) WITH ORDINALITY AS o(name, value, position)
""",
)

_OPEN = Prepared(
    "open",
    "run uuid, tree uuid, held_back bool, ids uuid[], nodes uuid[], ordinals int[], queues text[], ready bool[],"
    " inputs text[], paid bool[]",
    """
INSERT INTO execution_nodeexecution
       (id, execution_id, tree_id, node_id, ordinal, queue, status, inputs, opened_at, queued_at, held_back, is_paid)
SELECT f.id, %(run)s, %(tree)s, f.node_id, f.ordinal, f.queue,
       CASE WHEN f.ready THEN 'QUEUED' ELSE 'INCOMPLETE' END, f.inputs::json, clock_timestamp(),
       CASE WHEN f.ready THEN clock_timestamp() END, f.ready AND %(held_back)s, f.is_paid
  FROM unnest(%(ids)s, %(nodes)s, %(ordinals)s, %(queues)s, %(ready)s, %(inputs)s, %(paid)s)
       AS f(id, node_id, ordinal, queue, ready, inputs, is_paid)
""",
)

_QUEUE = Prepared(
    "queue",
    "ids uuid[], held_back bool",
    """
UPDATE execution_nodeexecution SET status = 'QUEUED', queued_at = clock_timestamp(), held_back = %(held_back)s
 WHERE id = ANY(%(ids)s) AND (status = 'INCOMPLETE') IS TRUE
""",
)

_REMEMBER = Prepared(
    "remember",
    "run uuid, nodes uuid[], pins text[], texts text[]",
    """
INSERT INTO execution_staticvalue (execution_id, node_id, pin, value)
SELECT %(run)s, s.node_id, s.pin, s.value::json FROM unnest(%(nodes)s, %(pins)s, %(texts)s) AS s(node_id, pin, value)
    ON CONFLICT (execution_id, node_id, pin) DO UPDATE SET value = EXCLUDED.value
""",
)


def travel(run: LockedRun, travelling: Sequence[tuple[UUID, Sequence[tuple[str, Any]]]], reach: Reach) -> None:
    """Carry what nodes emitted over their links, in order, and out of the run what OUTPUT nodes did."""
    plan = run.graph.plan
    emissions = [Emission(node_id, pin, value) for node_id, outputs in travelling for pin, value in outputs]
    if not emissions:
        return
    leave(run, [out for node_id, outputs in travelling for out in run_outputs(plan.nodes[node_id], outputs)])
    if not reach.node_ids:
        return
    emitted, is_blurred = Counter(emission.node_id for emission in emissions), reach.is_blurred(run.masks)
    if is_blurred or not reach.suffices(emitted):
        # What was held back comes along, or a mask: once more, with that known.
        reach = ask_for_reach(run.batch, execution_id=run.id, plan=plan, emitted=emitted, sharply=is_blurred)
    sinks, waiting = read_sinks(reach)
    write_deliveries(run, deliver(plan, sinks=sinks, emissions=emissions, masks=run.masks), waiting)


def leave(run: LockedRun, outputs: Sequence[tuple[str, Any]]) -> None:
    """Add to the run's outputs; whoever waits for them as a sub-run's is woken."""
    if not outputs:
        return
    run.batch.ask(
        _LEAVE,
        {
            "run": run.id,
            "first": run.output_count,
            "names": [name for name, _ in outputs],
            "texts": [run.writer.write(value) for _, value in outputs],
        },
    )
    run.output_count += len(outputs)
    run.ready.extend(wake([run.parent_id] if run.parent_id else [], batch=run.batch))


def write_deliveries(run: LockedRun, deliveries: Deliveries, waiting: WaitingByOrdinal) -> None:
    """Write opened, filled and ready node executions and static values; count and announce them.

    Those that the window may have no room for are held back, behind those that were before; `release_next` sends them.
    So are those that few messages will do for: whoever comes takes several.
    """
    keys = [(firing.node_id, firing.ordinal) for firing in deliveries.firings]
    known = {key: waiting.get(key) or Waiting(id=new_id()) for key in keys}
    run.opened += deliveries.opened
    run.unfinished += len(deliveries.ready)
    done = write_foreseen(run, deliveries, waiting)
    taken = _take(run, [firing for firing in deliveries.ready if firing not in done], known)
    left = [firing for firing in deliveries.firings if firing not in taken and firing not in done]
    add_inputs(run, [firing for firing in taken if not firing.is_new], known)
    if run.taker and taken:
        run.taker.ask_to_claim(run.batch)
    ready = [firing for firing in left if firing.is_ready]
    held_back = bool(ready) and not _are_sent(run, ready, knows_none=run.opened == deliveries.opened)
    _open(run, [firing for firing in left if firing.is_new], known, held_back=held_back)
    _fill(run, [firing for firing in left if not firing.is_new], known, held_back=held_back)
    _remember(run, deliveries.statics)
    if held_back:
        run.holds_back = run.has_held_back = True
        return
    for firing in ready:
        run.announce(known[firing.node_id, firing.ordinal].id, firing.node_id)


def _are_sent(run: LockedRun, ready: Sequence[Firing], *, knows_none: bool) -> bool:
    """Whether what became ready is sent at once. `knows_none`: the run begins with it."""
    specs = [run.graph.specs[firing.node_id] for firing in ready]
    queues = {spec.queue for spec in specs}
    # The paces are this process's: one that starts runs has none.
    run.few_will_do = queues == {CPU_QUEUE} and (knows_none or all(paces.is_quick(spec) for spec in specs))
    most = FEW_MESSAGES if run.taker is None else 1
    return (
        run.admitted
        and run.parent_id is None
        and not may_exceed_window(run.unfinished, queues=queues)
        and not (run.few_will_do and len(ready) > most)
    )


def _take(run: LockedRun, ready: Sequence[Firing], known: WaitingByOrdinal) -> list[Firing]:
    """Have some that are for processes like this one claimed by it, if it goes on."""
    taken: list[Firing] = []
    if run.taker is None or not run.admitted:
        return taken
    for firing in ready:
        if run.taker.has_room_for(run.graph.specs[firing.node_id]):
            key = known[firing.node_id, firing.ordinal].id
            text = run.writer.write_all(firing.added if firing.is_new else {})
            claimed = open_claim(run.taker.previous, firing, key=key, text=text)
            if claimed is not None:
                ready_one = run.describe(key, firing.node_id)
                run.taker.take(claimed, ready=ready_one, text=text if firing.is_new else None)
                taken.append(firing)
    return taken


def _open(run: LockedRun, firings: Sequence[Firing], known: WaitingByOrdinal, *, held_back: bool) -> None:
    if not firings:
        return
    run.batch.ask(
        _OPEN,
        {
            "run": run.id,
            "tree": run.tree_id,
            "held_back": held_back,
            "ids": [known[firing.node_id, firing.ordinal].id for firing in firings],
            "nodes": [firing.node_id for firing in firings],
            "ordinals": [firing.ordinal for firing in firings],
            "queues": [run.graph.specs[firing.node_id].queue for firing in firings],
            "ready": [firing.is_ready for firing in firings],
            "paid": [not run.simulate and may_cost(run.graph.specs[firing.node_id]) for firing in firings],
            "inputs": [run.writer.write_all(firing.added if firing.is_ready else {}) for firing in firings],
        },
    )
    add_inputs(run, [firing for firing in firings if not firing.is_ready], known)


def _fill(run: LockedRun, firings: Sequence[Firing], known: WaitingByOrdinal, *, held_back: bool) -> None:
    add_inputs(run, firings, known)
    ready = [known[firing.node_id, firing.ordinal].id for firing in firings if firing.is_ready]
    if ready:
        run.batch.ask(_QUEUE, {"ids": ready, "held_back": held_back})


def _remember(run: LockedRun, statics: Mapping[tuple[UUID, str], Any]) -> None:
    if not statics:
        return
    run.batch.ask(
        _REMEMBER,
        {
            "run": run.id,
            "nodes": [node_id for node_id, _ in statics],
            "pins": [pin for _, pin in statics],
            "texts": [run.writer.write(value) for value in statics.values()],
        },
    )
