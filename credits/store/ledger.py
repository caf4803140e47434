"""The ledger's functions (see the migration `0002_laws`), one statement each, in the caller's transaction."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from credits.exceptions import EntryConflictError
from credits.notices import tell_after_commit

Facts = Mapping[str, Any]
"""Columns of an entry that say what it is about; UUIDs as such or as text."""


@dataclass(frozen=True, kw_only=True)
class Posted:
    """An entry's number in its account. `is_new`: it had not been entered before."""

    sequence: int
    is_new: bool


def release(keys: Collection[UUID]) -> int:
    """Let go of what is held for these keys; return how many holds there were."""
    (count,) = _ask("SELECT credits_release(%s::uuid[], '{}')", [list(keys)])
    return int(count)


def release_account(user_id: int) -> int:
    """Let go of everything that is held for a user."""
    (count,) = _ask(
        "SELECT credits_release(ARRAY(SELECT h.key FROM credits_hold h JOIN credits_account a ON a.id = h.account_id"
        " WHERE a.user_id = %s), '{}')",
        [user_id],
    )
    return int(count)


def post(*, user_id: int, key: str, type: str, amount: int, facts: Facts) -> Posted:
    """Enter money that comes in (above zero) or goes out, once per key.

    Raises `EntryConflictError` if an entry with this key says something else.
    """
    sequence, is_new, agrees, has_news = _ask(
        "SELECT * FROM credits_post(%s, %s, %s, %s, %s)", [user_id, key, type, amount, dump_facts(facts)]
    )
    if not agrees:
        raise EntryConflictError(f"There is another entry with the key “{key}”.")
    if has_news:
        tell_after_commit(user_id)
    return Posted(sequence=sequence, is_new=is_new)


def read_funds(user_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """Return the balance of these users, and what they owe; of those who have an account.

    Each start of a run asks: in SQL, for Django's models would take several times as long.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT user_id, balance, owed FROM credits_account WHERE user_id = ANY(%s)", [list(user_ids)])
        return {user_id: (balance, owed) for user_id, balance, owed in cursor.fetchall()}


def _ask(statement: str, arguments: list[Any]) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        row: tuple[Any, ...] = cursor.fetchone()
    return row


def dump_facts(facts: Facts) -> str:
    """Return facts as the functions take them."""
    return json.dumps(facts, default=str)
