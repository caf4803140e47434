"""Runs: their lock, their counters, their end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from execution.engine.dataflow import Masks, lacking_pins
from execution.engine.statuses import Status
from execution.large_values import ValueWriter
from execution.planning import GraphPlan, load_plan
from execution.run_files import FilesOfRun
from execution.store.admission import ask_to_admit
from execution.store.batches import Answer, Batch
from execution.store.charging import ask_to_settle
from execution.store.parts import Foreseen
from execution.store.ready import Ready, describe_ready
from execution.store.round_trips import Prepared, Row
from execution.store.taking import Taker
from execution.store.trees import ENDED_CHANNEL, terminate_below
from execution.store.window import ask_to_release
from execution.values import dump


@dataclass(kw_only=True)
class LockedRun:
    """A run whose row this transaction holds. The counters are changes, written once by `save_run`.

    What changes it goes through `batch`. It `holds_back` if something was seen in it that has no message yet, and
    `has_held_back` if this transaction has done so; `few_will_do`: a few messages for that, each is quick, or nobody
    knows. `taker` takes something that becomes ready. `ended_below` are runs below it that this transaction has ended;
    `save_run` settles what they cost. `foreseen` is what was run ahead.
    """

    id: UUID
    user_id: int
    status: Status
    admitted: bool
    graph: GraphPlan
    nodes_input_masks: Mapping[str, Mapping[str, Any]]
    simulate: bool
    max_node_executions: int
    on_error: str
    parent_id: UUID | None
    tree_id: UUID
    unfinished: int
    opened: int
    output_count: int
    resumptions: int
    node_count: int
    batch: Batch
    opened_before: int = 0
    holds_back: bool = False
    has_held_back: bool = False
    few_will_do: bool = False
    foreseen: Sequence[Foreseen] = ()
    has_opened_foreseen: bool = False
    taker: Taker | None = None
    ended: int = 0
    errors: int = 0
    walltime: float = 0.0
    cputime: float = 0.0
    ready: list[Ready] = field(default_factory=list)
    released: list[Answer] = field(default_factory=list)
    ended_below: list[UUID] = field(default_factory=list)
    is_saved: bool = False
    billed: list[Answer] = field(default_factory=list)

    @cached_property
    def masks(self) -> Masks:
        """The pins that need no link."""
        return self.graph.mask_pins(self.nodes_input_masks, simulate=self.simulate)

    @cached_property
    def writer(self) -> ValueWriter:
        """Writes the run's values."""
        return ValueWriter(FilesOfRun(user_id=str(self.user_id), execution_id=self.id))

    def announce(self, node_execution_id: UUID, node_id: UUID) -> None:
        """Note that a node execution of this run became QUEUED."""
        self.ready.append(self.describe(node_execution_id, node_id))

    def describe(self, node_execution_id: UUID, node_id: UUID) -> Ready:
        """Return where a node execution of this run is to be sent."""
        spec = self.graph.specs[node_id]
        return Ready(id=node_execution_id, queue=spec.queue, name=spec.name, is_revocable=not self.resumptions)

    def release_next(self) -> None:
        """Queue what the window of the run's tree has room for. Last, as it locks node executions of other runs."""
        self.released.append(ask_to_release(self.batch, self.tree_id, few=self.few_will_do))

    def all_ready(self) -> tuple[Ready, ...]:
        """Return everything that became QUEUED. The batch is sent for it."""
        return (*self.ready, *(ready for answer in self.released for ready in describe_ready(answer.rows)))


LOCK_RUN = Prepared(
    "lock_run",
    "run uuid",
    """
SELECT id, user_id, status, admitted, graph_version_id, nodes_input_masks, simulate, max_node_executions, on_error,
       parent_id, COALESCE(root_id, id), unfinished, opened, opened_before, output_count, resumptions, node_count
  FROM execution_execution WHERE id = %(run)s FOR NO KEY UPDATE
""",
)


