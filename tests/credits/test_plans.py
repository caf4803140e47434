"""What is asked of the books of all users reads what it is about, not all there is."""

import json
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from credits.models import LedgerEntry

pytestmark = pytest.mark.django_db

USERS = 20
ENTRIES = 4_000
"""Of all users together, a second after one another; each run has ten, and the first of each user is a grant."""

FEW = ENTRIES // 40

RUN = UUID(int=7)
LEDGER = "/admin/credits/ledgerentry/"

_FILL = """
DO $$ DECLARE n int; BEGIN
    SET LOCAL session_replication_role = replica;
    INSERT INTO credits_ledgerentry
           (key, account_id, sequence, type, amount, balance_after, owed_after, created_at, root_execution_id,
            execution_id, node_execution_id, block_id, price_type, details)
    SELECT CASE WHEN s <= {users} THEN 'a gift ' || s ELSE 'usage:' || md5(s::text)::uuid END,
           a.id, 1 + (s - 1) / {users}, CASE WHEN s <= {users} THEN 'GRANT' ELSE 'USAGE' END,
           CASE WHEN s <= {users} THEN 1000000 ELSE -3 END, 0, 0,
           '2026-01-01 00:00:00+00'::timestamptz + make_interval(secs => s), lpad(to_hex(s / 10), 32, '0')::uuid,
           lpad(to_hex(s / 10), 32, '0')::uuid, md5(s::text)::uuid, 'a-block', 'RUN', '{{}}'
      FROM generate_series(1, {entries}) AS s JOIN credits_account a ON a.id = {first} + s % {users};
    SET LOCAL session_replication_role = origin;
END $$
"""


@pytest.fixture
def boss(settings: Any) -> User:
    """Somebody who may see all of a large ledger."""
    settings.INITIAL_CREDITS = 0
    users = [User.objects.create_user(f"user{number}") for number in range(USERS)]
    first = min(user.credit_account.pk for user in users)
    with connection.cursor() as cursor:
        cursor.execute(_FILL.format(users=USERS, entries=ENTRIES, first=first))
        cursor.execute("SELECT brin_summarize_new_values('entry_of_all_by_time')")  # else autovacuum's work
        cursor.execute("ANALYZE credits_ledgerentry")
        # A table as small as this one is read faster than any index.
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert LedgerEntry.objects.count() == ENTRIES
    return User.objects.create_superuser("boss")


def rows_read(plan: dict[str, Any]) -> float:
    """Return how many entries the scans of a plan have read, those included that they threw away."""
    thrown_away = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    is_ours = plan.get("Relation Name") == LedgerEntry._meta.db_table
    own = (plan["Actual Rows"] + thrown_away) * plan["Actual Loops"] if is_ours else 0.0
    return float(own + sum(rows_read(part) for part in plan.get("Plans", [])))


def most_rows_read(queries: CaptureQueriesContext) -> float:
    """Explain what was asked of the ledger; return the most that a query read."""
    asked = [query["sql"] for query in queries.captured_queries if "credits_ledgerentry" in query["sql"]]
    read = [0.0]
    with connection.cursor() as cursor:
        for sql in asked:
            if sql.startswith("SELECT"):
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
                ((found,),) = cursor.fetchall()
                (explained,) = json.loads(found) if isinstance(found, str) else found
                read.append(rows_read(explained["Plan"]))
    assert len(read) > 1, "Nothing was asked of the ledger."
    return max(read)


@pytest.mark.parametrize(
    ("query", "listed", "most"),
    [
        # Of so few users it finds the newest of one quickest by looking at everybody's newest.
        ("?q=user7", ENTRIES // USERS, ENTRIES // 3),
        (f"?q={RUN}", 10, FEW),
        ("?q=a gift 7", 1, FEW),
        ("?q=nobody", 0, FEW),
        ("?type__exact=GRANT", USERS, FEW),
        ("?type__exact=REFUND", 0, FEW),
        ("?created_at__gte=2026-01-01 00:10:00Z&created_at__lt=2026-01-01 00:12:00Z", 120, ENTRIES // 3),
    ],
)
def test_the_admins_list_reads_what_it_is_asked_for(boss: User, query: str, listed: int, most: int) -> None:
    client = Client()
    client.force_login(boss)

    with CaptureQueriesContext(connection) as queries:
        answer: Any = client.get(LEDGER + query)

    assert answer.status_code == 200
    assert answer.context_data["cl"].result_count == listed
    assert most_rows_read(queries) <= most


def test_the_admins_list_reads_the_whole_ledger_once_at_most(boss: User) -> None:
    client = Client()
    client.force_login(boss)

    with CaptureQueriesContext(connection) as queries:
        answer: Any = client.get(LEDGER)

    totals = {each["type"]: (each["sum"], each["entries"]) for each in answer.context_data["totals"]}
    assert totals == {"GRANT": (USERS * 1_000_000, USERS), "USAGE": (-3 * (ENTRIES - USERS), ENTRIES - USERS)}
    asked = [each["sql"] for each in queries.captured_queries if "credits_ledgerentry" in each["sql"]]
    assert len(asked) == 2
    assert sum("LIMIT 50" in sql for sql in asked) == 1


def test_sums_over_all_users_read_their_span_of_time(boss: User) -> None:
    client = APIClient()
    client.force_authenticate(boss)

    with CaptureQueriesContext(connection) as queries:
        answer = client.get("/v1/credits/summary?by=user&since=2026-01-01T00:10:00Z&until=2026-01-01T00:12:00Z")

    assert sum(each["charges"] for each in answer.json()) == 120
    assert most_rows_read(queries) <= ENTRIES // 3
