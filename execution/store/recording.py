"""Recording what an attempt did: outputs, their way through the graph, its end. One transaction each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from execution.engine.outputs import ERROR_PIN
from execution.engine.statuses import Status
from execution.large_values import ValueWriter, join_writers
from execution.models import OnError
from execution.paces import paces
from execution.prices import count_usage
from execution.run_files import FilesOfRun
from execution.store.batches import Answer, one_transaction
from execution.store.charging import describe_charge, tell_news
from execution.store.claims import Claimed, Hold
from execution.store.parts import End, Foreseen, ForesightError, Output, Part, ask_to_mark
from execution.store.ready import Ready
from execution.store.round_trips import Prepared
from execution.store.runs import LOCK_RUN, LockedRun, read_run, save_run
from execution.store.scenes import Emitted, ask_for_scene, let_travel
from execution.store.settling import Charges, ask_to_charge_and_save
from execution.store.taking import Taker
from execution.store.trees import UNFINISHED_SUB_RUNS, terminate_trees

RUN_GOES_ON = frozenset({Status.QUEUED, Status.RUNNING})


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a record led to. `accepted` is False where the claim is no longer the recorder's: nothing was written."""

    accepted: bool
    ready: tuple[Ready, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JointlyRecorded:
    """What a joint record led to. `accepted` are the tokens of the claims that held; of others nothing was written."""

    accepted: frozenset[UUID] = frozenset()
    ready: tuple[Ready, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What has been recorded of a node execution. `is_ours`: nobody has claimed it since."""

    is_ours: bool
    status: Status = Status.RUNNING
    output_count: int = 0


REFUSED = Recorded(accepted=False)
NOTHING_RECORDED = JointlyRecorded()


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

    Nothing is written if another attempt has taken over or the run has ended. Who records again after an error passes
    the same `writer`: what it has written is not written again. For the rest see `record_jointly`.
    """
    writer = writer or open_writer(claimed)
    part = Part(claimed=claimed, outputs=outputs, position=position, end=end, writer=writer)
    recorded = record_jointly([part], taker=taker)
    return Recorded(accepted=claimed.token in recorded.accepted, ready=recorded.ready)


def record_jointly(
    parts: Sequence[Part], *, taker: Taker | None = None, foreseen: Sequence[Foreseen] = ()
) -> JointlyRecorded:
    """Record what several attempts of one run have to, in the order of `parts`, in one transaction.

    Of those whose claims are no longer theirs nothing is written. Two round trips: what has to be known is asked for
    together with the run's lock, and what follows from it is sent together with the commit.
    `taker` takes what becomes ready: what the process goes on with, the rest to be sent after that has its place.
    `foreseen` is what was run ahead of the record, in that order. Raises `ForesightError` if it can't be recorded:
    nothing is then.
    """
    if taker:
        taker.start_over()
    asked, ahead = len(parts), [each.part for each in foreseen]
    writer = join_writers([part.writer for part in (*parts, *ahead)])
    for part in (*parts, *ahead):
        write_ahead(writer, part.outputs)
    # Worked out before the run is locked: others wait for that.
    charges = {part.claimed.id: _describe_charge(part) for part in (*parts, *ahead)}
    first = parts[0].claimed
    with one_transaction() as batch:
        locked = batch.ask(LOCK_RUN, {"run": first.execution_id})
        marked = ask_to_mark(batch, parts)
        scene = ask_for_scene(batch, [(part.claimed, len(part.outputs)) for part in parts], foreseen=foreseen)
        failed = [part.claimed.id for part in parts if part.has_failed]
        sub_runs = batch.ask(UNFINISHED_SUB_RUNS, [failed]) if failed else None
        run = read_run(locked.rows[0], batch) if locked.rows else None
        held = {key for (key,) in marked.rows}
        parts = [part for part in parts if part.claimed.token in held]
        if run is None or run.status not in RUN_GOES_ON or not parts:
            batch.abandon()
            return NOTHING_RECORDED
        if foreseen and len(parts) < asked:
            # In a loop it might even come of what comes of it.
            raise ForesightError
        run.writer = writer
        run.holds_back = any(part.claimed.run_holds_back for part in parts)
        run.few_will_do = paces.is_quick(first.spec)
        run.taker, run.foreseen = taker, foreseen
        write_outputs(run, [*parts, *ahead])
        failure = next(filter(None, (_explain_failure(run, part) for part in parts)), "")
        let_travel(run, scene, [_emitted(run, part, failure) for part in (*parts, *ahead)])
        _require_foreseen(run)
        _count_ends(run, [*parts, *ahead])
        if sub_runs is not None and sub_runs.rows:
            batch.flush()
            run.ended_below += terminate_trees([key for (key,) in sub_runs.rows], error="What started it has failed.")
        # Who is about to claim what others have held back sees to the window with that claim.
        will_claim = taker is not None and not taker.opened and (run.few_will_do or not run.has_held_back)
        save(run, failure=failure, will_claim=will_claim, is_saved_later=True)
        settled = _settle(run, [*parts, *ahead], charges=charges)
    tell_news([*([settled] if settled else []), *run.billed])
    ready, accepted = run.all_ready(), frozenset(part.claimed.token for part in parts)
    if taker:
        taker.settle(ready, held=settled, run_holds_back=run.holds_back and _tree_goes_on(run))
        return JointlyRecorded(accepted=accepted)
    return JointlyRecorded(accepted=accepted, ready=ready)


def _require_foreseen(run: LockedRun) -> None:
    """Raise `ForesightError` if nothing travels that opens what was run ahead."""
    if run.foreseen and not run.has_opened_foreseen:
        raise ForesightError(run.foreseen)


def _settle(run: LockedRun, parts: Sequence[Part], *, charges: Charges) -> Answer | None:
    """Charge what has ended, and set aside what was opened as claimed costs. Raises `ForesightError`."""
    ended = [part.claimed for part in parts if part.end is not None and isinstance(part.claimed, Claimed)]
    ahead = [each.claimed for each in run.foreseen]
    settled = ask_to_charge_and_save(
        run, ended, charges=charges, opened=[*ahead, *(run.taker.opened if run.taker else ())]
    )
    if ahead and settled:
        denied = {key for *_, key, granted in settled.rows if key is not None and not granted}
        culprits = [each for each in run.foreseen if each.claimed.id in denied]
        if culprits:
            raise ForesightError(culprits)
    return settled


def _describe_charge(part: Part) -> dict[str, Any] | None:
    claimed, end = part.claimed, part.end
    if end is None or not isinstance(claimed, Claimed):
        return None
    usage = count_usage(end.usage, seconds=end.walltime, spent=claimed.spent)
    return describe_charge(claimed, usage=usage, status=end.status)


def save(run: LockedRun, *, failure: str = "", will_claim: bool = False, is_saved_later: bool = False) -> None:
    """Write the run's counters, or its end; send what was held back if there is room.

    Who `will_claim` something in the run's tree sees to that then. `is_saved_later`: as in `save_run`.
    """
    save_run(run, failure=failure, is_saved_later=is_saved_later)
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
    "ids uuid[], positions int[], pins text[], texts text[]",
    """
INSERT INTO execution_output (node_execution_id, position, pin, value)
SELECT o.id, o.position, o.pin, o.value::json
  FROM unnest(%(ids)s, %(positions)s, %(pins)s, %(texts)s) AS o(id, position, pin, value)
""",
)


def open_writer(claimed: Hold) -> ValueWriter:
    """Return a writer for the run."""
    return ValueWriter(FilesOfRun(user_id=str(claimed.user_id), execution_id=claimed.execution_id))


def write_ahead(writer: ValueWriter, outputs: Sequence[Output]) -> None:
    """Write values already: what goes to the storage takes its time, which is not to be while the run is locked."""
    for _, value in outputs:
        writer.write(value)


def write_outputs(run: LockedRun, parts: Sequence[Part]) -> None:
    """Write what node executions emitted. The rows of those that were run ahead need not be there before the commit."""
    written = [
        (part.claimed.id, position, pin, run.writer.write(value))
        for part in parts
        for position, (pin, value) in enumerate(part.outputs, start=part.position)
    ]
    if written:
        columns = [list(column) for column in zip(*written, strict=True)]
        run.batch.ask(_WRITE_OUTPUTS, dict(zip(("ids", "positions", "pins", "texts"), columns, strict=True)))


def _count_ends(run: LockedRun, parts: Sequence[Part]) -> None:
    for end in [part.end for part in parts if part.end is not None]:
        run.unfinished -= 1
        run.ended += 1
        run.errors += end.status is Status.FAILED
        run.walltime += end.walltime
        run.cputime += end.cputime


def _emitted(run: LockedRun, part: Part, failure: str) -> Emitted:
    """Leave out an error that fails the run: nobody is left to deal with it, and the run may be resumed without it."""
    is_fatal = run.on_error == OnError.FAIL_RUN or failure
    outputs = [output for output in part.outputs if output[0] != ERROR_PIN] if is_fatal else part.outputs
    return Emitted(claimed=part.claimed, outputs=outputs, has_ended=part.end is not None and not failure)


def _explain_failure(run: LockedRun, part: Part) -> str:
    """Return why the whole run fails with this node execution; nothing if it doesn't."""
    end = part.end
    if end is None or end.status is not Status.FAILED:
        return ""
    if run.on_error != OnError.FAIL_RUN and not end.is_unpaid:
        return ""
    return f"“{run.graph.plan.nodes[part.claimed.node_id].name}” failed: {end.error}"
