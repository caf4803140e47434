"""Retention: runs that ended long ago go, batch by batch, with their files.

A run's files go before its rows, in the transaction that holds the run. So no file is left behind whatever fails: a
run whose files can't be removed, or whose transaction is rolled back, is still there and is met again next time.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog
from django.db import transaction

from execution.engine.statuses import ENDED, Status
from execution.run_files import FilesOfRun
from execution.store.pruning import (
    NO_ID,
    Batch,
    OldRuns,
    PrunableCounts,
    Tree,
    count_prunable,
    delete_trees,
    find_moment,
    lock_prunable,
)

RUNS_PER_BATCH: Final = 100
# Large runs go in smaller batches.
ROWS_PER_BATCH: Final = 20_000
MOST_FAILURES: Final = 100

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Retention:
    """What may go: runs that ended `age` ago or earlier, with one of `statuses`; `limit` of them at most."""

    age: timedelta
    statuses: Collection[Status] = ENDED
    batch: int = RUNS_PER_BATCH
    limit: int | None = None


@dataclass(kw_only=True)
class Pruned:
    """What is gone, sub-runs counted by themselves; `failed` runs were kept since their files could not be removed.

    `failures` says why of the first of them.
    """

    runs: int = 0
    sub_runs: int = 0
    node_executions: int = 0
    files: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)


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

    After each batch `report` is told how much that is by now, and no further batch is begun if `goes_on` says no.
    """
    old, pruned, last = _old_runs(retention), Pruned(), NO_ID
    while goes_on() and (size := _next_size(retention, pruned)) > 0:
        with transaction.atomic():
            batch = lock_prunable(old, after=last, limit=size, most_rows=ROWS_PER_BATCH)
            _delete(batch, pruned)
        if batch.last is None:
            break
        last = batch.last
        report(pruned)
    return pruned


def _old_runs(retention: Retention) -> OldRuns:
    return OldRuns(before=find_moment(retention.age), statuses=retention.statuses)


def _next_size(retention: Retention, pruned: Pruned) -> int:
    if retention.limit is None:
        return retention.batch
    return min(retention.batch, retention.limit - pruned.runs)


def _delete(batch: Batch, pruned: Pruned) -> None:
    without_files = [tree for tree in batch.trees if _remove_files(tree, pruned)]
    delete_trees(without_files)
    pruned.runs += len(without_files)
    pruned.sub_runs += sum(len(tree.runs) - 1 for tree in without_files)
    pruned.node_executions += sum(tree.node_executions for tree in without_files)


def _remove_files(tree: Tree, pruned: Pruned) -> bool:
    """Remove the files of a run and those below it; False if that can't be done now."""
    for execution_id, user_id in tree.runs:
        files = FilesOfRun(user_id=str(user_id), execution_id=execution_id)
        try:
            pruned.files += files.remove()
        except Exception as error:  # each storage has its own family of errors; the other runs can go all the same
            logger.exception("can't remove a run's files", execution=str(execution_id))
            pruned.failed += 1
            if len(pruned.failures) < MOST_FAILURES:
                pruned.failures.append(f"{files.folder}: {error}")
            return False
    return True
