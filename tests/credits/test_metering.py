"""What the engine asks: setting aside, charging, letting go."""

import threading
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from credits.auditing import find_faults
from credits.exceptions import FundsLackingError
from credits.metering import release, require_funds
from credits.models import Hold, LedgerEntry, RunCost
from credits.pricing import Usage
from tests.credits.booking import (
    GRAPH,
    NOTHING_CHARGED,
    ROOT,
    account_of,
    capture,
    charge_fee,
    flat_price,
    give,
    hold,
    release_runs,
    set_balance,
    standing,
    subject,
)


def charge(user_id: int, price: int, *, root: UUID = ROOT, held: int | None = None) -> None:
    what = subject(root=root)
    hold(user_id=user_id, subject=what, price=flat_price(price, hold=held))
    capture(user_id=user_id, subject=what, price=flat_price(price), usage=Usage(), has_failed=False)


@pytest.mark.django_db
def test_what_is_set_aside_is_charged_and_the_rest_let_go(payer: int) -> None:
    what = subject()

    granted = hold(user_id=payer, subject=what, price=flat_price(30)).granted
    before = standing(payer)
    charged = capture(user_id=payer, subject=what, price=flat_price(12), usage=Usage(), has_failed=False)

    assert granted
    assert before == (100, 30, 0)
    assert standing(payer) == (88, 0, 0)
    assert (charged.charged, charged.owed, charged.is_new) == (12, 0, True)
    entry = LedgerEntry.objects.get(key=f"usage:{what.node_execution_id}")
    assert (entry.type, entry.amount, entry.block_id, entry.price_version) == ("USAGE", -12, "a-block", 0)
    assert (entry.execution_id, entry.graph_id, entry.node_id) == (ROOT, GRAPH, what.node_id)


@pytest.mark.django_db
def test_each_takes_one_statement(payer: int) -> None:
    what = subject()

    with CaptureQueriesContext(connection) as queries:
        hold(user_id=payer, subject=what, price=flat_price(30))
        capture(user_id=payer, subject=what, price=flat_price(12), usage=Usage(), has_failed=False)
        release([what.node_execution_id])

    assert len(queries) == 3


@pytest.mark.django_db
def test_a_failure_costs_nothing_unless_its_block_says_so(payer: int) -> None:
    free, paid = subject(), subject()
    kind, stern = flat_price(30), flat_price(30, charge_on_failure=True)

    for what, price in ((free, kind), (paid, stern)):
        hold(user_id=payer, subject=what, price=price)
    first = capture(user_id=payer, subject=free, price=kind, usage=Usage(), has_failed=True)
    second = capture(user_id=payer, subject=paid, price=stern, usage=Usage(), has_failed=True)

    assert first == NOTHING_CHARGED
    assert second.charged == 30
    assert standing(payer) == (70, 0, 0)


@pytest.mark.django_db
def test_what_is_not_there_is_not_set_aside(payer: int) -> None:
    first = hold(user_id=payer, subject=subject(), price=flat_price(70))
    second = hold(user_id=payer, subject=subject(), price=flat_price(31))

    assert (first.granted, second.granted, second.spendable) == (True, False, 30)
    assert standing(payer) == (100, 70, 0)


@pytest.mark.django_db
def test_what_costs_more_than_there_is_is_owed_and_paid_first(payer: int) -> None:
    charge(payer, 130, held=100)
    in_debt = standing(payer)
    with pytest.raises(FundsLackingError) as refused:
        require_funds(payer)

    give(payer, 50)

    assert in_debt == (0, 0, 30)
    assert (refused.value.balance, refused.value.owed, refused.value.needed) == (0, 30, 31)
    assert standing(payer) == (20, 0, 0)
    require_funds(payer)
    history = LedgerEntry.objects.filter(account__user=payer).order_by("-sequence")[:3]
    assert [(each.type, each.amount, each.owed) for each in history] == [
        ("SETTLEMENT", -30, -30),
        ("GRANT", 50, 0),
        ("USAGE", -100, 30),
    ]


@pytest.mark.django_db
def test_what_another_node_has_set_aside_does_not_pay_a_debt_before_it_is_let_go(payer: int) -> None:
    other = subject()
    hold(user_id=payer, subject=other, price=flat_price(80))

    charge(payer, 50, held=20)
    before = standing(payer)
    release([other.node_execution_id])

    assert before == (80, 80, 30)
    assert standing(payer) == (50, 0, 0)


@pytest.mark.django_db
def test_setting_aside_less_for_the_same_pays_a_debt_with_the_rest(payer: int) -> None:
    what = subject()
    hold(user_id=payer, subject=what, price=flat_price(80))
    charge(payer, 50, held=20)

    again = hold(user_id=payer, subject=what, price=flat_price(10))

    assert again.granted
    assert standing(payer) == (50, 10, 0)


@pytest.mark.django_db
def test_a_run_stays_within_what_it_may_cost(payer: int) -> None:
    charge(payer, 25)
    under_way = hold(user_id=payer, subject=subject(), price=flat_price(10), max_cost=40)
    too_much = hold(user_id=payer, subject=subject(), price=flat_price(6), max_cost=40)
    just_so = hold(user_id=payer, subject=subject(), price=flat_price(5), max_cost=40)
    another_run = hold(user_id=payer, subject=subject(root=UUID(int=9)), price=flat_price(40), max_cost=40)

    assert [each.granted for each in (under_way, too_much, just_so, another_run)] == [True, False, True, True]
    assert too_much.committed == 35


