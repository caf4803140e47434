"""The books in the admin."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from credits.models import BlockPrice, LedgerEntry, RefundRequest, TopUp
from tests.credits.booking import account_of, flat_price, give, hold, standing, subject, use
from tests.credits.stripe_double import StripeDouble
from tests.execution.small_graphs import CALCULATOR

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(admin_client: Client) -> Client:
    """An admin's browser."""
    return admin_client


def page(office: Client, address: str) -> str:
    answer = office.get(f"/admin/credits/{address}")
    assert answer.status_code == 200
    return answer.content.decode()


def move(office: Client, user_id: int, **form: Any) -> str:
    wanted = {"kind": "grant", "amount": 50, "reason": "He asked.", "key": uuid4(), **form}
    address = f"/admin/credits/account/{account_of(user_id).pk}/move/"
    return office.post(address, wanted, follow=True).content.decode()


def test_the_ledger_is_shown_with_totals_of_what_the_filters_leave(office: Client, payer: int) -> None:
    give(payer, 40)

    everything, grants = page(office, "ledgerentry/"), page(office, "ledgerentry/?type__exact=GRANT&q=ada")

    assert "Totals" in everything
    assert "<td>ADJUSTMENT</td>" in everything
    assert "<td>ADJUSTMENT</td>" not in grants
    assert "<td>1540</td>" in grants


def test_the_ledger_names_blocks_without_a_query_for_each(office: Client, payer: int) -> None:
    def show() -> tuple[str, int]:
        with CaptureQueriesContext(connection) as queries:
            shown = page(office, "ledgerentry/")
        return shown, len(queries)

    use(payer, 1, run=uuid4(), block_id=CALCULATOR)
    use(payer, 1, run=uuid4(), block_id="gone")
    entry = LedgerEntry.objects.get(block_id=CALCULATOR)
    shown, few = show()
    for _ in range(20):
        use(payer, 1, run=uuid4(), block_id=CALCULATOR)

    assert ">CalculatorBlock<" in shown
    assert ">gone<" in shown
    assert CALCULATOR not in shown
    assert show()[1] == few
    assert "CalculatorBlock" in page(office, f"ledgerentry/{entry.pk}/change/")


def test_an_entry_can_only_be_looked_at(office: Client, payer: int) -> None:
    entry = LedgerEntry.objects.filter(account__user=payer).first()
    assert entry

    shown = page(office, f"ledgerentry/{entry.pk}/change/")

    assert 'name="_save"' not in shown
    assert office.get("/admin/credits/ledgerentry/add/").status_code == 403
    assert office.post(f"/admin/credits/ledgerentry/{entry.pk}/delete/", {"post": "yes"}).status_code == 403


def test_credits_are_granted_once_with_a_reason_and_a_name(office: Client, payer: int, admin_user: User) -> None:
    key = uuid4()

    first, again = (move(office, payer, key=key) for _ in range(2))

    entry = LedgerEntry.objects.get(key=f"grant:{key}")
    assert (entry.amount, entry.reason, entry.actor_id) == (50, "He asked.", admin_user.pk)
    assert standing(payer) == (150, 0, 0)
    assert "+50 credits for ada." in first
    assert "+50 credits for ada." not in again
    assert "the form was sent twice" in again
    assert "He asked." in page(office, f"account/{account_of(payer).pk}/change/")


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"reason": " "}, "reason"),
        ({"amount": 0}, "from 1"),
        ({"amount": -5}, "from 1"),
        ({"amount": "many"}, "amount"),
        ({"kind": "adjust", "amount": -101}, "more than can be spent"),
        ({"kind": "adjust", "amount": 0}, "from 1"),
        ({"amount": 10**13}, "amount"),
        ({"kind": "steal"}, "kind"),
        ({"key": "no key"}, "key"),
    ],
)
def test_what_makes_no_sense_is_refused(office: Client, payer: int, form: dict[str, Any], message: str) -> None:
    shown = move(office, payer, **form)

    assert message in shown
    assert standing(payer) == (100, 0, 0)


