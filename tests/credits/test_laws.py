"""What PostgreSQL itself refuses, whoever asks."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, transaction

from credits.auditing import find_faults, find_laws_out_of_force
from credits.models import Account, Hold, LedgerEntry
from tests.credits.booking import account_of, give, standing

pytestmark = pytest.mark.django_db


def sql(statement: str) -> Callable[[], None]:
    def execute() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    return execute


@pytest.mark.parametrize(
    "change",
    [
        sql("UPDATE credits_ledgerentry SET amount = amount + 1"),
        sql("UPDATE credits_ledgerentry SET reason = 'another'"),
        sql("DELETE FROM credits_ledgerentry"),
        sql("SET CONSTRAINTS ALL IMMEDIATE; DELETE FROM credits_account"),
        sql("UPDATE credits_account SET balance = balance + 1"),
        sql("UPDATE credits_account SET owed = 0, held = 7"),
        sql("UPDATE credits_account SET entry_count = 0"),
        sql("INSERT INTO credits_account (balance) VALUES (7)"),
        sql("UPDATE credits_hold SET amount = 1"),
    ],
)
def test_what_was_booked_stays(payer: int, change: Callable[[], None]) -> None:
    Hold.objects.create(
        key=uuid4(), account=account_of(payer), execution_id=uuid4(), root_execution_id=uuid4(), amount=9
    )
    entries = list(LedgerEntry.objects.values())

    with pytest.raises(DatabaseError), transaction.atomic():
        change()

    assert list(LedgerEntry.objects.values()) == entries
    assert standing(payer) == (100, 9, 0)


@pytest.mark.parametrize("table", ["credits_ledgerentry", "credits_hold"])
def test_nothing_is_emptied(payer: int, table: str) -> None:
    trigger = {"credits_ledgerentry": "ledger_is_never_emptied", "credits_hold": "holds_are_never_emptied"}[table]
    sql("SET CONSTRAINTS ALL IMMEDIATE")()
    sql(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")()

    with pytest.raises(DatabaseError, match="only ever added to"), transaction.atomic():
        sql(f"TRUNCATE {table}")()


def test_a_key_is_used_once(payer: int) -> None:
    give(payer, 5, key="a gift")

    with pytest.raises(IntegrityError), transaction.atomic():
        LedgerEntry.objects.create(account=account_of(payer), key="a gift", type="GRANT", amount=5)

    assert standing(payer) == (105, 0, 0)


def test_an_entry_that_is_ignored_changes_nothing(payer: int) -> None:
    give(payer, 5, key="a gift")

    entry = LedgerEntry(account=account_of(payer), key="a gift", type="GRANT", amount=5)
    LedgerEntry.objects.bulk_create([entry], ignore_conflicts=True)

    assert standing(payer) == (105, 0, 0)
    assert find_faults() == ()


def test_two_entries_in_one_statement_are_refused(payer: int) -> None:
    account = account_of(payer)
    entries = [LedgerEntry(account=account, key=key, type="GRANT", amount=5) for key in "ab"]

    with pytest.raises(IntegrityError), transaction.atomic():
        LedgerEntry.objects.bulk_create(entries)

    assert standing(payer) == (100, 0, 0)


def test_numbers_and_balances_are_not_the_writers_to_choose(payer: int) -> None:
    entry = LedgerEntry.objects.create(
        account=account_of(payer), key="a", type="GRANT", amount=5, sequence=70, balance_after=9_000, owed_after=-3
    )

    entry.refresh_from_db()
    assert (entry.sequence, entry.balance_after, entry.owed_after) == (account_of(payer).entry_count, 105, 0)


@pytest.mark.parametrize(
    ("kind", "amount", "owed"),
    [
        ("USAGE", 5, 0),
        ("GRANT", -5, 0),
        ("TOP_UP", 5, 5),
        ("ADJUSTMENT", -101, 0),
        ("SETTLEMENT", -5, 0),
        ("USAGE", 0, 0),
        ("USAGE", -5, -5),
        ("GIFT", 5, 0),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(payer: int, kind: str, amount: int, owed: int) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        LedgerEntry.objects.create(account=account_of(payer), key="a", type=kind, amount=amount, owed=owed)

    assert standing(payer) == (100, 0, 0)


def test_what_is_held_cannot_be_spent(payer: int) -> None:
    account = account_of(payer)
    Hold.objects.create(key=uuid4(), account=account, execution_id=uuid4(), root_execution_id=uuid4(), amount=60)

    with pytest.raises(IntegrityError, match="account_spendable_never_negative"), transaction.atomic():
        LedgerEntry.objects.create(account=account, key="a", type="ADJUSTMENT", amount=-41)
    with pytest.raises(IntegrityError, match="account_spendable_never_negative"), transaction.atomic():
        Hold.objects.create(key=uuid4(), account=account, execution_id=uuid4(), root_execution_id=uuid4(), amount=41)

    assert standing(payer) == (100, 60, 0)


def test_holds_go_with_their_user_and_the_books_stay(user: User) -> None:
    account = account_of(user.pk)
    Hold.objects.create(key=uuid4(), account=account, execution_id=uuid4(), root_execution_id=uuid4(), amount=60)

    user.delete()

    account.refresh_from_db()
    assert (account.user, account.held) == (None, 0)
    assert account.entries.exists()
    assert find_faults() == ()


def test_every_law_is_in_force(payer: int) -> None:
    missing = {fault.subject for fault in find_laws_out_of_force()}

    # Tests that commit could not be cleaned up after with these two.
    assert missing == {"ledger_is_never_emptied", "holds_are_never_emptied"}


def test_an_account_comes_with_its_user_and_the_initial_credits(settings: object) -> None:
    settings.INITIAL_CREDITS = 300  # type: ignore[attr-defined]  # pytest-django's

    first, second = User.objects.create_user("grace"), User.objects.create_user("linus")
    first.save()

    assert (standing(first.pk), standing(second.pk)) == ((300, 0, 0), (300, 0, 0))
    assert LedgerEntry.objects.get(key=f"initial:{first.pk}").reason == "Initial credits"


def test_without_initial_credits_an_account_is_empty(settings: object) -> None:
    settings.INITIAL_CREDITS = 0  # type: ignore[attr-defined]

    user = User.objects.create_user("grace")

    assert standing(user.pk) == (0, 0, 0)
    assert not LedgerEntry.objects.filter(account__user=user).exists()


def test_an_account_that_is_saved_from_old_values_is_refused(payer: int) -> None:
    stale = Account.objects.get(user_id=payer)
    give(payer, 5)

    stale.low_balance_threshold = 7
    with pytest.raises(DatabaseError, match="ledger entries and holds only"), transaction.atomic():
        stale.save()
