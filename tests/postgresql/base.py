"""Emptying the tables after a test that commits: soon, and beside workers that are still at work.

Django truncates all tables. That makes hundreds of files anew, which takes longer than most tests; and it takes the
locks of all tables one by one, in an order of its own: a worker that holds one and wants another is in a deadlock with
it. Here the rows are deleted, and whoever empties lets go of what it has before it waits long for the rest.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.db import OperationalError
from django.db.backends.postgresql import base, operations
from psycopg.errors import LockNotAvailable

# Filled when the database is made, and the same in all tests.
KEPT: Final = frozenset({"auth_permission", "django_content_type"})

# To truncate is quicker from about this size on.
LARGE_BYTES: Final = 4 * 2**20
# Much less than the second after which PostgreSQL ends one of two that wait for each other.
PATIENCE: Final = "100ms"
MOST_SECONDS: Final = 60.0


class DatabaseOperations(operations.DatabaseOperations):
    """Django's, but for the way in which tables are emptied."""

    def sql_flush(
        self, style: Any, tables: Sequence[str], *, reset_sequences: bool = False, allow_cascade: bool = False
    ) -> list[str]:
        """Return what empties these tables."""
        emptied = sorted(set(tables) - KEPT)
        names = [self.quote_name(name) for name in emptied]
        locks = [f"SET LOCAL lock_timeout = '{PATIENCE}'", f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE"]
        if self._may_delete(emptied) and not (reset_sequences or allow_cascade):
            # No trigger: neither those that keep entries of the ledger from being deleted nor those of foreign keys.
            locks.append("SET LOCAL session_replication_role = replica")
            return [";\n".join([*locks, *(f"DELETE FROM {name}" for name in names)])]  # noqa: S608 - our own tables
        truncation = super().sql_flush(style, emptied, reset_sequences=reset_sequences, allow_cascade=allow_cascade)
        return [*locks, *truncation]

    def execute_sql_flush(self, sql_list: Iterable[str]) -> None:
        """Empty the tables, trying again while somebody else holds one of them."""
        statements = list(sql_list)
        deadline = time.monotonic() + MOST_SECONDS
        while True:
            try:
                super().execute_sql_flush(statements)
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable) or time.monotonic() > deadline:
                    raise
            else:
                return

    def _may_delete(self, tables: Sequence[str]) -> bool:
        """Whether the tables are small and nobody has analyzed them, and we have the right to pass over triggers.

        Tables that are truncated are planned for as new ones are.
        """
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT has_parameter_privilege('session_replication_role', 'SET')"
                "   AND bool_and(reltuples < 0 AND pg_relation_size(oid) < %s)"
                "  FROM pg_class WHERE relname = ANY(%s) AND relnamespace = current_schema()::regnamespace",
                [LARGE_BYTES, list(tables)],
            )
            return bool(cursor.fetchone()[0])


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection of the tests."""

    ops_class = DatabaseOperations
