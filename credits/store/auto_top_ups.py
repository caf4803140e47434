"""Automatic top-ups that are due, by the database's functions (see the migration `0014_automatic_only_as_wanted`).

Each in the caller's transaction.
"""

from datetime import datetime
from typing import Final, cast
from uuid import UUID

from django.db import connection

MOST_AT_ONCE: Final = 1_000

# In the order in which whoever needs several accounts locks them; who is busy is looked at a minute later.
_ORDER_DUE = """
WITH due AS MATERIALIZED (
    SELECT id, user_id FROM credits_account a
     WHERE auto_top_up_amount IS NOT NULL AND credits_needs_top_up(a)
       AND NOT EXISTS (SELECT FROM credits_topup t
                        WHERE t.account_id = a.id AND t.kind = 'AUTO' AND t.status = 'PENDING')
       AND (credits_next_top_up(id, auto_top_ups_per_day) > clock_timestamp() AND is_auto_top_up_paused) IS NOT TRUE
     ORDER BY id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
)
SELECT user_id FROM due WHERE credits_order_top_up(id)
"""

_IS_WANTED = """
SELECT credits_needs_top_up(a) AND t.amount = a.auto_top_up_amount
  FROM credits_topup t JOIN credits_account a ON a.id = t.account_id WHERE t.id = %s
"""

_NEXT = """
SELECT CASE WHEN next > clock_timestamp() THEN next END
  FROM (SELECT credits_next_top_up(id, auto_top_ups_per_day) AS next FROM credits_account WHERE id = %s) AS found
"""


def order_auto_top_up(account_id: int) -> bool:
    """Order the next automatic top-up of a locked account, if it is due; return whether there is news of it."""
    return _do("credits_order_top_up", account_id)


def cancel_unwanted_auto_top_up(account_id: int) -> bool:
    """Cancel what is ordered for a locked account, unless it may be charged or is wanted; return whether it was."""
    return _do("credits_cancel_top_up", account_id)


def is_auto_top_up_wanted(top_up_id: UUID) -> bool:
    """Return whether what is ordered for a locked account is what its user wants and needs now."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_WANTED, [top_up_id])
        (answer,) = cursor.fetchone()
    return bool(answer)


def _do(function: str, account_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [account_id])
        (answer,) = cursor.fetchone()
    return bool(answer)


def order_due_auto_top_ups() -> list[int]:
    """Do so for all accounts for which it is due; return the ids of the users who have news of it."""
    with connection.cursor() as cursor:
        cursor.execute(_ORDER_DUE, [MOST_AT_ONCE])
        return [int(user_id) for (user_id,) in cursor.fetchall()]


def find_next(account_id: int) -> datetime | None:
    """Return from when on another one may be made; None: at any time."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, [account_id])
        (found,) = cursor.fetchone()
    return cast(datetime | None, found)
