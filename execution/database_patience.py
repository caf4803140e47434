"""What to do while the database is away: try again for a while, each time with a new connection."""

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection

# Restarts, broken connections, deadlocks.
DATABASE_AWAY: Final = (OperationalError, InterfaceError)

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0

logger = structlog.get_logger(__name__)

T = TypeVar("T")


class DatabaseAwayError(Exception):
    """The database was away for longer than anybody would wait."""


def patiently(work: Callable[[], T], *, seconds: float, away: tuple[type[Exception], ...] = DATABASE_AWAY) -> T:
    """Return what `work()` returns, tried again after each failure of the database for up to `seconds`.

    `away` are the errors that count as one.

    `work` must be able to tell what an earlier try may have committed. Raises `DatabaseAwayError`.
    """
    deadline = time.monotonic() + seconds
    pause = FIRST_PAUSE
    while True:
        try:
            return work()
        except away as error:
            if time.monotonic() + pause > deadline:
                raise DatabaseAwayError(str(error)) from error
            logger.warning("database is away", error=str(error).strip(), next_try=round(pause, 2))
        # A connection of which nobody knows what it was doing is worth nothing.
        if not connection.in_atomic_block:
            connection.close()
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - only spreads the crowd
        pause = min(pause * 2, LONGEST_PAUSE)
