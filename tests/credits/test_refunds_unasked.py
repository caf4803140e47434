"""Refunds that an admin makes on an account's page, without a request: of what is left of a payment, and once."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from rest_framework.test import APIClient

from credits.exceptions import RefundRefusedError
from credits.models import LedgerEntry, Notice, RefundRequest, TopUp
from credits.refunds import approve_refund, refund_top_up, request_refund, send_overdue_refunds
from tests.credits.booking import account_of, set_balance, standing
from tests.credits.paying import buy, entries_of, tell
from tests.credits.stripe_double import StripeDouble
from tests.credits.stripe_faults import BROKEN_AFTERWARDS
from tests.execution.lock_waits import lock_account, running_into, session_beside

pytestmark = pytest.mark.django_db(transaction=True)

Refund = Callable[..., str]


@pytest.fixture
def paid(client: APIClient, payer: int, stripe_double: StripeDouble) -> TopUp:
    """A top-up of 1,000 credits, of somebody with 1,100."""
    return buy(client, stripe_double)


@pytest.fixture
def refund(admin_client: Client, payer: int, paid: TopUp) -> Refund:
    """Send the form on the account's page; return the page that follows."""

    def send(**form: Any) -> str:
        wanted = {"top_up": paid.pk, "amount": 400, "reason": "He was right.", "key": uuid4(), **form}
        address = f"/admin/credits/account/{account_of(payer).pk}/refund/"
        answer = admin_client.post(address, {f"refund-{name}": value for name, value in wanted.items()}, follow=True)
        return answer.content.decode()

    return send


def sent_back(double: StripeDouble) -> list[int]:
    return [each["amount"] for each in double.all_of("refund") if each["status"] != "failed"]


def test_a_part_is_sent_back_once_with_a_reason_and_a_name(
    refund: Refund, payer: int, paid: TopUp, stripe_double: StripeDouble, admin_user: User
) -> None:
    key = uuid4()

    pages = [refund(key=key) for _ in range(2)]

    made, entry = RefundRequest.objects.get(), LedgerEntry.objects.get(type="REFUND")
    assert (made.pk, made.status, made.reason, made.decided_by_id) == (key, "REFUNDED", "He was right.", admin_user.pk)
    assert (entry.amount, entry.reason, entry.actor_id) == (-400, "He was right.", admin_user.pk)
    assert sent_back(stripe_double) == [400]
    assert standing(payer) == (700, 0, 0)
    assert all("A refund of 400 credits is refunded." in page for page in pages)
    assert "1000, of which 600 can be sent back" in pages[0]


def test_no_more_is_sent_back_than_was_paid(refund: Refund, payer: int, stripe_double: StripeDouble) -> None:
    refund(amount=400)

    too_much = refund(amount=601)
    refund(amount=600)
    nothing_left = refund(amount=1)

    assert "1 credits more than can still be sent back" in too_much
    assert "1 credits more than can still be sent back" in nothing_left
    assert (sent_back(stripe_double), entries_of(payer, "REFUND")) == ([400, 600], [-400, -600])
    assert RefundRequest.objects.count() == 2


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"reason": " "}, "reason"),
        ({"amount": 0}, "amount"),
        ({"amount": -5}, "amount"),
        ({"amount": "all"}, "amount"),
        ({"top_up": uuid4()}, "top_up"),
        ({"top_up": "none"}, "top_up"),
        ({"key": "no key"}, "key"),
    ],
)
def test_what_makes_no_sense_is_refused(
    refund: Refund, payer: int, stripe_double: StripeDouble, form: dict[str, Any], message: str
) -> None:
    assert message in refund(**form)
    assert (standing(payer), stripe_double.all_of("refund")) == ((1_100, 0, 0), [])


