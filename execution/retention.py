"""Pruning by the workers themselves: now and then one of them deletes what is older than the setting allows."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from execution.pruning import Pruned, Retention, prune

# One worker prunes at a time: more would only wait for the disk.
PRUNING_LOCK: Final = 0x0C3A_11EF
EVERY_SECONDS: Final = 3600.0

logger = structlog.get_logger(__name__)


class Pruner:
    """A thread that prunes every hour, if EXECUTION_RETENTION_DAYS says so."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="pruner", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the batch that is under way."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def _loop(self) -> None:
        # Workers that were started together don't come together.
        while not self._stopping.wait(EVERY_SECONDS * random.uniform(0.5, 1.0)):  # noqa: S311 - no secret
            try:
                self.prune_once()
            except DatabaseError as error:
                logger.warning("pruner can't use the database", error=str(error).strip())
            finally:
                connection.close()

    def prune_once(self) -> Pruned | None:
        """Delete what is too old; None if there is no such rule, or somebody else is at it."""
        if settings.EXECUTION_RETENTION_DAYS <= 0:
            return None
        with _alone() as is_alone:
            if not is_alone:
                return None
            age = timedelta(days=settings.EXECUTION_RETENTION_DAYS)
            pruned = prune(Retention(age=age), goes_on=lambda: not self._stopping.is_set())
        logger.info("pruned", runs=pruned.runs, node_executions=pruned.node_executions, failed=pruned.failed)
        return pruned


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
