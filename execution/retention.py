"""What is kept only for so long: runs that ended long ago, and files whose run is gone. Beat has a worker see to it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import connection

from execution.clearing import Cleared, clear_away
from execution.file_examination import find_orphaned_files, remove_orphaned_files
from execution.pruning import Pruned, Retention, prune

# One worker prunes at a time: more would only wait for the disk.
PRUNING_LOCK: Final = 0x0C3A_11EF
# What is left then, the next time deletes.
LONGEST_SECONDS: Final = 600.0

logger = structlog.get_logger(__name__)


def prune_expired() -> Pruned | None:
    """Delete runs that are older than EXECUTION_RETENTION_DAYS; None if there is no such rule, or somebody is at it."""
    if settings.EXECUTION_RETENTION_DAYS <= 0:
        return None
    with _alone() as is_alone:
        if not is_alone:
            return None
        end = time.monotonic() + LONGEST_SECONDS
        age = timedelta(days=settings.EXECUTION_RETENTION_DAYS)
        pruned = prune(Retention(age=age), goes_on=lambda: time.monotonic() < end)
    logger.info("pruned", runs=pruned.runs, node_executions=pruned.node_executions, failed=pruned.failed)
    return pruned


def clean_up_files() -> int:
    """Clear away runs that are deleted, and remove files whose run is gone; return of how many the latter were left."""
    clear_away(Cleared())
    removed = sum(remove_orphaned_files(hit) for hit in find_orphaned_files())
    if removed:
        logger.info("removed the files of runs that are gone", runs=removed)
    return removed


@contextmanager
def _alone() -> Iterator[bool]:
    """Hold the lock of whoever prunes, if nobody has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [PRUNING_LOCK])
        (is_ours,) = cursor.fetchone()
    try:
        yield is_ours
    finally:
        if is_ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [PRUNING_LOCK])
