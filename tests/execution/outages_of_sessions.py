"""Database sessions that end in the middle of something."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
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


def break_commits(how: Send, *, of: Callable[[Sequence[str]], bool], monkeypatch: pytest.MonkeyPatch) -> list[Send]:
    """Let connections break at the commits of transactions with such statements; return how they broke so far."""
    broken: list[Send] = []
    names: list[str] = []

    def send(statements: Sequence[Any]) -> Any:
        asked = [getattr(statement, "name", statement) for statement, _ in statements]
        if "BEGIN" in asked:
            names.clear()
        names.extend(asked)
        if names[-1] != "COMMIT" or not of(names):
            return exchange(statements)
        broken.append(how)
        return how(statements)

    monkeypatch.setattr("execution.store.batches.exchange", send)
    return broken
