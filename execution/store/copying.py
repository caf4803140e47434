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
from execution.store.inputs import SELECT_INPUTS
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
    """Return SQL for the text of a value as the replay has it: a large one lies with its own files."""
    return f"CASE WHEN {value}::text ~ %(stored)s THEN replace({value}::text, %(old)s, %(new)s) ELSE {value}::text END"


# What was reused happened a moment ago, one thing after the other: the replay may be replayed itself.
_COPY_NODES: Final = f"""
INSERT INTO execution_nodeexecution
       (id, execution_id, tree_id, node_id, ordinal, queue, status, inputs, output_count, reused_from,
        opened_at, queued_at, started_at, ended_at)
SELECT r.id, %(run)s, %(run)s, r.node_id, r.ordinal, r.queue, 'COMPLETED',
       (SELECT '{{' || COALESCE(string_agg(v.pin::text || ':' || {_own("v.value")}, ','), '') || '}}'
          FROM ({SELECT_INPUTS}) AS v)::json,
       r.outputs, n.id, t, t, t, t
  FROM unnest(%(ids)s::uuid[], %(nodes)s::uuid[], %(ordinals)s::int[], %(queues)s::text[], %(counts)s::int[],
              %(origins)s::uuid[], %(moments)s::int[])
       AS r(id, node_id, ordinal, queue, outputs, origin, moment)
  JOIN execution_nodeexecution n ON n.id = r.origin,
       LATERAL (SELECT %(now)s::timestamptz + r.moment * interval '1 microsecond' AS t) AS at
"""  # noqa: S608 - made of constants

_COPY_OUTPUTS: Final = f"""
INSERT INTO execution_output (node_execution_id, position, pin, value, recorded_at)
SELECT r.id, o.position, o.pin, ({_own("o.value")})::json,
       %(now)s::timestamptz + r.moment * interval '1 microsecond'
  FROM unnest(%(ids)s::uuid[], %(origins)s::uuid[], %(positions)s::int[], %(moments)s::int[])
       AS r(id, origin, position, moment)
  JOIN execution_output o ON o.node_execution_id = r.origin AND o.position = r.position
"""  # noqa: S608 - made of constants


def _where_marked(rest: str) -> str:
    """Return SQL for the output that is meant; `rest` is what follows a mark, or nothing."""
    return (
        f"o.node_execution_id = NULLIF(split_part({rest}, ':', 1), '')::uuid"
        f" AND o.position = NULLIF(split_part({rest}, ':', 2), '')::int"
    )


def _fill(table: str, where: str) -> str:
    """Return SQL that puts values where the rows of a replay have a mark instead, and nothing else."""
    return (
        f"UPDATE {table} v SET value = ({_own('o.value')})::json FROM execution_output o"  # noqa: S608 - made of constants
        f" WHERE {where} AND {_where_marked('split_part(v.value::text, %(mark)s, 2)')}"
    )


# Text is cut at the marks: PostgreSQL can't take `json` with \u0000 apart.
_FILL_NODES: Final = f"""
UPDATE execution_nodeexecution n SET inputs = (split_part(n.inputs::text, %(mark)s, 1) || (
       SELECT string_agg({_own("o.value")} || substr(rest, position('"' IN rest) + 1), '' ORDER BY number)
         FROM unnest((string_to_array(n.inputs::text, %(mark)s))[2:]) WITH ORDINALITY AS piece(rest, number)
         JOIN execution_output o ON {_where_marked("rest")}))::json
 WHERE n.execution_id = %(run)s AND n.reused_from IS NULL AND position(%(mark)s IN n.inputs::text) > 0
"""  # noqa: S608 - made of constants

_FILL_INPUTS: Final = _fill(
    "execution_nodeinput",
    "v.node_execution_id IN (SELECT id FROM execution_nodeexecution"
    " WHERE execution_id = %(run)s AND reused_from IS NULL)",
)
_FILL_STATICS: Final = _fill("execution_staticvalue", "v.execution_id = %(run)s")
_FILL_RUN_OUTPUTS: Final = _fill("execution_runoutput", "v.execution_id = %(run)s")


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
