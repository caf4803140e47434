"""Retention: runs that ended long ago go, batch by batch, with all rows and files of theirs.

A run is deleted with its row, in the transaction that holds it; what hung on it is cleared away after that.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db import transaction

from execution.clearing import Cleared, clear_away
from execution.engine.statuses import ENDED, Status
from execution.store.pruning import (
    NO_ID,
    OldRuns,
    PrunableCounts,
    count_prunable,
    delete_trees,
    find_moment,
    lock_prunable,
)

RUNS_PER_BATCH: Final = 100
# Runs with many sub-runs go in smaller batches.
SUB_RUNS_PER_BATCH: Final = 5_000


@dataclass(frozen=True, kw_only=True)
class Retention:
    """What may go: runs that ended `age` ago or earlier, with one of `statuses`; `limit` of them at most."""

    age: timedelta
    statuses: Collection[Status] = ENDED
    batch: int = RUNS_PER_BATCH
    limit: int | None = None


@dataclass(kw_only=True)
class Pruned(Cleared):
    """What is gone, sub-runs counted by themselves."""

    runs: int = 0
    sub_runs: int = 0
    node_executions: int = 0


def count(retention: Retention) -> PrunableCounts:
    """Say what `prune` would delete."""
    return count_prunable(_old_runs(retention), limit=retention.limit)


def prune(
    retention: Retention,
    *,
    report: Callable[[Pruned], None] = lambda _pruned: None,
    goes_on: Callable[[], bool] = lambda: True,
) -> Pruned:
    """Delete what may go and say what that was.

    What was deleted before and not cleared away goes first. After each batch `report` is told how much is gone by now,
    and nothing further is begun if `goes_on` says no.
    """
    old, pruned, last = _old_runs(retention), Pruned(), NO_ID
    clear_away(pruned, goes_on=goes_on)
    while goes_on() and (size := _next_size(retention, pruned)) > 0:
        with transaction.atomic():
            batch = lock_prunable(old, after=last, limit=size, most_runs=SUB_RUNS_PER_BATCH)
            delete_trees(batch.trees)
        if batch.last is None:
            break
        last = batch.last
        pruned.runs += len(batch.trees)
        pruned.sub_runs += sum(len(tree.runs) - 1 for tree in batch.trees)
        pruned.node_executions += sum(tree.node_executions for tree in batch.trees)
        clear_away(pruned, only=[key for tree in batch.trees for key, _ in tree.runs], goes_on=goes_on)
        report(pruned)
    return pruned


def _old_runs(retention: Retention) -> OldRuns:
    return OldRuns(before=find_moment(retention.age), statuses=retention.statuses)


def _next_size(retention: Retention, pruned: Pruned) -> int:
    if retention.limit is None:
        return retention.batch
    return min(retention.batch, retention.limit - pruned.runs)