def test_a_balance_is_corrected_down_as_far_as_it_goes(office: Client, payer: int) -> None:
    move(office, payer, kind="adjust", amount=-100)

    assert standing(payer) == (0, 0, 0)


def test_who_may_only_look_moves_nothing(client: Any, payer: int) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    browser = Client()
    browser.force_login(clerk)

    answer = browser.post(f"/admin/credits/account/{account_of(payer).pk}/move/", {"amount": 5})

    assert answer.status_code == 403
    assert standing(payer) == (100, 0, 0)


def test_a_price_is_set_as_a_new_version(office: Client, admin_user: User) -> None:
    for amount in (5, 6):
        form = {"block_id": CALCULATOR, "costs": f'[{{"amount": {amount}}}]', "reason": "Dearer."}
        office.post("/admin/credits/blockprice/add/", {**form, "charge_on_failure": "unknown"})

    made = list(BlockPrice.objects.order_by("version").values_list("version", "costs", "made_by"))
    assert made == [(1, [{"amount": 5}], admin_user.pk), (2, [{"amount": 6}], admin_user.pk)]


def test_a_price_is_for_a_block_that_there_is(office: Client) -> None:
    shown = page(office, "blockprice/add/")
    form = {"block_id": str(uuid4()), "costs": "[]", "reason": "Free.", "charge_on_failure": "unknown"}

    answer = office.post("/admin/credits/blockprice/add/", form)

    assert "Select a valid choice" in answer.content.decode()
    assert f'<option value="{CALCULATOR}">CalculatorBlock</option>' in shown
    assert not BlockPrice.objects.exists()


@pytest.mark.parametrize("costs", ['[{"amount": -1}]', "{}", "nonsense", '[{"amount": 1, "divisor": 0}]'])
def test_a_price_that_makes_no_sense_is_explained(office: Client, costs: str) -> None:
    form = {"block_id": CALCULATOR, "costs": costs, "reason": "Dearer.", "charge_on_failure": "unknown"}

    answer = office.post("/admin/credits/blockprice/add/", form)

    assert "errorlist" in answer.content.decode()
    assert not BlockPrice.objects.exists()


@pytest.mark.parametrize(("decision", "status"), [("approve", "REFUNDED"), ("reject", "REJECTED")])
def test_a_refund_is_decided_with_a_reason(
    office: Client, payer: int, stripe_double: StripeDouble, decision: str, status: str
) -> None:
    top_up = TopUp.objects.create(
        account=account_of(payer), kind="CHECKOUT", amount=900, status="PAID", payment_id="pi_1"
    )
    stripe_double.things["pi_1"] = {"id": "pi_1", "object": "payment_intent", "amount": 900}
    request = RefundRequest.objects.create(
        account=top_up.account, top_up=top_up, iso_week="2026-W40", amount=900, reason="By mistake."
    )
    address = f"/admin/credits/refundrequest/{request.pk}"

    before = page(office, f"refundrequest/{request.pk}/change/")
    office.post(f"{address}/decide/", {"decision": decision, "reason": " "})
    request.refresh_from_db()
    undecided = request.status
    office.post(f"{address}/decide/", {"decision": decision, "reason": "So be it."})

    request.refresh_from_db()
    assert "Send the money back" in before
    assert undecided == "PENDING"
    assert (request.status, request.result) == (status, "So be it.")


def test_who_decides_sees_what_is_held_of_the_balance(office: Client, payer: int) -> None:
    top_up = TopUp.objects.create(account=account_of(payer), kind="CHECKOUT", amount=900)
    request = RefundRequest.objects.create(account=top_up.account, top_up=top_up, amount=900, reason="By mistake.")
    hold(user_id=payer, subject=subject(), price=flat_price(73))

    shown = page(office, f"refundrequest/{request.pk}/change/")

    assert re.search(r"Balance:.*>100<.*Of which held:.*>73<.*Of which on its way back:.*>0<.*Owed:", shown, re.DOTALL)


@pytest.mark.parametrize("name", ["account", "ledgerentry", "topup", "refundrequest", "reversal", "blockprice"])
def test_every_list_opens(office: Client, payer: int, name: str) -> None:
    page(office, f"{name}/")
