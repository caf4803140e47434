"""What PostgreSQL itself refuses, whoever asks."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils.timezone import now

from credits.auditing import find_faults, find_laws_out_of_force
from credits.models import Account, Hold, LedgerEntry, Notice, RunCost, TopUp
from tests.credits.booking import ROOT, account_of, give, set_balance, standing

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


def test_several_entries_of_one_statement_are_numbered_and_booked(payer: int) -> None:
    other = User.objects.create_user("grace").pk
    set_balance(other, 40)
    accounts = [account_of(payer), account_of(other)]
    started = [account.entry_count for account in accounts]

    LedgerEntry.objects.bulk_create(
        LedgerEntry(
            account=accounts[whose],
            key=f"{whose}.{number}",
            type=kind,
            amount=amount,
            owed=owed,
            root_execution_id=UUID(int=whose) if kind == "USAGE" else None,
        )
        for number, (whose, kind, amount, owed) in enumerate(
            [(0, "GRANT", 5, 0), (1, "USAGE", -4, 0), (0, "USAGE", -105, 2), (1, "USAGE", -6, 0), (0, "USAGE", 0, 1)]
        )
    )

    entries = LedgerEntry.objects.filter(key__contains=".").order_by("account_id", "sequence")
    assert list(entries.values_list("key", "sequence", "balance_after", "owed_after")) == [
        ("0.0", started[0] + 1, 105, 0),
        ("0.2", started[0] + 2, 0, 2),
        ("0.4", started[0] + 3, 0, 3),
        ("1.1", started[1] + 1, 36, 0),
        ("1.3", started[1] + 2, 30, 0),
    ]
    assert (standing(payer), standing(other)) == ((0, 0, 3), (30, 0, 0))
    costs = RunCost.objects.order_by("root_execution_id").values_list("cost", "owed", "entry_count", "first_sequence")
    assert list(costs) == [(108, 3, 2, started[0] + 2), (10, 0, 2, started[1] + 1)]
    assert find_faults() == ()


def test_several_holds_of_one_statement_are_counted(payer: int) -> None:
    other = User.objects.create_user("grace").pk
    set_balance(other, 40)

    Hold.objects.bulk_create(
        Hold(key=uuid4(), account=account_of(whose), execution_id=ROOT, root_execution_id=ROOT, amount=amount)
        for whose, amount in [(other, 3), (payer, 4), (other, 5)]
    )

    assert (standing(payer), standing(other)) == ((100, 4, 0), (40, 8, 0))


def test_of_several_entries_those_that_are_ignored_leave_no_gap(payer: int) -> None:
    give(payer, 5, key="a gift")
    first = account_of(payer).entry_count

    entries = [LedgerEntry(account=account_of(payer), key=key, type="GRANT", amount=5) for key in ("a", "a gift", "b")]
    LedgerEntry.objects.bulk_create(entries, ignore_conflicts=True)

    assert list(LedgerEntry.objects.filter(key__in="ab").order_by("sequence").values_list("sequence", flat=True)) == [
        first + 1,
        first + 2,
    ]
    assert standing(payer) == (115, 0, 0)
    assert find_faults() == ()


@pytest.mark.parametrize("at_once", [True, False])
def test_what_is_told_of_several_entries_is_what_each_would_have_told(payer: int, at_once: bool) -> None:
    account = account_of(payer)
    TopUp.objects.create(account=account, kind="AUTO", status="PAID", amount=9, payment_id="pi_1", ended_at=now())
    Account.objects.filter(pk=account.pk).update(
        low_balance_threshold=60, auto_top_up_threshold=80, auto_top_up_amount=9, auto_top_ups_per_day=1, news=0
    )
    Notice.objects.all().delete()
    amounts = [("USAGE", -25), ("USAGE", -20), ("GRANT", 10), ("USAGE", -30), ("REFUND", -35), ("GRANT", 70)]
    entries = [
        LedgerEntry(account=account, key=str(number), type=kind, amount=amount)
        for number, (kind, amount) in enumerate(amounts)
    ]

    for some in [entries] if at_once else [[entry] for entry in entries]:
        LedgerEntry.objects.bulk_create(some)

    assert list(Notice.objects.order_by("id").values_list("kind", "balance")) == [
        ("AUTO_TOP_UP_PAUSED", 75),
        ("LOW_BALANCE", 55),
        ("LOW_BALANCE", 35),
        ("OUT_OF_CREDITS", 0),
        ("AUTO_TOP_UP_PAUSED", 0),
    ]
    account.refresh_from_db()
    assert (account.news, account.is_low, account.is_out, account.balance) == (5, False, False, 70)
    assert not TopUp.objects.filter(status="PENDING").exists()


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