@pytest.mark.django_db
def test_a_run_that_ends_lets_go_of_everything(payer: int) -> None:
    for root in (ROOT, ROOT, UUID(int=9)):
        hold(user_id=payer, subject=subject(root=root), price=flat_price(10))

    release_runs(ROOT)

    assert standing(payer) == (100, 10, 0)
    assert [each.execution_id for each in Hold.objects.all()] == [UUID(int=9)]


@pytest.mark.django_db
def test_a_run_adds_up_what_it_and_its_sub_runs_cost(payer: int) -> None:
    charge(payer, 25)
    below = subject(execution_id=UUID(int=77))
    capture(user_id=payer, subject=below, price=flat_price(90), usage=Usage(), has_failed=False)

    (cost,) = RunCost.objects.all()

    assert (cost.root_execution_id, cost.cost, cost.owed, cost.entry_count) == (ROOT, 115, 15, 2)


@pytest.mark.django_db
def test_every_hundredth_node_execution_of_a_user_costs_a_credit(payer: int) -> None:
    for run, count in enumerate([99, 0, 1, 250, 49, 1], start=1):
        charge_fee(
            user_id=payer, execution_id=UUID(int=run), root_execution_id=UUID(int=run), graph_id=GRAPH, count=count
        )

    assert standing(payer) == (96, 0, 0)
    assert account_of(payer).node_executions == 400
    fees = LedgerEntry.objects.filter(key__startswith="fee:").order_by("sequence")
    assert [(each.execution_id, -each.amount) for each in fees] == [
        (UUID(int=3), 1),
        (UUID(int=4), 2),
        (UUID(int=6), 1),
    ]


@pytest.mark.django_db
def test_who_was_made_behind_our_back_has_an_account_as_well(settings: object) -> None:
    settings.INITIAL_CREDITS = 7  # type: ignore[attr-defined]
    (silent,) = User.objects.bulk_create([User(username="silent")])

    require_funds(silent.pk)
    (other,) = User.objects.bulk_create([User(username="other")])
    refused = hold(user_id=other.pk, subject=subject(), price=flat_price(1))

    assert standing(silent.pk) == (7, 0, 0)
    assert not refused.granted


@pytest.mark.django_db(transaction=True)
def test_of_64_at_once_just_those_are_granted_that_can_be_paid(user: User) -> None:
    set_balance(user.pk, 70)
    start, granted = threading.Barrier(64), []

    def claim() -> None:
        try:
            start.wait()
            held = hold(user_id=user.pk, subject=subject(), price=flat_price(7))
            granted.append(held.granted)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=claim) for _ in range(64)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(granted) == [False] * 54 + [True] * 10
    assert standing(user.pk) == (70, 70, 0)
    assert find_faults() == ()


@pytest.mark.django_db(transaction=True)
def test_one_node_execution_that_ends_16_times_at_once_is_charged_once(user: User) -> None:
    set_balance(user.pk, 70)
    what, start, new = subject(), threading.Barrier(16), []

    def end() -> None:
        try:
            start.wait()
            charged = capture(user_id=user.pk, subject=what, price=flat_price(7), usage=Usage(), has_failed=False)
            new.append(charged.is_new)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=end) for _ in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(new) == [False] * 15 + [True]
    assert standing(user.pk) == (63, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_charging_and_letting_go_at_once_never_wait_for_each_other_for_ever(user: User) -> None:
    set_balance(user.pk, 1_000)
    subjects = [subject() for _ in range(24)]
    for what in subjects:
        hold(user_id=user.pk, subject=what, price=flat_price(7))
    errors: list[Exception] = []
    start = threading.Barrier(16)

    def work(number: int) -> None:
        try:
            start.wait()
            for what in subjects[:: 1 if number % 2 else -1]:
                if number % 3:
                    capture(user_id=user.pk, subject=what, price=flat_price(7), usage=Usage(), has_failed=False)
                else:
                    release([each.node_execution_id for each in subjects])
        except Exception as error:  # noqa: BLE001 - told below
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert errors == []
    assert standing(user.pk) == (1_000 - 24 * 7, 0, 0)


@pytest.mark.django_db
def test_who_owes_something_starts_nothing_even_while_more_is_set_aside(payer: int) -> None:
    hold(user_id=payer, subject=subject(), price=flat_price(60))
    charge(payer, 90, held=40)

    with pytest.raises(FundsLackingError) as lacking:
        require_funds(payer)

    assert standing(payer) == (60, 60, 50)
    assert (lacking.value.balance, lacking.value.owed, lacking.value.needed) == (60, 50, 50)


@pytest.mark.django_db
def test_letting_go_of_nothing_asks_nothing() -> None:
    with CaptureQueriesContext(connection) as queries:
        release([])

    assert len(queries) == 0
    assert not Hold.objects.filter(key=uuid4()).exists()
