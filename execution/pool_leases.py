"""Keeping what a worker's pool runs although it can't say itself that it lives.

A child renews its leases in a thread. A block that computes in C holds the interpreter's lock, and no thread of its
process runs. So the worker renews them, too: of children that live, are not frozen, and have time left. A child that
is dead or frozen, and one that hangs in anything but its block, loses its lease as ever.
"""

import threading
from collections.abc import Sequence
from typing import Final

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from execution.keeping import RENEWALS_PER_LEASE
from execution.places import Places
from execution.store.claims import renew_leases

RETRY_SECONDS: Final = 1.0

logger = structlog.get_logger(__name__)


class PoolLeases:
    """A thread of the worker's own process that renews its children's leases, all with one statement.

    It does nothing else: interrupting, recording and sending take their time when servers are away.
    """

    def __init__(self, tables: Sequence[Places]) -> None:
        self._tables = tables
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="pool-leases", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def stop(self) -> None:
        """Renew no more."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def _loop(self) -> None:
        interval = float(settings.LEASE_SECONDS) / RENEWALS_PER_LEASE
        pause = interval
        while not self._stopping.wait(pause):
            try:
                self._renew()
                pause = interval
            except DatabaseError as error:
                logger.warning("the pool's leases can't be renewed", error=str(error).strip())
                pause = min(interval, RETRY_SECONDS)
            except Exception:  # whatever it was, the children still run
                logger.exception("the pool's leases can't be renewed")
                pause = min(interval, RETRY_SECONDS)
            close_old_connections()
        connection.close()

    def _renew(self) -> None:
        tokens = {token for places in self._tables for token in places.find_at_work()}
        if tokens:
            renew_leases(tokens, lease_seconds=settings.LEASE_SECONDS)
