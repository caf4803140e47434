"""Clearing away the rows of deleted runs, in steps: however large a run was, no transaction is.

Nobody finds these rows any more, so it does no harm when that is cut off between two steps, and goes on whenever
somebody takes it up again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import connection, transaction

ROWS_PER_STEP: Final = 5_000
NODES_PER_STEP: Final = 1_000

OF_NODE_EXECUTIONS: Final = ("execution_output", "execution_nodeinput", "execution_pastattempt", "execution_review")
AFTER_RUNS: Final = ("execution_runoutput", "execution_nodeexecution")

_LOCK: Final = "SELECT FROM execution_deletedrun WHERE execution_id = ANY(%s) ORDER BY execution_id FOR UPDATE"

_NEXT_NODES: Final = "SELECT id FROM execution_nodeexecution WHERE execution_id = ANY(%s) LIMIT %s"

_DELETE_SOME: Final = """
DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE {column} = ANY(%s) LIMIT %s))
"""

_FORGET: Final = """
DELETE FROM execution_deletedrun d WHERE d.execution_id = ANY(%s)
   AND NOT EXISTS (SELECT FROM execution_nodeexecution n WHERE n.execution_id = d.execution_id)
   AND NOT EXISTS (SELECT FROM execution_runoutput o WHERE o.execution_id = d.execution_id)
"""

_REMEMBER: Final = """
INSERT INTO execution_deletedrun (execution_id, user_id, deleted_at)
SELECT %(run)s, 0, clock_timestamp()
 WHERE NOT EXISTS (SELECT FROM execution_execution WHERE id = %(run)s) ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, kw_only=True)
class Deleted:
    """A deleted run, and whose it was."""

    execution_id: UUID
    user_id: int


def find_deleted(*, after: UUID, limit: int, only: Collection[UUID] | None) -> list[Deleted]:
    """Return the deleted runs that come next after the one with the id `after`; `only` these, if there are any."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT execution_id, user_id FROM execution_deletedrun"
            " WHERE execution_id > %(after)s AND (%(only)s::uuid[] IS NULL OR execution_id = ANY(%(only)s))"
            " ORDER BY execution_id LIMIT %(limit)s",
            {"after": after, "limit": limit, "only": None if only is None else list(only)},
        )
        return [Deleted(execution_id=key, user_id=user_id) for key, user_id in cursor.fetchall()]


def clear_rows(runs: Sequence[UUID]) -> bool:
    """Delete the next rows of deleted runs, in a transaction of its own; False if there may be more."""
    with transaction.atomic(), connection.cursor() as cursor:
        # What it takes must not grow with what stays.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(_LOCK, [list(runs)])
        cursor.execute(_NEXT_NODES, [list(runs), NODES_PER_STEP])
        nodes = [key for (key,) in cursor.fetchall()]
        left = ROWS_PER_STEP
        for table in OF_NODE_EXECUTIONS:
            left -= _delete_some(table, "node_execution_id", nodes, limit=left)
        if left == 0:
            return False
        # Nothing hangs on them any more.
        cursor.execute("DELETE FROM execution_nodeexecution WHERE id = ANY(%s)", [nodes])
        left -= _delete_some("execution_runoutput", "execution_id", runs, limit=left)
        return left > 0 and len(nodes) < NODES_PER_STEP


def forget_deleted(runs: Sequence[UUID]) -> None:
    """Forget deleted runs of which nothing is left; call it when their files are removed."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [list(runs)])


def remember_deleted(execution_id: UUID) -> None:
    """Have what there is of a run without a row cleared away. Its files lie nobody knows where."""
    with connection.cursor() as cursor:
        cursor.execute(_REMEMBER, {"run": execution_id})


def _delete_some(table: str, column: str, keys: Sequence[UUID], *, limit: int) -> int:
    if limit == 0 or not keys:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_DELETE_SOME.format(table=table, column=column), [list(keys), limit])
        return int(cursor.rowcount)
