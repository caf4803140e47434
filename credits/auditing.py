"""Proving the books: everything that must agree is compared in the database, in one snapshot, while work goes on.

Only what disagrees comes out of the database, so memory here does not grow with the ledger.
"""

from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, transaction

MOST_FAULTS: Final = 100
"""Per check; more would say nothing new."""

_ACCOUNTS = """
SELECT a.id, format('balance %%s, owed %%s, %%s entries, held %%s; its entries say %%s, %%s, %%s, its holds %%s',
                    a.balance, a.owed, a.entry_count, a.held, COALESCE(l.amount, 0), COALESCE(l.owed, 0),
                    COALESCE(l.entries, 0), COALESCE(h.amount, 0))
  FROM credits_account a
  LEFT JOIN (SELECT account_id, sum(amount) AS amount, sum(owed) AS owed, count(*) AS entries
               FROM credits_ledgerentry GROUP BY account_id) l ON l.account_id = a.id
  LEFT JOIN (SELECT account_id, sum(amount) AS amount FROM credits_hold GROUP BY account_id) h ON h.account_id = a.id
 WHERE (a.balance, a.owed, a.entry_count, a.held) IS DISTINCT FROM
       (COALESCE(l.amount, 0), COALESCE(l.owed, 0), COALESCE(l.entries, 0), COALESCE(h.amount, 0))
 LIMIT %s
"""

_SPENDABLE = """
SELECT id, format('balance %%s, held %%s, owed %%s', balance, held, owed) FROM credits_account
 WHERE balance < held OR held < 0 OR owed < 0 OR owed > 0 AND balance > held LIMIT %s
"""

_CHAIN = """
SELECT account_id, format('entry %%s: %%s%%s after entry %%s with %%s and %%s owed, but it says %%s and %%s owed',
                          sequence, CASE WHEN amount > 0 THEN '+' ELSE '' END, amount, before, balance_before,
                          owed_before, balance_after, owed_after)
  FROM (SELECT account_id, sequence, amount, owed, balance_after, owed_after,
               lag(sequence, 1, 0::bigint) OVER w AS before,
               lag(balance_after, 1, 0::bigint) OVER w AS balance_before,
               lag(owed_after, 1, 0::bigint) OVER w AS owed_before
          FROM credits_ledgerentry WINDOW w AS (PARTITION BY account_id ORDER BY sequence)) chain
 WHERE sequence <> before + 1 OR balance_after <> balance_before + amount OR owed_after <> owed_before + owed
 LIMIT %s
"""

_RUNS = """
SELECT COALESCE(r.root_execution_id, l.root_execution_id),
       format('cost %%s, of which %%s owed, in %%s entries of graph %%s;'
              ' its entries say %%s, of which %%s owed, in %%s of graph %%s',
              r.cost, r.owed, r.entry_count, r.graph_id, l.cost, l.owed, l.entries,
              CASE WHEN l.lowest = l.highest THEN l.lowest ELSE l.lowest || ' and ' || l.highest END)
  FROM credits_runcost r
  FULL JOIN (SELECT root_execution_id, sum(owed - amount) AS cost, sum(owed) AS owed, count(*) AS entries,
                    min(COALESCE(root_graph_id, graph_id)::text) AS lowest,
                    max(COALESCE(root_graph_id, graph_id)::text) AS highest
               FROM credits_ledgerentry
              WHERE type = 'USAGE' AND root_execution_id IS NOT NULL GROUP BY root_execution_id) l
    ON l.root_execution_id = r.root_execution_id
 WHERE (r.cost, r.owed, r.entry_count, r.graph_id::text, r.graph_id::text)
       IS DISTINCT FROM (l.cost, l.owed, l.entries, l.lowest, l.highest)
 LIMIT %s
"""

_LAWS = """
SELECT name, 'is not in force on ' || owner FROM unnest(%s::text[], %s::text[]) AS law(name, owner)
 WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = name AND tgrelid = to_regclass(owner)
                                            AND tgenabled IN ('O', 'A') AND NOT tgisinternal)
   AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = name AND conrelid = to_regclass(owner) AND convalidated)
 LIMIT %s
"""

LAWS: Final = {
    "credits_account": (
        "account_starts_empty",
        "account_follows_its_ledger",
        "account_holds_nothing_negative",
        "account_spendable_never_negative",
        "account_owes_nothing_negative",
    ),
    "credits_ledgerentry": (
        "entry_is_immutable",
        "ledger_is_never_emptied",
        "entry_is_numbered",
        "entries_are_booked",
        "entry_number_once_per_account",
        "entry_type_known",
        "entry_changes_something",
        "entry_sign_fits_type",
        "credits_ledgerentry_key_key",
    ),
    "credits_hold": (
        "hold_keeps_its_amount",
        "holds_are_never_emptied",
        "holds_are_counted",
        "holds_are_discounted",
        "hold_above_zero",
    ),
}
"""The triggers and constraints of each table without which nothing is proved for tomorrow."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that disagrees. `subject` is an account, a run or a law."""

    check: str
    subject: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was looked at and what was found; sums are in credits."""

    accounts: int
    entries: int
    balance: int
    held: int
    owed: int
    faults: tuple[Fault, ...]


def audit() -> Audit:
    """Compare everything in one snapshot of the database, whatever goes on meanwhile."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # Enough for a few million entries; a larger ledger is sorted on the server's disk.
        cursor.execute("SET LOCAL work_mem = '256MB'")
        # Everything is read, so it is read in the order in which it lies, and sorted: along an index that takes three
        # times as long.
        cursor.execute("SET LOCAL enable_indexscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        faults = (*find_faults(), *find_laws_out_of_force())
        cursor.execute(
            "SELECT count(*), (SELECT count(*) FROM credits_ledgerentry), COALESCE(sum(balance), 0),"
            " COALESCE(sum(held), 0), COALESCE(sum(owed), 0) FROM credits_account"
        )
        accounts, entries, balance, held, owed = cursor.fetchone()
    return Audit(
        accounts=accounts, entries=entries, balance=int(balance), held=int(held), owed=int(owed), faults=faults
    )


def find_faults() -> tuple[Fault, ...]:
    """Return where balances, holds, chains and runs' costs disagree, at most `MOST_FAULTS` each."""
    checks = (
        ("an account is what its entries and holds say", _ACCOUNTS),
        ("nothing is spent that is not there, nothing owed that could be paid", _SPENDABLE),
        ("each entry follows from the one before", _CHAIN),
        ("a run's cost is the sum of its entries, and its graph theirs", _RUNS),
    )
    return tuple(fault for name, statement in checks for fault in _look(name, statement, [MOST_FAULTS]))


def find_laws_out_of_force() -> tuple[Fault, ...]:
    """Return the triggers and constraints that are missing or switched off."""
    laws = [(name, table) for table, names in LAWS.items() for name in names]
    names, tables = ([law[part] for law in laws] for part in (0, 1))
    return tuple(_look("the laws are in force", _LAWS, [names, tables, MOST_FAULTS]))


def _look(check: str, statement: str, arguments: list[Any]) -> list[Fault]:
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return [Fault(check=check, subject=str(subject), detail=detail) for subject, detail in cursor.fetchall()]
