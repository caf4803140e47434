"""Database sessions that end in the middle of something."""

from collections.abc import Callable, Sequence
from typing import Any

from django.db import OperationalError, connection

from execution.store.round_trips import exchange

Send = Callable[[Sequence[Any]], Any]


def break_connection() -> None:
    """End this session as an administrator, or a restart, would."""
    connection.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid())")


def lose_commit(statements: Sequence[Any]) -> Any:
    """Have the session end when the commit should be sent."""
    break_connection()
    return exchange(statements)


def lose_answer(statements: Sequence[Any]) -> Any:
    """Commit, and hear nothing of it."""
    exchange(statements)
    connection.close()
    raise OperationalError("server closed the connection unexpectedly")
