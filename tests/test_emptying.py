"""A test that commits leaves its tables empty, and whoever is still at work on them unharmed."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connection

from credits.models import LedgerEntry
from execution.store.sessions import open_session
from tests.config.processes import wait_until
from tests.credits.booking import set_balance
from tests.postgresql import base

pytestmark = pytest.mark.django_db(transaction=True)

WAITS = """
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


def empty_tables() -> None:
    """Do what is done after each of these tests."""
    try:
        call_command("flush", verbosity=0, interactive=False)
    finally:
        connection.close()


@pytest.mark.parametrize("large", [base.LARGE_BYTES, 0])
def test_everything_goes_but_what_was_there_before(user: User, large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "LARGE_BYTES", large)
    set_balance(user.pk, 100)
    assert LedgerEntry.objects.exists()

    empty_tables()

    assert not User.objects.exists()
    assert not LedgerEntry.objects.exists()
    assert Permission.objects.filter(codename="view_execution").exists()


def test_tables_with_statistics_are_as_new(user: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE auth_user")

    empty_tables()

    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = 'auth_user'::regclass")
        assert cursor.fetchone() == (-1,)


def test_who_holds_one_table_and_wants_another_gets_it(db: None) -> None:
    """In either order: nobody is in a deadlock with it."""
    for held, wanted in (("auth_user", "scheduling_schedule"), ("scheduling_schedule", "auth_user")):
        with ThreadPoolExecutor(max_workers=1) as others, closing(open_session()) as session:
            session.execute("BEGIN")
            session.execute(f"LOCK TABLE {held} IN ROW EXCLUSIVE MODE")
            emptied = others.submit(empty_tables)
            assert wait_until(lambda: session.execute(WAITS).fetchone() == (True,))

            session.execute(f"LOCK TABLE {wanted} IN ROW EXCLUSIVE MODE")
            session.execute("COMMIT")

            emptied.result(timeout=base.MOST_SECONDS)
