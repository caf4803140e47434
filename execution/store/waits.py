"""What a suspended node execution waits for: a moment, a person, or a sub-run."""

from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from execution.engine.statuses import ENDED, Status
from execution.large_values import read
from execution.store.claims import Claimed
from execution.store.parts import Output
from execution.store.ready import Ready
from execution.store.window import release
from graphs.blocks.contract import AskPerson, Decision
from graphs.models import new_id


@dataclass(frozen=True, kw_only=True)
class SubRun:
    """How a sub-run stands. `lacks_credits`: how many credits what it failed for needs, if it could not pay.

    `awaits_retry`: that it FAILED has been told, and what waits for it is tried again.
    """

    id: UUID
    status: Status
    error: str
    output_count: int
    lacks_credits: int | None
    awaits_retry: bool


def ask(claimed: Claimed, question: AskPerson, *, wait_number: int, data: str) -> None:
    """Write down what a person is asked about, `data` as rows keep values (`large_values`)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO execution_review (id, node_execution_id, wait, name, data, editable, message, created_at)"
            " VALUES (%s, %s, %s, %s, %s::json, %s, '', clock_timestamp())"
            " ON CONFLICT (node_execution_id, wait) DO NOTHING",
            [new_id(), claimed.id, wait_number, question.name, data, question.editable],
        )


def load_decision(claimed: Claimed, wait: int) -> Decision | None:
    """Return what was decided about the question asked as this wait; None if nobody has decided."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT approved, decided_data, message FROM execution_review"
            " WHERE node_execution_id = %s AND wait = %s AND approved IS NOT NULL",
            [claimed.id, wait],
        )
        row = cursor.fetchone()
    return Decision(approved=row[0], data=read(row[1]), message=row[2]) if row else None


def find_sub_run(claimed: Claimed, wait: int) -> SubRun | None:
    """Return the sub-run started as this wait; None if there is none.

    Read its outputs afterwards: what a run that has ended emitted is then complete.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.id, e.status, e.error, e.output_count,"
            " (SELECT max(needs_credits) FROM execution_nodeexecution n"
            "   WHERE n.execution_id = e.id AND n.status = 'FAILED' AND e.status = 'FAILED'), e.awaits_retry"
            " FROM execution_execution e WHERE e.parent_id = %s AND e.parent_wait = %s",
            [claimed.id, wait],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    key, status, error, output_count, lacks_credits, awaits_retry = row
    return SubRun(
        id=key,
        status=Status(status),
        error=error,
        output_count=output_count,
        lacks_credits=lacks_credits,
        awaits_retry=awaits_retry,
    )


def let_await_retry(sub_run_id: UUID) -> None:
    """Note that what waits for a FAILED sub-run is tried again."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE execution_execution SET awaits_retry = true WHERE id = %s AND status = 'FAILED'", [sub_run_id]
        )


def load_run_outputs(execution_id: UUID, *, position: int) -> list[Output]:
    """Return what has left a run, from `position` on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, value FROM execution_runoutput WHERE execution_id = %s AND position >= %s ORDER BY position",
            [execution_id, position],
        )
        return [(name, read(form)) for name, form in cursor.fetchall()]


def still_waits_for(sub_run_id: UUID, *, seen: int) -> bool:
    """Lock a sub-run and say whether there is nothing new: it has not ended and has `seen` outputs."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT status, output_count FROM execution_execution WHERE id = %s FOR NO KEY UPDATE", [sub_run_id]
        )
        status, output_count = cursor.fetchone()
    return status not in ENDED and output_count <= seen


_WAKE_DUE = """
UPDATE execution_nodeexecution n
   SET status = 'QUEUED', queued_at = clock_timestamp(), wake_at = NULL, held_back = true
 WHERE n.status = 'SUSPENDED' AND n.id IN (
       SELECT id FROM execution_nodeexecution WHERE status = 'SUSPENDED' AND wake_at <= clock_timestamp()
        ORDER BY wake_at LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING n.tree_id
"""


def wake_due(*, limit: int = 500) -> tuple[int, list[Ready]]:
    """Queue the node executions whose time has come; return how many, and what to send: as much as windows allow."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_WAKE_DUE, [limit])
        woken = [tree_id for (tree_id,) in cursor.fetchall()]
        return len(woken), release(sorted(set(woken)))


def seconds_to_next_wake() -> float | None:
    """Return how long until the next timer is due; None if there is none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXTRACT(EPOCH FROM min(wake_at) - clock_timestamp())::float FROM execution_nodeexecution"
            " WHERE status = 'SUSPENDED'"
        )
        (seconds,) = cursor.fetchone()
    return None if seconds is None else float(seconds)


def decide(review_id: UUID, *, user_id: int, approved: bool, data: str, message: str) -> UUID | None:
    """Write a decision, `data` as rows keep values; return what waits for it, or None if it was decided before."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE execution_review SET approved = %s, decided_data = %s::json, message = %s, decided_by_id = %s,"
            " decided_at = clock_timestamp() WHERE id = %s AND approved IS NULL RETURNING node_execution_id",
            [approved, data, message, user_id, review_id],
        )
        row = cursor.fetchone()
    return row[0] if row else None
