"""`python -m bench.ledger`: a ledger of millions of entries in a database of its own, and how long its audit takes.

The entries are written past the triggers, which would take hours, by one statement that follows their rules; the audit
then finds that nothing disagrees, or the figures mean nothing.
"""

import argparse
import os
import resource
import sys
import time
from typing import Final

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402

from config.startup import require_database  # noqa: E402
from credits.auditing import Audit, audit  # noqa: E402

# Every account has as many entries; the first is a grant that pays for all, each of the others costs 3 credits, and
# each run has 45 of them.
_FILL: Final = (
    """
INSERT INTO credits_account (id, balance, entry_count, is_low, is_out)
SELECT a, 10 * %(each)s - 3 * (%(each)s - 1), %(each)s, false, false FROM generate_series(1, %(accounts)s) AS a
""",
    """
INSERT INTO credits_ledgerentry
       (key, account_id, sequence, type, amount, balance_after, owed_after, created_at, execution_id, root_execution_id,
        graph_id, graph_version, node_id, node_execution_id, block_id, price_version, price_type, quantity, details)
SELECT CASE WHEN s = 1 THEN 'initial:' || a ELSE 'usage:' || md5(a || '.' || s) END, a, s,
       CASE WHEN s = 1 THEN 'GRANT' ELSE 'USAGE' END, CASE WHEN s = 1 THEN 10 * %(each)s ELSE -3 END,
       10 * %(each)s - 3 * (s - 1), 0, now() - make_interval(secs => %(each)s - s), run, run, graph, 1,
       md5('n' || s %% 7)::uuid, md5(a || '.' || s)::uuid, md5('b' || s %% 7), 0, 'RUN', NULL,
       '{"price": {"amount": 3, "type": "RUN"}}'
  FROM generate_series(1, %(each)s) AS s, generate_series(1, %(accounts)s) AS a,
       LATERAL (SELECT CASE WHEN s > 1 THEN md5('r' || a || '.' || (s - 2) / 45)::uuid END AS run,
                       CASE WHEN s > 1 THEN md5('g' || a)::uuid END AS graph) AS about
""",
    """
INSERT INTO credits_runcost
       (root_execution_id, account_id, graph_id, cost, owed, entry_count, first_at, last_at, first_sequence)
SELECT root_execution_id, account_id, min(graph_id::text)::uuid, sum(owed - amount), sum(owed), count(*),
       min(created_at), max(created_at), min(sequence)
  FROM credits_ledgerentry WHERE root_execution_id IS NOT NULL GROUP BY root_execution_id, account_id
""",
)


_SIZE: Final = "SELECT pg_size_pretty(pg_database_size(current_database()))"


def main() -> int:
    """Make the ledger, audit it, and say what that took. Exit code 1 if anything in it disagrees."""
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description="How long an audit takes.")
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--entries", type=int, default=500, help="of each account (default: 500, so 5,000,000 in all)")
    parser.add_argument("--audits", type=int, default=3, help="how often it is audited (default: 3)")
    asked = parser.parse_args()
    require_database()
    usual = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        _say(f"filled in {_fill(accounts=asked.accounts, each=asked.entries):.0f} s")
        faults = [_measure() for _ in range(asked.audits)]
    finally:
        connection.creation.destroy_test_db(usual, verbosity=0)
    return 1 if any(faults) else 0


def _fill(*, accounts: int, each: int) -> float:
    began = time.monotonic()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in _FILL:
            cursor.execute(statement, {"accounts": accounts, "each": each})
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return time.monotonic() - began


def _measure() -> int:
    load, began = os.getloadavg()[0], time.monotonic()
    found: Audit = audit()
    seconds = time.monotonic() - began
    with connection.cursor() as cursor:
        cursor.execute(_SIZE)
        (size,) = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM credits_runcost")
        (runs,) = cursor.fetchone()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    _say(
        f"{found.accounts:,} accounts, {found.entries:,} entries, {runs:,} runs, {size}: audited in {seconds:.1f} s,"
        f" {memory} MB of memory at most, load {load:.1f} before; {len(found.faults)} faults"
    )
    for fault in found.faults[:5]:
        _say(f"{fault.check}: {fault.subject}: {fault.detail}")
    return len(found.faults)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
