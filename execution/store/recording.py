"""Recording what an attempt did: outputs, their way through the graph, its end. One transaction each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from execution.engine.outputs import ERROR_PIN
from execution.engine.statuses import Status
from execution.large_values import ValueWriter
from execution.models import OnError
from execution.prices import count_usage
from execution.run_files import FilesOfRun
from execution.store.batches import Answer, Batch, one_transaction
from execution.store.charging import describe_charge, tell_news
from execution.store.claims import Claimed, Hold
from execution.store.holding import ask_to_charge_and_hold
from execution.store.ready import Ready
from execution.store.round_trips import Prepared
from execution.store.runs import LOCK_RUN, LockedRun, read_run, save_run
from execution.store.scenes import Output, ask_for_scene, let_travel
from execution.store.taking import Taker
from execution.store.trees import UNFINISHED_SUB_RUNS, terminate_trees
from graphs.blocks.contract import Usage

RUN_GOES_ON = frozenset({Status.QUEUED, Status.RUNNING})


@dataclass(frozen=True, kw_only=True)
class End:
    """How an attempt ended, or went into a wait. `error` is the text of a FAILED one; times are in seconds.

    `usage` is what it used, if that was paid for. `is_unpaid`: it did not run, because that could not be paid, which
    fails its run.
    """

    status: Status
    error: str = ""
    walltime: float = 0.0
    cputime: float = 0.0
    log: str = ""
    usage: Usage = field(default_factory=Usage)
    is_unpaid: bool = False


NOTHING_SPENT = End(status=Status.SUSPENDED)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a record led to. `accepted` is False where the claim is no longer the recorder's: nothing was written."""

    accepted: bool
    ready: tuple[Ready, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What has been recorded of a node execution. `is_ours`: nobody has claimed it since."""

    is_ours: bool
    status: Status = Status.RUNNING
    output_count: int = 0


REFUSED = Recorded(accepted=False)


# The fence that keeps late attempts out: it moves the node execution on only if the claim still holds.
MARK = Prepared(
    "mark",
    "id uuid, token uuid, position int, status text, count int, ended bool, walltime float8, cputime float8, log text",
    """
UPDATE execution_nodeexecution
   SET status = %(status)s, output_count = output_count + %(count)s,
       ended_at = CASE WHEN %(ended)s THEN clock_timestamp() END,
       walltime = walltime + %(walltime)s, cputime = cputime + %(cputime)s, log = log || %(log)s
 WHERE id = %(id)s AND token = %(token)s AND (status = 'RUNNING') IS TRUE AND output_count = %(position)s
RETURNING id
""",
)


def record(
    claimed: Hold,
    *,
    outputs: Sequence[Output],
    position: int,
    end: End | None = None,
    taker: Taker | None = None,
    writer: ValueWriter | None = None,
) -> Recorded:
    """Record `outputs`, the first of which has `position`, and the end of the attempt if it has ended.

    Nothing is written if another attempt has taken over or the run has ended. Two round trips: what has to be known is
    asked for together with the run's lock, and what follows from it is sent together with the commit.
    `taker` takes what becomes ready: one for the process to go on with, the rest to be sent after that has its place.
    Who records again after an error passes the same `writer`: what it has written is not written again.
    """
    if taker:
        taker.start_over()
    writer = writer or open_writer(claimed)
    write_ahead(writer, outputs)
    # Worked out before the run is locked: others wait for that.
    charge = _describe_charge(claimed, end)
    with one_transaction() as batch:
        locked = batch.ask(LOCK_RUN, {"run": claimed.execution_id})
        marked = _ask_to_mark(batch, claimed, position=position, count=len(outputs), end=end)
        scene = ask_for_scene(batch, claimed, emitted=len(outputs))
        has_failed = end is not None and end.status is Status.FAILED
        sub_runs = batch.ask(UNFINISHED_SUB_RUNS, [claimed.id]) if has_failed else None
        run = read_run(locked.rows[0], batch) if locked.rows else None
        if run is None or run.status not in RUN_GOES_ON or not marked.rows:
            batch.abandon()
            return REFUSED
        run.writer = writer
        run.holds_back = claimed.run_holds_back
        run.taker = taker
        write_outputs(run, claimed.id, outputs, position)
        failure = _explain_failure(run, claimed, end)
        has_ended = end is not None and not failure
        let_travel(run, claimed, scene, _without_fatal(run, outputs, failure), has_ended=has_ended)
        if end is not None:
            _count_end(run, end)
        if sub_runs is not None and sub_runs.rows:
            batch.flush()
            run.ended_below += terminate_trees([key for (key,) in sub_runs.rows], error="What started it has failed.")
        # Who is about to claim what others have held back sees to the window with that claim.
        will_claim = taker is not None and taker.opened is None and not run.has_held_back
        save(run, failure=failure, will_claim=will_claim)
        # Last: an account is locked after all runs and node executions.
        charged = _ask_to_charge(batch, claimed, charge, taker) if end is not None else None
    tell_news(charged)
    tell_news(run.billed)
    ready = run.all_ready()
    if taker:
        taker.settle(ready, run_holds_back=run.holds_back and _tree_goes_on(run))
        return Recorded(accepted=True)
    return Recorded(accepted=True, ready=ready)


def _describe_charge(claimed: Hold, end: End | None) -> dict[str, Any] | None:
    if end is None or not isinstance(claimed, Claimed):
        return None
    usage = count_usage(end.usage, seconds=end.walltime, spent=claimed.spent)
    return describe_charge(claimed, usage=usage, status=end.status)


def _ask_to_charge(batch: Batch, claimed: Hold, charge: dict[str, Any] | None, taker: Taker | None) -> Answer | None:
    if not isinstance(claimed, Claimed):
        return None
    following = taker.opened if taker else None
    charged, held = ask_to_charge_and_hold(batch, claimed, charge=charge, following=following)
    if taker:
        taker.await_hold(held)
    return charged


def _ask_to_mark(batch: Batch, claimed: Hold, *, position: int, count: int, end: End | None) -> Answer:
    spent = end or NOTHING_SPENT
    return batch.ask(
        MARK,
        {
            "status": end.status if end else Status.RUNNING,
            "count": count,
            "ended": end is not None,
            "walltime": spent.walltime,
            "cputime": spent.cputime,
            "log": spent.log,
            "id": claimed.id,
            "token": claimed.token,
            "position": position,
        },
    )


def save(run: LockedRun, *, failure: str = "", will_claim: bool = False) -> None:
    """Write the run's counters, or its end; send what was held back if there is room.

    Who `will_claim` something in the run's tree sees to that then.
    """
    save_run(run, failure=failure)
    if run.holds_back and not will_claim and _tree_goes_on(run):
        run.release_next()


def _tree_goes_on(run: LockedRun) -> bool:
    return run.status in RUN_GOES_ON or run.parent_id is not None


def find_standing(hold: Hold) -> Standing:
    """Say how a node execution stands, for who doesn't know whether a record was committed.

    Waits for a commit that is still under way.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT token, status, output_count FROM execution_nodeexecution WHERE id = %s FOR UPDATE", [hold.id]
        )
        row = cursor.fetchone()
    if row is None or row[0] != hold.token:
        return Standing(is_ours=False)
    return Standing(is_ours=True, status=Status(row[1]), output_count=row[2])