def test_only_what_the_account_has_paid_is_sent_back(
    refund: Refund, client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    unpaid = client.post("/v1/credits/top-up", {"amount": 500}).json()["id"]
    stranger = APIClient()
    stranger.force_authenticate(User.objects.create_user("mallory"))
    others = buy(stranger, stripe_double)

    pages = [refund(top_up=key) for key in (unpaid, others.pk)]

    assert all("Select a valid choice" in page for page in pages)
    assert stripe_double.all_of("refund") == []


@pytest.mark.parametrize(("codename", "status"), [("view_account", 403), ("change_refundrequest", 302)])
def test_only_who_may_decide_sends_money_back(
    payer: int, paid: TopUp, stripe_double: StripeDouble, codename: str, status: int
) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.add(*Permission.objects.filter(codename__in=["view_account", codename]))
    browser = Client()
    browser.force_login(clerk)
    account = f"/admin/credits/account/{account_of(payer).pk}"
    form = {"refund-top_up": paid.pk, "refund-amount": 5, "refund-reason": "Why not?", "refund-key": uuid4()}

    shown = browser.get(f"{account}/change/").content.decode()
    looked = browser.get(f"{account}/refund/").status_code
    answer = browser.post(f"{account}/refund/", form)

    assert ("Send money back" in shown) == (status == 302)
    assert (looked, answer.status_code) == (403, status)
    assert sent_back(stripe_double) == ([5] if status == 302 else [])


def test_during_an_outage_it_is_promised_and_sent_once(refund: Refund, payer: int, stripe_double: StripeDouble) -> None:
    stripe_double.fail("POST refunds", BROKEN_AFTERWARDS)
    page = refund(amount=1_000)
    promised = RefundRequest.objects.get().status
    more = refund(amount=1)

    for _ in range(2):
        send_overdue_refunds(patience_seconds=0)

    assert "It is tried again by itself." in page
    assert "more than can still be sent back" in more
    assert (promised, RefundRequest.objects.get().status) == ("APPROVED", "REFUNDED")
    assert (sent_back(stripe_double), entries_of(payer, "REFUND")) == ([1_000], [-1_000])


def test_of_what_is_spent_the_rest_is_owed(refund: Refund, payer: int) -> None:
    set_balance(payer, 100)

    refund(amount=400)

    assert standing(payer) == (0, 0, 300)


def test_a_request_and_a_refund_send_nothing_back_twice(
    refund: Refund, client: APIClient, payer: int, paid: TopUp, stripe_double: StripeDouble
) -> None:
    set_balance(payer, 0)
    pending = request_refund(user_id=payer, top_up_id=paid.pk, reason="By mistake.")
    refund(amount=1)

    with pytest.raises(RefundRefusedError, match="1 credits more than can still be sent back"):
        approve_refund(request=pending, reason="All of it.", actor_id=None)

    pending.refresh_from_db()
    assert (pending.status, sent_back(stripe_double)) == ("PENDING", [1])


def test_what_is_on_its_way_back_can_not_be_asked_for(
    refund: Refund, client: APIClient, payer: int, paid: TopUp, stripe_double: StripeDouble
) -> None:
    stripe_double.refund_status = "pending"
    refund(amount=1)
    other = buy(client, stripe_double)

    answers = [
        client.post("/v1/credits/refund-requests", {"top_up_id": each.pk, "reason": "Mine."}).status_code
        for each in (paid, other)
    ]

    assert answers == [409, 201]


def test_a_refund_that_comes_back_can_be_made_anew_and_only_the_admin_sees_it(
    refund: Refund, payer: int, stripe_double: StripeDouble
) -> None:
    refund(amount=1_000)
    (first,) = stripe_double.all_of("refund")
    first["status"] = "failed"
    tell(stripe_double, "refund.failed", first)
    back = (RefundRequest.objects.get().status, standing(payer))

    approve_refund(request=RefundRequest.objects.get(), reason="Again.", actor_id=None)

    assert back == ("PENDING", (1_100, 0, 0))
    assert (RefundRequest.objects.get().status, standing(payer)) == ("REFUNDED", (100, 0, 0))
    assert not Notice.objects.filter(kind="REFUND_REQUESTED").exists()


def test_of_two_at_once_for_the_same_money_one_is_made(
    user: User, payer: int, paid: TopUp, stripe_double: StripeDouble
) -> None:
    def send() -> UUID | str:
        try:
            return refund_top_up(top_up=paid, amount=700, reason="Both of us.", key=uuid4(), actor_id=None).pk
        except RefundRefusedError as error:
            return str(error)

    with session_beside() as session:
        lock_account(session, user)
        with running_into(session, send) as first, running_into(session, send) as second:
            meanwhile = sent_back(stripe_double)

    assert [isinstance(each.result(), str) for each in (first, second)].count(True) == 1
    assert (meanwhile, sent_back(stripe_double)) == ([], [700])


def test_an_old_payment_can_be_sent_back_however_many_came_after_it(
    refund: Refund, payer: int, stripe_double: StripeDouble
) -> None:
    account = account_of(payer)
    for number in range(60):
        TopUp.objects.create(account=account, kind="AUTO", status="PAID", amount=500, payment_id=f"pi_later_{number}")

    refund(amount=400)

    assert (sent_back(stripe_double), entries_of(payer, "REFUND")) == ([400], [-400])
