"""Processes that die between any two statements."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction


class CrashError(BaseException):
    """The process is gone. Nobody who deals with errors may deal with it."""


@contextmanager
def dying_at(statement: int | None) -> Iterator[None]:
    """Let the process die before its n-th statement (from 0 on), and another one go on in its place.

    Whatever it had open is rolled back, because its session ends.
    """
    left = [statement]

    def count(execute: Callable[..., Any], *arguments: Any) -> Any:
        if left[0] == 0:
            raise CrashError
        if left[0] is not None:
            left[0] -= 1
        return execute(*arguments)

    try:
        with connection.execute_wrapper(count):
            yield
    except CrashError:
        connection.close()


@contextmanager
def dying_before(statement: int | None) -> Iterator[None]:
    """Run one transaction whose process dies before its n-th statement; at last before its commit."""
    left = [statement]

    def count(execute: Callable[..., Any], *arguments: Any) -> Any:
        if left[0] == 0:
            raise CrashError
        if left[0] is not None:
            left[0] -= 1
        return execute(*arguments)

    with transaction.atomic():
        with connection.execute_wrapper(count):
            yield
        if left[0] is not None:
            raise CrashError