def lock_run(execution_id: UUID, *, batch: Batch | None = None) -> LockedRun | None:
    """Lock a run's row until the transaction ends; None if there is no such run."""
    batch = batch or Batch(sends_at_once=True)
    rows = batch.fetch(LOCK_RUN, {"run": execution_id})
    return read_run(rows[0], batch) if rows else None


def read_run(row: Row, batch: Batch) -> LockedRun:
    """Return the run that a row of `LOCK_RUN` tells of."""
    key, user_id, status, admitted, version_id, masks, simulate, limit, on_error, parent_id, tree_id, *counters = row
    unfinished, opened, opened_before, output_count, resumptions, node_count = counters
    return LockedRun(
        id=key,
        user_id=user_id,
        status=Status(status),
        admitted=admitted,
        graph=load_plan(version_id),
        nodes_input_masks=masks,
        simulate=simulate,
        max_node_executions=limit,
        on_error=on_error,
        parent_id=parent_id,
        tree_id=tree_id,
        unfinished=unfinished,
        opened=opened,
        opened_before=opened_before,
        output_count=output_count,
        resumptions=resumptions,
        node_count=node_count,
        batch=batch,
    )


@dataclass(frozen=True, kw_only=True)
class Saving:
    """How the counters of a run are written, in SQL: for whoever writes more of its row with them."""

    parameters: str
    columns: str


SAVING = Saving(
    parameters="run uuid, unfinished int, opened int, outputs int, ended int, errors int, walltime float8,"
    " cputime float8",
    columns="""unfinished = %(unfinished)s, opened = %(opened)s, output_count = %(outputs)s,
       node_count = node_count + %(ended)s, node_error_count = node_error_count + %(errors)s,
       nodes_walltime = nodes_walltime + %(walltime)s, nodes_cputime = nodes_cputime + %(cputime)s,
       event_number = event_number + 1, recorded_at = clock_timestamp()""",
)

_SAVE_RUN = Prepared(
    "save_run",
    SAVING.parameters,
    f"UPDATE execution_execution SET {SAVING.columns} WHERE id = %(run)s",  # noqa: S608
)

_END_RUN = Prepared(
    "end_run",
    "id uuid, status text, error text, warnings text",
    """
UPDATE execution_execution
   SET status = %(status)s, error = %(error)s, warnings = %(warnings)s::json, unfinished = 0,
       started_at = COALESCE(started_at, clock_timestamp()), ended_at = clock_timestamp()
 WHERE id = %(id)s AND status = ANY('{QUEUED,RUNNING}')
""",
)

_TELL_END = Prepared("tell_end", "channel text, id text", "SELECT pg_notify(%(channel)s, %(id)s)")


def describe_counters(run: LockedRun) -> dict[str, Any]:
    """Return the parameters of `SAVING`. The run counts as saved with that: whoever asks again finds nothing to add."""
    counters = {
        "run": run.id,
        "unfinished": run.unfinished,
        "opened": run.opened,
        "outputs": run.output_count,
        "ended": run.ended,
        "errors": run.errors,
        "walltime": run.walltime,
        "cputime": run.cputime,
    }
    run.node_count += run.ended
    run.ended, run.errors, run.walltime, run.cputime, run.is_saved = 0, 0, 0.0, 0.0, True
    return counters


def save_counters(run: LockedRun) -> None:
    """Write the counters."""
    run.batch.ask(_SAVE_RUN, describe_counters(run))


def save_run(run: LockedRun, *, failure: str = "", is_saved_later: bool = False) -> None:
    """Write the counters; end the run if it fails, has opened more than it may, or has nothing left to do.

    `is_saved_later`: the caller writes the counters of a run that goes on, with something else.
    """
    is_over_limit = run.opened - run.opened_before > run.max_node_executions
    is_over = bool(failure) or is_over_limit or run.unfinished == 0
    if is_over or run.ended_below or not is_saved_later:
        save_counters(run)
    if failure:
        end_run(run, Status.FAILED, error=failure)
    elif is_over_limit:
        end_run(run, Status.FAILED, error=_explain_limit(run))
    elif is_over:
        end_run(run, Status.COMPLETED)
    elif run.ended_below:
        run.billed = ask_to_settle(run.batch, run.ended_below)


