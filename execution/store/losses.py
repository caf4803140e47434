"""Node executions whose worker is gone: lost, or told to stop."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from django.db import connection, transaction

from execution.models import PastAttempt
from execution.places import Running
from execution.store.charging import release_holds
from execution.store.claims import Hold
from execution.store.ready import Ready, describe_ready

# After PostgreSQL was away, whoever lives gets the time to say so before anybody is thought dead. `session` is how old
# the asking session is: it ended if the database was away. One that began in the future is older than a clock that was
# set back; then all leases were renewed (`store.clock`).
_EXPIRED = """
    SELECT n.id FROM execution_nodeexecution n
     WHERE n.status = 'RUNNING' AND n.lease_until < clock_timestamp() AND n.losses + 1 {comparison} %(most)s
       AND (SELECT backend_start <= clock_timestamp() - make_interval(secs => %(patience)s)
                   OR backend_start > clock_timestamp()
              FROM pg_stat_activity WHERE pid = pg_backend_pid())
     LIMIT %(limit)s FOR UPDATE OF n SKIP LOCKED
"""

# One attempt, whose worker is known to be gone.
_NAMED = """
    SELECT n.id FROM execution_nodeexecution n
     WHERE n.id = %(id)s AND n.token = %(held)s AND n.status = 'RUNNING' AND n.losses + 1 {comparison} %(most)s
       FOR UPDATE OF n
"""

_KEEP_ATTEMPTS = """
    INSERT INTO execution_pastattempt (node_execution_id, number, outcome, worker, error, began_at, ended_at)
    SELECT id, attempt, %(outcome)s, worker, %(error)s, claimed_at, clock_timestamp() FROM {taken}
"""

_QUEUE_AGAIN = """
WITH lost AS MATERIALIZED ({lost}), taken AS (
    UPDATE execution_nodeexecution n
       SET status = 'QUEUED', queued_at = clock_timestamp(), losses = n.losses + 1
      FROM execution_execution e
     WHERE n.id IN (SELECT id FROM lost) AND e.id = n.execution_id
 RETURNING n.id, n.node_id, n.attempt, n.worker, n.claimed_at, e.graph_version_id, n.is_paid
), kept AS ({kept})
SELECT id, node_id, graph_version_id, is_paid FROM taken
"""

_TAKE_OVER = """
WITH lost AS MATERIALIZED ({lost}), taken AS (
    UPDATE execution_nodeexecution n
       SET token = %(token)s, losses = n.losses + 1,
           lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
     WHERE n.id IN (SELECT id FROM lost)
 RETURNING n.id, n.execution_id, n.node_id, n.ordinal, n.output_count, n.attempt, n.worker, n.claimed_at
), kept AS ({kept})
SELECT t.id, t.execution_id, e.graph_version_id, e.user_id, t.node_id, t.ordinal, t.output_count
  FROM taken t JOIN execution_execution e ON e.id = t.execution_id
"""

_KEPT = _KEEP_ATTEMPTS.format(taken="taken")
_QUEUE_EXPIRED_AGAIN = _QUEUE_AGAIN.format(lost=_EXPIRED.format(comparison="<"), kept=_KEPT)
_QUEUE_NAMED_AGAIN = _QUEUE_AGAIN.format(lost=_NAMED.format(comparison="<"), kept=_KEPT)
_TAKE_OVER_EXPIRED = _TAKE_OVER.format(lost=_EXPIRED.format(comparison=">="), kept=_KEPT)
_TAKE_OVER_NAMED = _TAKE_OVER.format(lost=_NAMED.format(comparison=">="), kept=_KEPT)

_WORKER_LOST = "Its worker was lost."

_HAND_BACK = f"""
WITH taken AS (
    UPDATE execution_nodeexecution n
       SET status = 'QUEUED', queued_at = clock_timestamp(), attempt = n.attempt - 1,
           suspicions = n.suspicions + %(suspect)s::int
      FROM execution_execution e
     WHERE n.id = %(id)s AND n.token = %(token)s AND n.status = 'RUNNING' AND e.id = n.execution_id
 RETURNING n.id, n.node_id, n.attempt + 1 AS attempt, n.worker, n.claimed_at, e.graph_version_id,
           n.is_paid
), kept AS ({_KEEP_ATTEMPTS.format(taken="taken")})
SELECT id, node_id, graph_version_id, is_paid FROM taken
"""  # noqa: S608 - made of constants


def queue_lost_again(*, most_losses: int, patience: float, limit: int) -> list[Ready]:
    """Queue node executions whose lease has run out, unless they have lost as many workers as they may.

    `patience`: how long (seconds) this database session must have lasted before it calls anybody lost.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _QUEUE_EXPIRED_AGAIN,
            {
                "most": most_losses,
                "patience": patience,
                "limit": limit,
                "outcome": PastAttempt.Outcome.LOST,
                "error": _WORKER_LOST,
            },
        )
        return _let_go(cursor.fetchall())


