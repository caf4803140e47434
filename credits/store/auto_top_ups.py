"""Automatic top-ups that are due, by the database's functions (see the migration `0011_most_top_ups_per_day`).

Each in the caller's transaction.
"""

from datetime import datetime
from typing import Final, cast

from django.db import connection

MOST_AT_ONCE: Final = 1_000

# In the order in which whoever needs several accounts locks them; who is busy is looked at a minute later.
_ORDER_DUE = """
WITH due AS MATERIALIZED (
    SELECT id, user_id FROM credits_account a
     WHERE auto_top_up_amount IS NOT NULL AND user_id IS NOT NULL AND (balance < auto_top_up_threshold OR owed > 0)
       AND NOT EXISTS (SELECT FROM credits_topup t
                        WHERE t.account_id = a.id AND t.kind = 'AUTO' AND t.status = 'PENDING')
       AND (credits_next_top_up(id, auto_top_ups_per_day) > clock_timestamp() AND is_auto_top_up_paused) IS NOT TRUE
     ORDER BY id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
)
SELECT user_id FROM due WHERE credits_order_top_up(id)
"""


def order_auto_top_up(account_id: int) -> bool:
    """Order the next automatic top-up of a locked account, if it is due; return whether there is news of it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT credits_order_top_up(%s)", [account_id])
        (has_news,) = cursor.fetchone()
    return bool(has_news)


def order_due_auto_top_ups() -> list[int]:
    """Do so for all accounts for which it is due; return the ids of the users who have news of it."""
    with connection.cursor() as cursor:
        cursor.execute(_ORDER_DUE, [MOST_AT_ONCE])
        return [int(user_id) for (user_id,) in cursor.fetchall()]


def find_next(account_id: int) -> datetime | None:
    """Return from when on another one may be made; None: at any time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT credits_next_top_up(id, auto_top_ups_per_day) FROM credits_account WHERE id = %s", [account_id]
        )
        (found,) = cursor.fetchone()
    return cast(datetime | None, found)
