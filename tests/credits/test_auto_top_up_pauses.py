"""How often credits are bought automatically: as often as the user allows within a day, and whoever is due is found."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from rest_framework.test import APIClient

from config.models import Notice as Told
from credits.auto_top_ups import order_overdue, perform_auto_top_up, send_overdue
from credits.models import Account, Notice, TopUp
from credits.tasks import catch_up
from credits.top_ups import NOT_WANTED
from tests.credits.booking import ROOT, account_of, set_balance, standing, use
from tests.credits.paying import buy, entries_of
from tests.credits.stripe_double import StripeDouble
from tests.execution.lock_waits import lock_account, session_beside

pytestmark = pytest.mark.django_db(transaction=True)


def pay_all(sent: list[UUID]) -> None:
    """Make every payment that is ordered, and those that they order in turn."""
    for number, due in enumerate(sent):  # it grows meanwhile
        assert number < 10
        perform_auto_top_up(due)


def let_hours_pass(hours: float) -> None:
    gone = timedelta(hours=hours)
    TopUp.objects.update(created_at=F("created_at") - gone, ended_at=F("ended_at") - gone)


@pytest.fixture
def buyer(client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID]) -> int:
    """Somebody with 1,000 credits and a saved card, who has had three automatic top-ups of 500 and allows no more."""
    buy(client, stripe_double)
    set_balance(payer, 1_000)
    wanted = {"threshold": 1_000_000, "amount": 500, "most_per_day": 3}
    assert client.put("/v1/credits/auto-top-up", wanted).status_code == 200
    pay_all(sent)
    sent.clear()
    return payer


def test_when_there_were_enough_it_pauses_and_the_user_is_told_once(
    client: APIClient, buyer: int, sent: list[UUID]
) -> None:
    use(buyer, 1, run=ROOT)
    use(buyer, 1, run=ROOT)
    order_overdue()

    stands = client.get("/v1/credits/auto-top-up").json()
    first = TopUp.objects.filter(kind="AUTO").earliest("ended_at")
    told = Notice.objects.get(kind="AUTO_TOP_UP_PAUSED")
    assert (entries_of(buyer), sent) == ([1_000, 500, 500, 500], [])
    assert first.ended_at is not None
    assert datetime.fromisoformat(stands["paused_until"]) == first.ended_at + timedelta(hours=24)
    assert (stands["threshold"], stands["most_per_day"]) == (1_000_000, 3)
    assert told.told_at is not None
    assert told.text.startswith("3 were made within 24 hours, as many as you allow.")
    shown = Told.objects.get(kind="AUTO_TOP_UP_PAUSED").text
    assert shown.startswith("Automatic top-ups pause (2,500 credits). 3 were made")


def test_a_day_later_it_goes_on_by_itself(buyer: int, sent: list[UUID], client: APIClient) -> None:
    let_hours_pass(23.9)
    catch_up()
    too_early = list(sent)
    let_hours_pass(0.2)

    catch_up()
    resumed = client.get("/v1/credits/auto-top-up").json()["paused_until"]
    pay_all(sent)

    assert too_early == []
    assert resumed is None
    assert entries_of(buyer) == [1_000, *[500] * 6]
    assert Notice.objects.filter(kind="AUTO_TOP_UP_PAUSED").count() == 2


def test_what_waited_for_a_day_counts_from_when_it_was_charged(
    client: APIClient, payer: int, stripe_double: StripeDouble, sent: list[UUID]
) -> None:
    buy(client, stripe_double)
    client.put("/v1/credits/auto-top-up", {"threshold": 1_000_000, "amount": 500, "most_per_day": 3})
    let_hours_pass(25)

    pay_all(sent)

    assert entries_of(payer) == [1_000, *[500] * 3]


def test_who_allows_more_gets_more_at_once(client: APIClient, buyer: int, sent: list[UUID]) -> None:
    client.put("/v1/credits/auto-top-up", {"threshold": 1_000_000, "amount": 500, "most_per_day": 5})
    pay_all(sent)

    assert entries_of(buyer) == [1_000, *[500] * 5]


def test_what_a_user_buys_by_hand_does_not_count(
    client: APIClient, buyer: int, stripe_double: StripeDouble, sent: list[UUID]
) -> None:
    let_hours_pass(25)
    for _ in range(3):
        buy(client, stripe_double)

    order_overdue()

    assert len(sent) == 1


@pytest.mark.parametrize("most", [0, -1, 101, "many", None])
def test_a_number_that_makes_no_sense_is_refused(
    client: APIClient, payer: int, stripe_double: StripeDouble, most: object
) -> None:
    answer = client.put("/v1/credits/auto-top-up", {"threshold": 5, "amount": 500, "most_per_day": most})

    assert (answer.status_code, "most_per_day" in answer.json()["field_errors"]) == (400, True)
    assert account_of(payer).auto_top_up_amount is None


@pytest.mark.parametrize(("threshold", "balance"), [(500, 499), (500, 0)])
def test_who_is_below_their_threshold_without_a_payment_under_way_is_found(
    payer: int, sent: list[UUID], threshold: int, balance: int
) -> None:
    set_balance(payer, balance)
    Account.objects.update(auto_top_up_threshold=threshold, auto_top_up_amount=700)

    found = [order_overdue() for _ in range(2)]

    assert found == [1, 0]
    assert [top_up.pk for top_up in TopUp.objects.filter(kind="AUTO", amount=700)] == sent


def test_who_owes_something_is_found_whatever_the_threshold(payer: int, sent: list[UUID]) -> None:
    Account.objects.update(auto_top_up_threshold=0, auto_top_up_amount=700)

    use(payer, 130, run=ROOT)
    by_the_entry = len(sent)
    TopUp.objects.all().delete()
    found = order_overdue()

    assert standing(payer) == (0, 0, 30)
    assert (by_the_entry, found) == (1, 1)


def test_nobody_else_is_found(payer: int, sent: list[UUID], user: User) -> None:
    for name, (threshold, amount) in {"off": (None, None), "rich": (1_500, 700)}.items():
        User.objects.create_user(name)
        Account.objects.filter(user__username=name).update(auto_top_up_threshold=threshold, auto_top_up_amount=amount)
    gone = User.objects.create_user("gone")
    Account.objects.filter(user=gone).update(auto_top_up_threshold=9_999, auto_top_up_amount=700)
    gone.delete()

    assert (order_overdue(), sent) == (0, [])


def test_who_is_busy_is_not_waited_for(payer: int, sent: list[UUID]) -> None:
    set_balance(payer, 0)
    Account.objects.update(auto_top_up_threshold=500, auto_top_up_amount=700)
    with session_beside() as session:
        lock_account(session, User.objects.get(pk=payer))
        meanwhile = order_overdue()

    assert (meanwhile, order_overdue()) == (0, 1)


def test_who_has_gone_keeps_nobody_else_waiting(buyer: int, stripe_double: StripeDouble, sent: list[UUID]) -> None:
    gone = User.objects.create_user("gone")
    left_over = TopUp.objects.create(account=account_of(gone.pk), kind="AUTO", amount=500)
    gone.delete()
    let_hours_pass(25)
    order_overdue()
    sent.clear()

    both = send_overdue(patience_seconds=0)
    for key in list(sent):
        perform_auto_top_up(key)

    left_over.refresh_from_db()
    assert (both, left_over.status, left_over.error) == (2, "FAILED", NOT_WANTED)
    assert len(stripe_double.charges) == 4


@pytest.mark.parametrize("send", ["put", "post"])
def test_who_does_not_say_how_many_allows_as_many_as_before(
    client: APIClient, buyer: int, sent: list[UUID], send: str
) -> None:
    getattr(client, send)("/v1/credits/auto-top-up", {"threshold": 900_000, "amount": 700})

    assert client.get("/v1/credits/auto-top-up").json()["most_per_day"] == 3
    assert sent == []


def test_a_pause_that_is_over_is_not_shown(client: APIClient, buyer: int) -> None:
    paused = client.get("/v1/credits/auto-top-up").json()["paused_until"]
    let_hours_pass(25)

    assert paused is not None
    assert client.get("/v1/credits/auto-top-up").json()["paused_until"] is None