def take_over_hopeless(*, most_losses: int, patience: float, lease_seconds: float) -> Hold | None:
    """Take a node execution that has now lost as many workers as it may, in order to end it; None if there is none."""
    return _take_over(
        _TAKE_OVER_EXPIRED,
        {"most": most_losses, "patience": patience, "limit": 1, "lease": lease_seconds, "error": _WORKER_LOST},
    )


def lose(running: Running, *, error: str, most_losses: int, lease_seconds: float) -> list[Ready] | Hold:
    """Count an attempt as lost whose worker is gone; `error` says why.

    Return what became QUEUED by it: nothing, if its claim was no longer good. One that has now lost as many workers as
    it may is taken instead, in order to end it.
    """
    parameters: dict[str, Any] = {
        "id": running.node_execution_id,
        "held": running.token,
        "most": most_losses,
        "lease": lease_seconds,
        "outcome": PastAttempt.Outcome.LOST,
        "error": error,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_QUEUE_NAMED_AGAIN, parameters)
        ready = _let_go(cursor.fetchall())
    return ready or _take_over(_TAKE_OVER_NAMED, parameters) or []


def _take_over(statement: str, parameters: dict[str, Any]) -> Hold | None:
    token = uuid4()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, {**parameters, "token": token, "outcome": PastAttempt.Outcome.LOST})
        row = cursor.fetchone()
        if row is None:
            return None
        release_holds(keys=[row[0]])
    key, execution_id, version_id, user_id, node_id, ordinal, output_count = row
    return Hold(
        id=key,
        execution_id=execution_id,
        graph_version_id=version_id,
        node_id=node_id,
        ordinal=ordinal,
        token=token,
        output_count=output_count,
        user_id=user_id,
    )


def hand_back(
    running: Running, *, reason: str = "Its worker was told to stop.", is_suspect: bool = False
) -> list[Ready]:
    """Queue a node execution that its worker can't finish: no loss, no attempt is counted.

    `is_suspect`: it may be why its worker died. It runs apart from other suspects from then on.
    Empty if another attempt has taken over, or this one has ended.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _HAND_BACK,
            {
                "id": running.node_execution_id,
                "token": running.token,
                "outcome": PastAttempt.Outcome.HANDED_BACK,
                "error": reason,
                "suspect": is_suspect,
            },
        )
        return _let_go(cursor.fetchall())


def _let_go(taken: Sequence[tuple[UUID, UUID, UUID, bool]]) -> list[Ready]:
    """Let go of what is set aside for attempts that were taken away; return what to send."""
    release_holds(keys=[key for key, *_, is_paid in taken if is_paid])
    return describe_ready([(key, node_id, version_id) for key, node_id, version_id, _ in taken])


def correct_leases(*, lease_seconds: float) -> int:
    """Shorten leases that end later than any can: the database's clock was set back. Return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE execution_nodeexecution SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s)"
            " WHERE status = 'RUNNING' AND id IN (SELECT id FROM execution_nodeexecution WHERE status = 'RUNNING'"
            "  AND lease_until > clock_timestamp() + make_interval(secs => 2 * %(lease)s)"
            "  ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)",
            {"lease": lease_seconds},
        )
        return int(cursor.rowcount)
