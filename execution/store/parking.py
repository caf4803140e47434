"""Node executions that wait for credits, holding no worker, and go on when they can be paid."""

from typing import Final
from uuid import UUID

from django.db import connection, transaction

from credits import metering

REPRICED_AFTER_SECONDS: Final = 600.0
"""What has been waiting for so long is priced anew: what it needs may have become less."""

# Whoever can't pay keeps nobody else waiting.
_PARKED = """
SELECT n.id, e.user_id, n.needs_credits, COALESCE(e.root_id, e.id),
       n.claimed_at < clock_timestamp() - make_interval(secs => %(stale)s)
  FROM execution_nodeexecution n JOIN execution_execution e ON e.id = n.execution_id
       JOIN credits_account a ON a.user_id = e.user_id
 WHERE n.status = 'SUSPENDED' AND n.needs_credits IS NOT NULL
   AND (a.balance - a.held >= n.needs_credits OR n.claimed_at < clock_timestamp() - make_interval(secs => %(stale)s))
 ORDER BY n.id LIMIT %(limit)s
"""

# A run's limits of time don't hold while something in it waits for credits, and count anew when it goes on. Runs are
# locked before their node executions, those above before those below.
_LOCK_TREES = """
SELECT id FROM execution_execution WHERE id = ANY(%(roots)s) OR root_id = ANY(%(roots)s) ORDER BY id FOR NO KEY UPDATE
"""
_COUNT_ANEW = """
UPDATE execution_execution SET limits_from = clock_timestamp() WHERE id = ANY(%(roots)s) OR root_id = ANY(%(roots)s)
"""

_UNPARK = """
UPDATE execution_nodeexecution
   SET status = 'QUEUED', queued_at = clock_timestamp(), held_back = true, needs_credits = NULL
 WHERE id IN (SELECT id FROM execution_nodeexecution WHERE id = ANY(%(keys)s) AND status = 'SUSPENDED'
                 AND needs_credits IS NOT NULL ORDER BY id FOR UPDATE)
RETURNING tree_id
"""


def queue_what_can_be_paid(*, limit: int) -> list[UUID]:
    """Queue what waits for credits and can be paid now, the oldest first; return the trees that it is in.

    What has waited for long is queued too: its claim finds out what it needs now, and lets it wait again.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_PARKED, {"limit": limit, "stale": REPRICED_AFTER_SECONDS})
        parked: list[tuple[UUID, int, int, UUID, bool]] = cursor.fetchall()
        left = metering.read_spendable({user_id for _, user_id, *_ in parked})
        keys, roots = [], set()
        for key, user_id, needs, root_id, is_stale in parked:
            if left.get(user_id, 0) >= needs:
                left[user_id] -= needs
            elif not is_stale:
                continue
            keys.append(key)
            roots.add(root_id)
        if not keys:
            return []
        for statement in (_LOCK_TREES, _COUNT_ANEW):
            cursor.execute(statement, {"roots": sorted(roots)})
        cursor.execute(_UNPARK, {"keys": keys})
        return sorted({tree_id for (tree_id,) in cursor.fetchall()})
