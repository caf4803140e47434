"""Processes that die between any two statements."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction


class CrashError(BaseException):
    """The process is gone. Nobody who deals with errors may deal with it."""


@contextmanager
def _counting_down(statement: int | None) -> Iterator[None]:
    """Raise `CrashError` before the n-th statement (from 0 on), if one is named."""
    left = statement

    def count(execute: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal left
        if left == 0:
            raise CrashError
        left = None if left is None else left - 1
        return execute(*arguments)

    with connection.execute_wrapper(count):
        yield


@contextmanager
def dying_at(statement: int | None) -> Iterator[None]:
    """Let the process die before its n-th statement (from 0 on), and another one go on in its place.

    Whatever it had open is rolled back, because its session ends.
    """
    try:
        with _counting_down(statement):
            yield
    except CrashError:
        connection.close()


@contextmanager
def dying_before(statement: int | None) -> Iterator[None]:
    """Run one transaction whose process dies before its n-th statement; at last before its commit."""
    with transaction.atomic():
        with _counting_down(statement):
            yield
        if statement is not None:
            raise CrashError
