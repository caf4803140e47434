"""A clock of the database that a test can set: sessions find it before the real one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection

SEARCH_PATH = "shifted, public, pg_catalog"

MAKE = """
CREATE SCHEMA shifted;
CREATE TABLE shifted.clock (seconds double precision NOT NULL);
INSERT INTO shifted.clock VALUES (0);
CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
$$SELECT pg_catalog.clock_timestamp() + make_interval(secs => (SELECT seconds FROM shifted.clock))$$;
"""


@contextmanager
def shifted_clock() -> Iterator[Callable[[float], None]]:
    """Let this session go by a clock that can be set; the function sets it forward (back) by so many seconds."""
    with connection.cursor() as cursor:
        cursor.execute(MAKE)
        cursor.execute(f"SET search_path = {SEARCH_PATH}")

    def jump(seconds: float) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE shifted.clock SET seconds = seconds + %s", [seconds])

    try:
        yield jump
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET search_path")
            cursor.execute("DROP SCHEMA shifted CASCADE")
        # What the session has prepared goes by the other clock.
        connection.close()
