"""How many runs of one user go on at once: those beyond the limit wait, and start in the order in which they came.

A run that waits is QUEUED and not `admitted`; all its node executions are held back. Sub-runs don't count: a run would
wait for itself.

Whoever counts a user's runs in order to add one holds the user's lock until the commit. Who starts a run waits for it.
Who ends one holds that run, so only tries: if somebody else is at it, the sweeper lets the next one start.
"""

from collections.abc import Collection
from typing import Final

from django.conf import settings

from execution.queues import CPU_QUEUE
from execution.store.batches import Answer, Batch
from execution.store.ready import Ready, describe_ready
from execution.store.round_trips import Prepared

_ADMISSION_LOCK: Final = 0x0AD3

_LOCK: Final = Prepared(
    "lock_admission",
    "lock int, users int[]",
    "SELECT pg_advisory_xact_lock(%(lock)s, u.id) FROM unnest(%(users)s) AS u(id)",
)

# As a condition: whether a run of the user may go on.
HAS_PLACE: Final = """
(SELECT count(*) FROM (SELECT FROM execution_execution
  WHERE user_id = %(user)s AND parent_id IS NULL AND admitted AND status IN ('QUEUED', 'RUNNING')
  LIMIT %(limit)s) AS active) < %(limit)s
"""

_PLACES: Final = Prepared(
    "places",
    "users int[], limit int",
    """
SELECT u.id, %(limit)s - (SELECT count(*) FROM (SELECT FROM execution_execution
       WHERE user_id = u.id AND parent_id IS NULL AND admitted AND status IN ('QUEUED', 'RUNNING')
       LIMIT %(limit)s) AS active)
  FROM unnest(%(users)s) AS u(id)
""",
)

# Nobody is kept from anything if nobody waits. What is counted is read by a statement that begins with the lock held.
_TRY_LOCK: Final = Prepared(
    "try_lock_admission",
    "lock int, user int",
    """
SELECT set_config('execution.may_admit', CASE WHEN EXISTS(
       SELECT FROM execution_execution WHERE user_id = %(user)s AND NOT admitted AND status IN ('QUEUED', 'RUNNING')
) THEN pg_try_advisory_xact_lock(%(lock)s, %(user)s)::text ELSE 'false' END, true)
""",
)

# One that is RUNNING although it was not admitted is no less in need of it: what it holds back waits.
# Why `IS TRUE`: see `execution.store.claims`.
_ADMIT: Final = Prepared(
    "admit",
    "user int, limit int, window int",
    """
WITH next AS MATERIALIZED (
    SELECT id FROM execution_execution
     WHERE user_id = %(user)s AND NOT admitted AND status IN ('QUEUED', 'RUNNING')
       AND current_setting('execution.may_admit') = 'true'
     ORDER BY id LIMIT %(limit)s - (SELECT count(*) FROM (SELECT FROM execution_execution
           WHERE user_id = %(user)s AND parent_id IS NULL AND admitted AND status IN ('QUEUED', 'RUNNING')
           LIMIT %(limit)s) AS active)
       FOR NO KEY UPDATE SKIP LOCKED
), admitted AS (
    UPDATE execution_execution e SET admitted = true, limits_from = clock_timestamp()
      FROM next WHERE e.id = next.id RETURNING e.id
), first AS MATERIALIZED (
    SELECT n.id FROM admitted a, LATERAL (
           SELECT id FROM execution_nodeexecution
            WHERE tree_id = a.id AND status = 'QUEUED' AND held_back ORDER BY id LIMIT %(window)s) AS n
)
UPDATE execution_nodeexecution n SET held_back = false, is_backlog = false, is_shared = false,
       queued_at = clock_timestamp()
  FROM first, execution_execution e WHERE n.id = first.id AND (n.status = 'QUEUED') IS TRUE AND e.id = n.execution_id
RETURNING n.id, n.node_id, e.graph_version_id, e.resumptions = 0
""",
)

_WAITING_USERS: Final = """
SELECT DISTINCT user_id FROM execution_execution WHERE NOT admitted AND status IN ('QUEUED', 'RUNNING')
"""


def lock_admission(batch: Batch, *, user_id: int) -> None:
    """Keep others from starting runs of this user until the transaction ends."""
    batch.ask(_LOCK, {"lock": _ADMISSION_LOCK, "users": [user_id]})


def find_places(batch: Batch, *, user_ids: Collection[int]) -> dict[int, int]:
    """Return how many more runs of each user may go on; nobody else starts any until the transaction ends."""
    # In one order, so that two who start runs of the same users don't wait for each other.
    users = sorted(set(user_ids))
    batch.ask(_LOCK, {"lock": _ADMISSION_LOCK, "users": users})
    rows = batch.fetch(_PLACES, {"users": users, "limit": settings.MAX_CONCURRENT_RUNS_PER_USER})
    return dict(rows)


def ask_to_admit(batch: Batch, *, user_id: int) -> Answer:
    """Let the user's next runs start, as far as the limit allows: rows for `describe_ready`, to be sent afterwards.

    In a transaction, or as part of one batch. Nothing happens while somebody else counts the user's runs.
    """
    window = int(settings.RUN_WINDOW[CPU_QUEUE])
    batch.ask(_TRY_LOCK, {"lock": _ADMISSION_LOCK, "user": user_id})
    return batch.ask(_ADMIT, {"user": user_id, "limit": settings.MAX_CONCURRENT_RUNS_PER_USER, "window": window})


def admit_forgotten() -> list[Ready]:
    """Return the first node executions of runs whose turn has come without anybody's noticing."""
    batch = Batch()
    answers = [ask_to_admit(batch, user_id=key) for (key,) in batch.fetch(_WAITING_USERS)]
    return [ready for answer in answers for ready in describe_ready(answer.rows)]
