"""Database sessions that end in the middle of something."""

from django.db import connection


def break_connection() -> None:
    """End this session as an administrator, or a restart, would."""
    connection.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid())")
