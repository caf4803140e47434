"""A clock that the test moves: whoever asks what is due reads it from a row instead of the database's own clock.

Processes have it if their settings say so (see `tests.scheduling.fake_clock_settings`).
"""

from datetime import datetime
from typing import Final

from django.db import connection

from scheduling import store

_TABLE: Final = "tests_fake_clock"


def use_fake_clock() -> None:
    """Put the fake clock in the place of the real one, before anybody imports that."""
    store.read_clock = read_fake_clock
    store._LOOK = store._LOOK.replace("clock_timestamp()", f"(SELECT now FROM {_TABLE})")  # noqa: S608 - a constant


def read_fake_clock() -> datetime:
    """Return what the fake clock shows."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT now FROM {_TABLE}")  # noqa: S608 - a constant
        now: datetime
        (now,) = cursor.fetchone()
    return now


def make_fake_clock(now: datetime) -> None:
    """Make the clock, which every process then sees."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {_TABLE} AS SELECT %s::timestamptz AS now", [now])


def set_fake_clock(now: datetime) -> None:
    """Let the clock show another time."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {_TABLE} SET now = %s", [now])  # noqa: S608 - a constant


def remove_fake_clock() -> None:
    """Leave nothing behind."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {_TABLE}")
