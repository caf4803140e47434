"""Copying what a replay takes from its origin, within the database: no value leaves it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from execution.engine.rehearsal import PastFiring, Played
from execution.large_values import VALUES_FOLDER
from execution.run_files import FilesOfRun
from execution.store.batches import Batch
from execution.store.past import STORED_FORM
from execution.store.runs import LockedRun
from execution.store.starting import Order
from graphs.models import new_id


@dataclass(frozen=True, kw_only=True)
class Copied:
    """How many node executions were taken over, and when the first of them is said to have begun."""

    count: int
    began: datetime | None


def _own(value: str) -> str:
    """Return SQL for a value as the replay has it: a large one lies with its own files."""
    return f"CASE WHEN {value}::text ~ %(stored)s THEN replace({value}::text, %(old)s, %(new)s)::json ELSE {value} END"


# What was reused happened a moment ago, one thing after the other: the replay may be replayed itself.
_COPY_NODES: Final = f"""
INSERT INTO execution_nodeexecution
       (id, execution_id, tree_id, node_id, ordinal, queue, status, inputs, output_count, reused_from,
        opened_at, queued_at, started_at, ended_at)
SELECT r.id, %(run)s, %(run)s, r.node_id, r.ordinal, r.queue, 'COMPLETED',
       COALESCE((SELECT json_object_agg(v.pin, {_own("v.value")}) FROM (
           SELECT key AS pin, value FROM json_each(n.inputs)
           UNION ALL SELECT pin, value FROM execution_nodeinput i WHERE i.node_execution_id = n.id) AS v), '{{}}'),
       r.outputs, n.id, t, t, t, t
  FROM unnest(%(ids)s::uuid[], %(nodes)s::uuid[], %(ordinals)s::int[], %(queues)s::text[], %(counts)s::int[],
              %(origins)s::uuid[], %(moments)s::int[])
       AS r(id, node_id, ordinal, queue, outputs, origin, moment)
  JOIN execution_nodeexecution n ON n.id = r.origin,
       LATERAL (SELECT %(now)s::timestamptz + r.moment * interval '1 microsecond' AS t) AS at
"""  # noqa: S608 - made of constants

_COPY_OUTPUTS: Final = f"""
INSERT INTO execution_output (node_execution_id, position, pin, value, recorded_at)
SELECT r.id, o.position, o.pin, {_own("o.value")}, %(now)s::timestamptz + r.moment * interval '1 microsecond'
  FROM unnest(%(ids)s::uuid[], %(origins)s::uuid[], %(positions)s::int[], %(moments)s::int[])
       AS r(id, origin, position, moment)
  JOIN execution_output o ON o.node_execution_id = r.origin AND o.position = r.position
"""  # noqa: S608 - made of constants


def _where_marked(value: str) -> str:
    """Return SQL for the output that a mark stands for."""
    return (
        f"o.node_execution_id = ({value} #>> ARRAY[%(mark)s, '0'])::uuid"
        f" AND o.position = ({value} #>> ARRAY[%(mark)s, '1'])::int"
    )


# Where the rows of a replay have a mark instead of a value.
_FILL_NODES: Final = f"""
UPDATE execution_nodeexecution n SET inputs = (
       SELECT json_object_agg(e.key, CASE WHEN o.position IS NULL THEN e.value ELSE {_own("o.value")} END
                              ORDER BY e.number)
         FROM json_each(n.inputs) WITH ORDINALITY AS e(key, value, number)
         LEFT JOIN execution_output o ON {_where_marked("e.value")})
 WHERE n.execution_id = %(run)s AND n.reused_from IS NULL AND position(%(mark)s IN n.inputs::text) > 0
"""  # noqa: S608 - made of constants

_FILL_INPUTS: Final = f"""
UPDATE execution_nodeinput i SET value = {_own("o.value")}
  FROM execution_nodeexecution n, execution_output o
 WHERE n.execution_id = %(run)s AND n.reused_from IS NULL AND i.node_execution_id = n.id AND {_where_marked("i.value")}
"""  # noqa: S608 - made of constants

_FILL_STATICS: Final = f"""
UPDATE execution_staticvalue s SET value = {_own("o.value")}
  FROM execution_output o WHERE s.execution_id = %(run)s AND {_where_marked("s.value")}
"""  # noqa: S608 - made of constants

_FILL_RUN_OUTPUTS: Final = f"""
UPDATE execution_runoutput r SET value = {_own("o.value")}
  FROM execution_output o WHERE r.execution_id = %(run)s AND {_where_marked("r.value")}
"""  # noqa: S608 - made of constants


def copy_reused(order: Order, origin_id: UUID, reused: Sequence[tuple[Played, PastFiring]]) -> Copied:
    """Write what a run takes over from its origin. The run itself may be written later in the transaction."""
    if not reused:
        return Copied(count=0, began=None)
    batch, ids = Batch(sends_at_once=True), [new_id() for _ in reused]
    last = max(played.moments[-1] for played, _ in reused)
    ((now,),) = batch.fetch("SELECT clock_timestamp() - %s * interval '1 microsecond'", [last])
    folders = _name_folders(order.user_id, origin_id=origin_id, run_id=order.id)
    batch.ask(
        _COPY_NODES,
        {
            **folders,
            "run": order.id,
            "now": now,
            "ids": ids,
            "nodes": [played.node_id for played, _ in reused],
            "ordinals": [played.ordinal for played, _ in reused],
            "queues": [order.graph.specs[played.node_id].queue for played, _ in reused],
            "counts": [len(past.outputs) for _, past in reused],
            "origins": [past.id for _, past in reused],
            "moments": [played.moments[-1] for played, _ in reused],
        },
    )
    outputs = [
        (key, past.id, position, played.moments[position])
        for key, (played, past) in zip(ids, reused, strict=True)
        for position in range(len(past.outputs))
    ]
    columns = [list(column) for column in zip(*outputs, strict=True)] or [[]] * 4
    named = dict(zip(("ids", "origins", "positions", "moments"), columns, strict=True))
    batch.ask(_COPY_OUTPUTS, {**folders, "now": now, **named})
    return Copied(count=len(reused), began=now)


def copy_values(run: LockedRun, origin_id: UUID, mark: str) -> None:
    """Put the origin's values where the rows of a run have marks; see `past.CopyingWriter`."""
    folders = _name_folders(run.user_id, origin_id=origin_id, run_id=run.id)
    for statement in (_FILL_NODES, _FILL_INPUTS, _FILL_STATICS, _FILL_RUN_OUTPUTS):
        run.batch.ask(statement, {**folders, "run": run.id, "mark": mark})


def _name_folders(user_id: int, *, origin_id: UUID, run_id: UUID) -> dict[str, Any]:
    old, new = (
        f"{FilesOfRun(user_id=str(user_id), execution_id=each).folder}/{VALUES_FOLDER}/" for each in (origin_id, run_id)
    )
    return {"stored": STORED_FORM, "old": old, "new": new}
