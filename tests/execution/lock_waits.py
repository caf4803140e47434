"""Holding a row, letting somebody run into it, and seeing what they hold meanwhile."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import User
from django.db import connections
from psycopg import Connection

from execution.models import Execution
from execution.store.sessions import open_session

DEADLINE_SECONDS = 10.0


@contextmanager
def session_beside() -> Iterator["Connection[Any]"]:
    """A database session beside the test's own, in a transaction."""
    session = open_session()
    session.execute("BEGIN")
    try:
        yield session
    finally:
        session.close()


def lock_run(session: "Connection[Any]", run: Execution) -> None:
    session.execute("SELECT FROM execution_execution WHERE id = %s FOR NO KEY UPDATE NOWAIT", [run.pk])


def lock_account(session: "Connection[Any]", user: User) -> None:
    row = session.execute("SELECT id FROM credits_account WHERE user_id = %s FOR NO KEY UPDATE NOWAIT", [user.pk])
    assert row.fetchone() is not None


@contextmanager
def running_into(session: "Connection[Any]", work: Callable[[], Any]) -> Iterator["Future[Any]"]:
    """Do `work` in a thread; the body begins when it waits for a lock of `session`, whose end lets it go on."""
    with do_beside(work) as future:
        try:
            _wait_for_somebody(session, future)
            yield future
        finally:
            session.execute("ROLLBACK")


@contextmanager
def do_beside(work: Callable[[], Any]) -> Iterator["Future[Any]"]:
    """Do `work` in a thread, in a session of its own; it has been done, without an error, when the body is left."""

    def in_thread() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(in_thread)
        yield future
        future.result(timeout=DEADLINE_SECONDS)


def _wait_for_somebody(session: "Connection[Any]", future: "Future[Any]") -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
    while session.execute(waiting).fetchone() != (True,):
        assert not future.done(), future.exception() or "It waited for nobody."
        assert time.monotonic() < deadline
        time.sleep(0.01)
