"""Clearing away deleted runs: first their rows, step by step, then their files, one run after the other.

The rows refer to files, and the run is gone for everybody before the first of either is removed. Whatever is cut off
goes on the next time.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog

from execution.run_files import FilesOfRun
from execution.store.clearing import Deleted, clear_rows, find_deleted, forget_deleted
from execution.store.pruning import NO_ID

RUNS_AT_ONCE: Final = 100
MOST_FAILURES: Final = 100

logger = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class Cleared:
    """How many files are gone; of `failed` runs they could not be removed, `failures` says why of the first of them."""

    files: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)


def clear_away(
    cleared: Cleared, *, only: Collection[UUID] | None = None, goes_on: Callable[[], bool] = lambda: True
) -> None:
    """Remove what is left of deleted runs, or `only` of these, and add to `cleared` what that was.

    No further step is begun if `goes_on` says no. Runs whose files can't be removed are met again the next time.
    """
    last = NO_ID
    while some := find_deleted(after=last, limit=RUNS_AT_ONCE, only=only):
        keys, is_done = [each.execution_id for each in some], False
        while not is_done:
            if not goes_on():
                return
            is_done = clear_rows(keys)
        forget_deleted([each.execution_id for each in some if _remove_files(each, cleared)])
        last = keys[-1]


def _remove_files(deleted: Deleted, cleared: Cleared) -> bool:
    files = FilesOfRun(user_id=str(deleted.user_id), execution_id=deleted.execution_id)
    try:
        cleared.files += files.remove()
    except Exception as error:  # each storage has its own family of errors; the other runs can go all the same
        logger.exception("can't remove a run's files", execution=str(deleted.execution_id))
        cleared.failed += 1
        if len(cleared.failures) < MOST_FAILURES:
            cleared.failures.append(f"{files.folder}: {error}")
        return False
    return True
