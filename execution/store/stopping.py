"""Stopping a run: it and every run below it end in one transaction, and a receipt says what that did."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import connection, transaction

from execution.engine.statuses import ENDED, Status
from execution.store.admission import ask_to_admit
from execution.store.batches import Batch
from execution.store.charging import ask_to_settle, tell_news
from execution.store.ready import Ready, describe_ready
from execution.store.runs import LockedRun, lock_run, wake
from execution.store.trees import RunBelow, Terminated, lock_runs_below, terminate_nodes, terminate_runs

STOPPED: Final = "The run was stopped."
STOPPED_ABOVE: Final = "The run above it was stopped."

Counts = Mapping[Status, int]


@dataclass(frozen=True, kw_only=True)
class StoppedRun:
    """One run of the tree: how it stood before, and how many node executions were stopped, by what they were doing.

    `interrupted` are the node executions whose blocks were running.
    """

    id: UUID
    parent_id: UUID | None
    was: Status
    stopped: Counts
    interrupted: tuple[UUID, ...]
    completed: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What a stop did. `runs` are the run itself and those below it that were stopped with it.

    `had_ended` says that the run had ended before, `status` how. `stopped`, `completed` and `failed` count node
    executions of the whole tree, `cost` is in credits. `ready` is to be sent: who waited for the run goes on. `queued`
    are node executions (not all of many) whose messages are in vain.
    """

    execution_id: UUID
    status: Status
    had_ended: bool
    stopped: Counts
    completed: int
    failed: int
    cost: int
    runs: tuple[StoppedRun, ...]
    ready: tuple[Ready, ...]
    queued: tuple[UUID, ...]


def stop_runs(execution_ids: Collection[UUID]) -> list[Receipt]:
    """Stop runs and all below them, together; return a receipt for each that there is.

    Whoever records or claims in one of these runs is waited for, or waits and then finds that it has ended. Whoever
    stops several in one transaction does it here, once and last: locks are taken in one order.
    """
    with transaction.atomic():
        runs = [run for key in sorted(set(execution_ids)) if (run := lock_run(key)) is not None]
        below = lock_runs_below([run.id for run in runs])
        going_on = [run for run in runs if run.status not in ENDED]
        keys = {run.id for run in going_on}
        stopped_below = [each.id for each in below if each.status not in ENDED and each.id not in keys]
        terminated = terminate_nodes([*keys, *stopped_below])
        terminate_runs(stopped_below, error=STOPPED_ABOVE)
        terminate_runs(keys, error=STOPPED)
        ready = {run.id: wake([run.parent_id]) if run.parent_id else _admit_next(run) for run in going_on}
        batch = Batch()
        tell_news(ask_to_settle(batch, [*keys, *stopped_below]))
        batch.flush()
        return [_write_receipt(run, _find_below(run.id, below), terminated, ready.get(run.id, [])) for run in runs]


def _find_below(execution_id: UUID, runs: Sequence[RunBelow]) -> list[RunBelow]:
    """Return those of the runs that are below this one."""
    found: list[RunBelow] = []
    level = {execution_id}
    while level:
        next_level = [each for each in runs if each.execution_id in level]
        found += next_level
        level = {each.id for each in next_level}
    return found


def _admit_next(run: LockedRun) -> list[Ready]:
    return describe_ready(ask_to_admit(run.batch, user_id=run.user_id).rows)


def _write_receipt(
    run: LockedRun, below: Sequence[RunBelow], terminated: Sequence[Terminated], ready: Sequence[Ready]
) -> Receipt:
    had_ended = run.status in ENDED
    tree = [run.id, *(each.id for each in below)]
    ended = _count_ended(tree)
    of_run: dict[UUID, list[Terminated]] = {}
    terminated = [those for those in terminated if those.execution_id in tree]
    for those in terminated:
        of_run.setdefault(those.execution_id, []).append(those)
    listed: list[tuple[UUID, UUID | None, Status]] = [(run.id, run.parent_id, run.status)]
    listed += [(each.id, each.parent_id, each.status) for each in below if each.status not in ENDED]
    return Receipt(
        execution_id=run.id,
        status=run.status if had_ended else Status.TERMINATED,
        had_ended=had_ended,
        stopped=_add_up(terminated),
        completed=sum(counts.get(Status.COMPLETED, 0) for counts in ended.values()),
        failed=sum(counts.get(Status.FAILED, 0) for counts in ended.values()),
        cost=_add_up_cost(tree),
        runs=tuple(
            StoppedRun(
                id=key,
                parent_id=parent_id,
                was=was,
                stopped=_add_up(of_run.get(key, [])),
                interrupted=tuple(running for those in of_run.get(key, []) for running in those.running),
                completed=ended.get(key, {}).get(Status.COMPLETED, 0),
                failed=ended.get(key, {}).get(Status.FAILED, 0),
            )
            for key, parent_id, was in listed
        ),
        ready=tuple(ready),
        queued=tuple(key for those in terminated for key in those.queued),
    )


def _add_up_cost(execution_ids: Sequence[UUID]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(cost) FROM execution_execution WHERE id = ANY(%s)", [list(execution_ids)])
        (cost,) = cursor.fetchone()
    return int(cost or 0)


def _add_up(terminated: Sequence[Terminated]) -> dict[Status, int]:
    counts: dict[Status, int] = {}
    for each in sorted(terminated, key=lambda each: each.was):
        counts[each.was] = counts.get(each.was, 0) + each.count
    return counts


def _count_ended(execution_ids: Sequence[UUID]) -> dict[UUID, dict[Status, int]]:
    counts: dict[UUID, dict[Status, int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT execution_id, status, count(*) FROM execution_nodeexecution"
            " WHERE execution_id = ANY(%s) AND status IN ('COMPLETED', 'FAILED') GROUP BY execution_id, status",
            [list(execution_ids)],
        )
        for key, status, count in cursor.fetchall():
            counts.setdefault(key, {})[Status(status)] = count
    return counts