def end_run(run: LockedRun, status: Status, *, error: str = "") -> None:
    """End a locked run, what is unfinished in it, and the runs below it; wake the node execution that waits for it."""
    # Whoever has recorded all that was opened has nothing to warn of.
    warnings = _list_warnings(run) if status is Status.COMPLETED and run.opened != run.node_count else []
    if status is not Status.COMPLETED:
        run.batch.flush()
        run.ended_below += terminate_below(run.id, error="The run that started it has ended.")
        run.ready.clear()
        run.released.clear()
        if run.taker:
            run.taker.start_over()
    run.batch.ask(_END_RUN, {"status": status, "error": error, "warnings": dump(warnings), "id": run.id})
    run.batch.ask(_TELL_END, {"channel": ENDED_CHANNEL, "id": str(run.id)})
    run.status, run.unfinished = status, 0
    if run.parent_id is not None:
        run.ready.extend(wake([run.parent_id], batch=run.batch))
    else:
        run.released.append(ask_to_admit(run.batch, user_id=run.user_id))
    # Last: an account is locked after all runs and node executions.
    completed = status is Status.COMPLETED and not run.ended_below
    run.billed = ask_to_settle(run.batch, [run.id, *run.ended_below], have_completed=completed)


_WAKE = Prepared(
    "wake",
    "ids uuid[]",
    """
UPDATE execution_nodeexecution n SET status = 'QUEUED', queued_at = clock_timestamp(), wake_at = NULL
  FROM execution_execution e
 WHERE n.id = ANY(%(ids)s) AND (n.status IN ('SUSPENDED', 'REVIEW')) IS TRUE AND e.id = n.execution_id
RETURNING n.id, n.node_id, e.graph_version_id
""",
)


def wake(node_execution_ids: Iterable[UUID], *, batch: Batch | None = None) -> list[Ready]:
    """Queue suspended node executions again: what they waited for is there."""
    ids = list(node_execution_ids)
    if not ids:
        return []
    return describe_ready((batch or Batch()).fetch(_WAKE, {"ids": ids}))


def _explain_limit(run: LockedRun) -> str:
    ((node_id, count),) = run.batch.fetch(
        "SELECT node_id, count(*) FROM execution_nodeexecution WHERE execution_id = %s"
        " GROUP BY node_id ORDER BY count(*) DESC, node_id LIMIT 1",
        [run.id],
    )
    since = " since it was resumed" if run.opened_before else ""
    return (
        f"The run opened more than {run.max_node_executions} node executions{since} (MAX_NODE_EXECUTIONS_PER_RUN)."
        f" The busiest node is “{run.graph.plan.nodes[node_id].name}” ({node_id}) with {count}:"
        " does it stand in a loop that never ends?"
    )


def _list_warnings(run: LockedRun) -> list[dict[str, Any]]:
    """Say what never fired, and which pins it lacked (rule 9)."""
    rows = run.batch.fetch(
        "SELECT n.id, n.node_id,"
        " ARRAY(SELECT pin FROM execution_nodeinput i WHERE i.node_execution_id = n.id),"
        " ARRAY(SELECT pin FROM execution_staticvalue s WHERE s.execution_id = n.execution_id"
        "       AND s.node_id = n.node_id)"
        " FROM execution_nodeexecution n WHERE n.status = 'INCOMPLETE'"
        " AND CASE WHEN n.status = 'INCOMPLETE' THEN n.execution_id END = %s ORDER BY n.id",
        [run.id],
    )
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