_WRITE_OUTPUTS = Prepared(
    "write_outputs",
    "node_execution uuid, first int, pins text[], texts text[]",
    """
INSERT INTO execution_output (node_execution_id, position, pin, value)
SELECT %(node_execution)s, o.position - 1 + %(first)s, o.pin, o.value::json
  FROM unnest(%(pins)s, %(texts)s) WITH ORDINALITY AS o(pin, value, position)
""",
)


def open_writer(claimed: Hold) -> ValueWriter:
    """Return a writer for the run."""
    return ValueWriter(FilesOfRun(user_id=str(claimed.user_id), execution_id=claimed.execution_id))


def write_ahead(writer: ValueWriter, outputs: Sequence[Output]) -> None:
    """Write values already: what goes to the storage takes its time, which is not to be while the run is locked."""
    for _, value in outputs:
        writer.write(value)


def write_outputs(run: LockedRun, node_execution_id: UUID, outputs: Sequence[Output], position: int) -> None:
    """Write what a node execution emitted, from `position` on."""
    if outputs:
        texts = [run.writer.write(value) for _, value in outputs]
        pins = [pin for pin, _ in outputs]
        run.batch.ask(
            _WRITE_OUTPUTS, {"node_execution": node_execution_id, "first": position, "pins": pins, "texts": texts}
        )


def _count_end(run: LockedRun, end: End) -> None:
    run.unfinished -= 1
    run.ended += 1
    run.errors += end.status is Status.FAILED
    run.walltime += end.walltime
    run.cputime += end.cputime


def _without_fatal(run: LockedRun, outputs: Sequence[Output], failure: str) -> Sequence[Output]:
    """Leave out an error that fails the run: nobody is left to deal with it, and the run may be resumed without it."""
    if run.on_error != OnError.FAIL_RUN and not failure:
        return outputs
    return [(pin, value) for pin, value in outputs if pin != ERROR_PIN]


def _explain_failure(run: LockedRun, claimed: Hold, end: End | None) -> str:
    """Return why the whole run fails with this node execution; nothing if it doesn't."""
    if end is None or end.status is not Status.FAILED:
        return ""
    if run.on_error != OnError.FAIL_RUN and not end.is_unpaid:
        return ""
    return f"“{run.graph.plan.nodes[claimed.node_id].name}” failed: {end.error}"
