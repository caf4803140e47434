"""Database sessions beside Django's own: for what lasts as long as its session does (locks, LISTEN)."""

from typing import Any

from django.db import connection
from psycopg import Connection


def open_session() -> "Connection[Any]":
    """Open a session in autocommit mode. Whoever opens it closes it."""
    session: Connection[Any] = connection.get_new_connection(connection.get_connection_params())
    session.autocommit = True
    return session
