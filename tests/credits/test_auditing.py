"""The audit finds what disagrees, and nothing else."""

from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction

from credits.auditing import audit, find_faults, find_laws_out_of_force
from credits.pricing import Usage
from tests.credits.booking import capture, flat_price, give, hold, subject

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def books(user: User) -> int:
    """An account with a bit of everything."""
    for amount in (100, 30, 2_000):
        what = subject()
        hold(user_id=user.pk, subject=what, price=flat_price(amount))
        capture(user_id=user.pk, subject=what, price=flat_price(amount), usage=Usage(), has_failed=False)
    give(user.pk, 900)
    hold(user_id=user.pk, subject=subject(), price=flat_price(50))
    return int(user.pk)


def forge(statement: str) -> None:
    """Change the database behind the back of its triggers."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement)
        cursor.execute("SET session_replication_role = origin")


@pytest.mark.usefixtures("books")
def test_books_that_agree_have_no_faults() -> None:
    found = audit()

    assert found.faults == tuple(fault for fault in found.faults if fault.check == "the laws are in force")
    assert (found.accounts, found.entries, found.held) == (1, 6, 50)


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize(
    ("forgery", "checks"),
    [
        ("UPDATE credits_account SET balance = balance + 1", {"account"}),
        ("UPDATE credits_account SET owed = 5", {"account", "nothing"}),
        ("UPDATE credits_account SET held = held - 1", {"account"}),
        ("DELETE FROM credits_hold", {"account"}),
        ("UPDATE credits_ledgerentry SET amount = amount - 1 WHERE sequence = 2", {"account", "each", "run"}),
        ("UPDATE credits_ledgerentry SET balance_after = 7 WHERE sequence = 3", {"each"}),
        ("DELETE FROM credits_ledgerentry WHERE sequence = 2", {"account", "each", "run"}),
        ("DELETE FROM credits_ledgerentry WHERE sequence = 6", {"account"}),
        ("UPDATE credits_ledgerentry SET owed_after = owed_after + 1 WHERE sequence = 4", {"each"}),
        ("UPDATE credits_runcost SET cost = 1", {"run"}),
        ("DELETE FROM credits_runcost", {"run"}),
        ("UPDATE credits_runcost SET owed = owed + 1", {"run"}),
        ("UPDATE credits_runcost SET graph_id = gen_random_uuid()", {"run"}),
        ("UPDATE credits_runcost SET graph_id = NULL", {"run"}),
        ("UPDATE credits_ledgerentry SET root_graph_id = gen_random_uuid() WHERE sequence = 3", {"run"}),
    ],
)
def test_a_forgery_is_found(forgery: str, checks: set[str]) -> None:
    forge(forgery)

    words = {fault.check.split()[1 if fault.check.startswith(("an ", "a ")) else 0] for fault in find_faults()}

    assert {word.removesuffix("'s") for word in words} == checks


def test_the_command_tells_what_it_found(books: int) -> None:
    forge("UPDATE credits_account SET balance = balance + 1")
    told = StringIO()

    with pytest.raises(SystemExit) as ended:
        call_command("audit_ledger", stdout=told)

    assert ended.value.code == 1
    assert "1 accounts, 6 entries" in told.getvalue()
    assert "an account is what its entries and holds say" in told.getvalue()


def test_the_command_is_content_with_books_that_agree(books: int, monkeypatch: Any) -> None:
    monkeypatch.setattr("credits.auditing.LAWS", {"credits_ledgerentry": ("entry_is_immutable",)})
    told = StringIO()

    call_command("audit_ledger", stdout=told)

    assert "The books agree." in told.getvalue()


def test_the_audit_looks_at_one_moment_and_writes_nothing(books: int) -> None:
    audit()

    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        assert cursor.fetchone() == ("off",)


@pytest.mark.parametrize(
    ("table", "law"),
    [
        ("credits_hold", "hold_above_zero"),
        ("credits_ledgerentry", "entry_changes_something"),
        ("credits_ledgerentry", "entry_type_known"),
    ],
)
def test_a_law_of_one_table_is_not_in_force_by_its_name_on_another(table: str, law: str) -> None:
    before = {fault.subject for fault in find_laws_out_of_force()}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {law}")
        cursor.execute(f"ALTER TABLE auth_group ADD CONSTRAINT {law} CHECK (id > 0)")
        missing = {fault.subject for fault in find_laws_out_of_force()}
        transaction.set_rollback(True)

    assert missing - before == {law}
