"""Stopping a run: it and every run below it end in one transaction, and a receipt says what that did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import connection, transaction

from execution.engine.statuses import ENDED, Status
from execution.store.admission import ask_to_admit
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


def stop_run(execution_id: UUID) -> Receipt | None:
    """Stop a run and all below it; None if there is no such run.

    Whoever records or claims in one of these runs is waited for, or waits and then finds that it has ended.
    """
    with transaction.atomic():
        run = lock_run(execution_id)
        if run is None:
            return None
        below = lock_runs_below(run.id)
        had_ended = run.status in ENDED
        stopped_below = [each.id for each in below if each.status not in ENDED]
        terminated = terminate_nodes([*stopped_below, *([] if had_ended else [run.id])])
        terminate_runs(stopped_below, error=STOPPED_ABOVE)
        ready: list[Ready] = []
        if not had_ended:
            terminate_runs([run.id], error=STOPPED)
            ready = wake([run.parent_id]) if run.parent_id else _admit_next(run)
        return _write_receipt(run, below, terminated, ready)


def _admit_next(run: LockedRun) -> list[Ready]:
    return describe_ready(ask_to_admit(run.batch, user_id=run.user_id).rows)


def _write_receipt(
    run: LockedRun, below: Sequence[RunBelow], terminated: Sequence[Terminated], ready: Sequence[Ready]
) -> Receipt:
    had_ended = run.status in ENDED
    tree = [run.id, *(each.id for each in below)]
    ended = _count_ended(tree)
    of_run: dict[UUID, list[Terminated]] = {}
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
