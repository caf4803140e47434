"""Refunds: asked for, decided, sent once, and followed in whatever order they are told."""

from itertools import permutations
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from credits.exceptions import PaymentUnavailableError, ReasonMissingError, RefundRefusedError
from credits.models import LedgerEntry, Notice, RefundRequest, TopUp
from credits.refunds import approve_refund, reject_refund, send_overdue_refunds
from tests.credits.booking import set_balance, standing
from tests.credits.paying import buy, by_webhook, entries_of, start, tell
from tests.credits.stripe_double import StripeDouble
from tests.credits.stripe_faults import BROKEN, BROKEN_AFTERWARDS, KEY_IN_USE, PASSING, TOO_MANY, Fault

pytestmark = pytest.mark.django_db(transaction=True)


def ask(client: APIClient, top_up: TopUp, **other: Any) -> Any:
    return client.post("/v1/credits/refund-requests", {"top_up_id": top_up.pk, "reason": "By mistake.", **other})


def taken(user_id: int) -> list[tuple[int, int]]:
    found = LedgerEntry.objects.filter(account__user_id=user_id, type="REFUND").order_by("sequence")
    return [(entry.amount, entry.owed) for entry in found]


def refund_of(double: StripeDouble) -> dict[str, Any]:
    """The one refund that Stripe has made and that has not failed."""
    (made,) = [each for each in double.all_of("refund") if each["status"] != "failed"]
    return made


def test_what_is_hardly_spent_is_sent_back_at_once(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, 500)

    answer = ask(client, top_up)

    assert (answer.status_code, answer.json()["status"]) == (201, "REFUNDED")
    assert taken(payer) == [(-500, 500)]
    assert standing(payer) == (0, 0, 500)


def test_what_is_mostly_spent_waits_for_an_admin(
    client: APIClient, user: User, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, 499)

    asked = ask(client, top_up).json()
    told = Notice.objects.get(kind="REFUND_REQUESTED")
    approved = approve_refund(request=RefundRequest.objects.get(), reason="All right.", actor_id=user.pk)

    assert asked["status"] == "PENDING"
    assert "1000 credits: By mistake." in told.text
    assert (approved.status, approved.result, approved.decided_by_id) == ("REFUNDED", "All right.", user.pk)
    assert taken(payer) == [(-499, 501)]


def test_an_admin_may_refuse(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, 0)
    ask(client, top_up)
    request = RefundRequest.objects.get()

    reject_refund(request=request, reason="It is all spent.", actor_id=None)

    assert client.get("/v1/credits/refund-requests").json()["results"][0]["result"] == "It is all spent."
    with pytest.raises(RefundRefusedError):
        approve_refund(request=RefundRequest.objects.get(), reason="Or not?", actor_id=None)
    assert taken(payer) == []


@pytest.mark.parametrize("reason", ["", "   "])
def test_a_decision_needs_a_reason(client: APIClient, payer: int, stripe_double: StripeDouble, reason: str) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, 0)
    ask(client, top_up)

    with pytest.raises(ReasonMissingError):
        reject_refund(request=RefundRequest.objects.get(), reason=reason, actor_id=None)

    assert ask(client, top_up, reason=reason).status_code == 400


def test_there_is_one_request_for_a_week(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    first, second = buy(client, stripe_double), buy(client, stripe_double)
    set_balance(payer, 0)

    answers = [ask(client, top_up) for top_up in (first, first, second)]

    assert [each.status_code for each in answers] == [201, 409, 409]
    assert RefundRequest.objects.count() == 1


def test_what_was_not_paid_is_not_sent_back(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = TopUp.objects.get(pk=client.post("/v1/credits/top-up", {"amount": 500}).json()["id"])

    assert ask(client, top_up).status_code == 409
    assert not RefundRequest.objects.exists()


def test_somebody_elses_top_up_is_not_there(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    stranger = APIClient()
    stranger.force_authenticate(User.objects.create_user("mallory"))

    assert ask(stranger, top_up).status_code == 404
    assert stranger.get("/v1/credits/refund-requests").json()["results"] == []


def test_the_news_of_a_refund_count_once(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    ask(client, top_up)
    refund = refund_of(stripe_double)

    for kind in ("refund.created", "refund.updated", "refund.created"):
        tell(stripe_double, kind, refund)

    assert taken(payer) == [(-1_000, 0)]
    assert standing(payer) == (100, 0, 0)


def test_a_refund_that_takes_its_time_counts_when_it_is_done(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.refund_status = "pending"
    asked = ask(client, top_up).json()
    refund = refund_of(stripe_double)
    before = taken(payer)

    tell(stripe_double, "refund.updated", {**refund, "status": "succeeded"})

    assert (asked["status"], before) == ("APPROVED", [])
    assert taken(payer) == [(-1_000, 0)]
    assert RefundRequest.objects.get().status == "REFUNDED"


def test_a_refund_that_comes_back_is_given_back_once(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    ask(client, top_up)
    refund = refund_of(stripe_double)

    for _ in range(2):
        tell(stripe_double, "refund.failed", {**refund, "status": "failed"})

    assert standing(payer) == (1_100, 0, 0)
    assert RefundRequest.objects.get().status == "PENDING"


def test_a_refund_made_at_the_provider_counts_too(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    refund = {"id": "re_by_hand", "object": "refund", "payment_intent": top_up.payment_id}

    tell(stripe_double, "refund.created", {**refund, "amount": 300, "status": "succeeded"})

    assert taken(payer) == [(-300, 0)]
    assert ask(client, top_up).status_code == 409


@pytest.mark.parametrize("request_", ["GET refunds", "POST refunds"])
def test_an_approved_refund_that_could_not_be_sent_is_sent_once(
    client: APIClient, payer: int, stripe_double: StripeDouble, request_: str
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.fail(request_, *PASSING)
    asked = ask(client, top_up)
    send_overdue_refunds(patience_seconds=600)
    tried = len(PASSING) - len(stripe_double.faults)
    for _ in range(len(PASSING) + 1):
        send_overdue_refunds(patience_seconds=0)

    assert (asked.status_code, asked.json()["status"], tried) == (201, "APPROVED", 1)
    assert stripe_double.faults == []
    assert RefundRequest.objects.get().refund_id == refund_of(stripe_double)["id"]
    assert RefundRequest.objects.get().status == "REFUNDED"
    assert taken(payer) == [(-1_000, 0)]


def test_a_refund_that_broke_down_at_stripe_is_ordered_anew_as_soon_as_that_is_sure(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.fail("POST refunds", BROKEN)
    asked = ask(client, top_up)

    send_overdue_refunds(patience_seconds=0)
    between = (RefundRequest.objects.get().status, stripe_double.all_of("refund"))
    send_overdue_refunds(patience_seconds=0)

    assert (asked.status_code, asked.json()["status"], between) == (201, "APPROVED", ("APPROVED", []))
    assert (RefundRequest.objects.get().status, taken(payer)) == ("REFUNDED", [(-1_000, 0)])
    assert refund_of(stripe_double)["id"] == RefundRequest.objects.get().refund_id


@pytest.mark.parametrize("fault", [BROKEN_AFTERWARDS, KEY_IN_USE, TOO_MANY])
def test_a_refund_is_not_ordered_anew_while_it_may_have_been_made(
    client: APIClient, payer: int, stripe_double: StripeDouble, fault: Fault
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.fail("POST refunds", fault)
    ask(client, top_up)
    stripe_double.outage = True
    send_overdue_refunds(patience_seconds=0)
    stripe_double.outage = False

    send_overdue_refunds(patience_seconds=0)

    assert (RefundRequest.objects.get().failed_orders, RefundRequest.objects.get().status) == (0, "REFUNDED")
    assert refund_of(stripe_double)["id"] == RefundRequest.objects.get().refund_id


def test_a_refund_that_comes_to_be_while_it_is_asked_for_again_is_found(
    client: APIClient, payer: int, stripe_double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.fail("POST refunds", BROKEN_AFTERWARDS)
    ask(client, top_up)
    made, tell_again = stripe_double.things.pop(refund_of(stripe_double)["id"]), stripe_double._repeat

    def appear(key: str, form: dict[str, str]) -> Any:
        stripe_double.things[made["id"]] = made
        return tell_again(key, form)

    monkeypatch.setattr(stripe_double, "_repeat", appear)
    send_overdue_refunds(patience_seconds=0)

    assert (RefundRequest.objects.get().refund_id, RefundRequest.objects.get().failed_orders) == (made["id"], 0)
    assert taken(payer) == [(-1_000, 0)]


def test_a_refund_of_which_nobody_heard_for_a_day_is_found(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.fail("POST refunds", BROKEN_AFTERWARDS)
    ask(client, top_up)
    stripe_double.forget_keys()

    send_overdue_refunds(patience_seconds=0)

    assert (RefundRequest.objects.get().status, taken(payer)) == ("REFUNDED", [(-1_000, 0)])


def test_an_admin_may_send_it_again_too(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.outage = True
    ask(client, top_up)
    with pytest.raises(PaymentUnavailableError):
        approve_refund(request=RefundRequest.objects.get(), reason="Again.", actor_id=None)
    stripe_double.outage = False

    approve_refund(request=RefundRequest.objects.get(), reason="Again.", actor_id=None)

    assert RefundRequest.objects.get().status == "REFUNDED"
    assert taken(payer) == [(-1_000, 0)]


def test_a_refund_that_failed_is_made_anew_when_it_is_approved_again(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    ask(client, top_up)
    first = refund_of(stripe_double)
    first["status"] = "failed"
    tell(stripe_double, "refund.failed", first["id"])
    between = (RefundRequest.objects.get().status, standing(payer))

    approve_refund(request=RefundRequest.objects.get(), reason="Try another way.", actor_id=None)
    tell(stripe_double, "refund.failed", first["id"])

    assert between == ("PENDING", (1_100, 0, 0))
    assert refund_of(stripe_double)["id"] != first["id"]
    assert RefundRequest.objects.get().refund_id == refund_of(stripe_double)["id"]
    assert (RefundRequest.objects.get().status, standing(payer)) == ("REFUNDED", (100, 0, 0))


def test_what_the_provider_refuses_is_for_an_admin(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.things["re_lost"] = {
        **{"id": "re_lost", "object": "refund", "payment_intent": top_up.payment_id, "amount": 1_000},
        **{"status": "succeeded", "metadata": {}},
    }

    asked = ask(client, top_up)

    assert (asked.status_code, asked.json()["status"]) == (201, "PENDING")
    assert asked.json()["result"] == "The payment provider refuses (charge_already_refunded)."
    assert "charge_already_refunded" in Notice.objects.get(kind="REFUND_REQUESTED").text
    assert taken(payer) == []


def test_news_of_a_refund_may_come_in_any_order(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    facts = {"object": "refund", "payment_intent": top_up.payment_id, "amount": 300}
    status = {"created": "pending", "updated": "succeeded", "failed": "failed"}

    for number, order in enumerate(permutations(status)):
        for _ in range(2):
            for kind in order:
                refund = {**facts, "id": f"re_{number}", "status": status[kind]}
                assert tell(stripe_double, f"refund.{kind}", refund).status_code == 204

            assert standing(payer) == (1_100, 0, 0)


def test_a_refund_at_the_provider_is_not_taken_for_the_one_that_was_approved(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    stripe_double.outage = True
    ask(client, top_up)
    by_hand = {"id": "re_1", "object": "refund", "payment_intent": top_up.payment_id, "amount": 300}

    tell(stripe_double, "refund.created", {**by_hand, "status": "succeeded"})

    assert (RefundRequest.objects.get().status, RefundRequest.objects.get().refund_id) == ("APPROVED", None)


def test_a_refund_may_be_told_before_its_payment(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    session = start(client)
    payment_id = stripe_double.pay(session)
    by_hand = {"id": "re_1", "object": "refund", "payment_intent": payment_id, "amount": 300, "status": "succeeded"}

    tell(stripe_double, "refund.created", by_hand)
    by_webhook(stripe_double, session)

    assert (entries_of(payer), taken(payer)) == ([1_000], [(-300, 0)])


def test_nothing_is_locked_while_stripe_thinks(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    sending: dict[str, Any] = {
        "data": {"top_up_id": top_up.pk, "reason": "By mistake."},
        "headers": {"Idempotency-Key": "once"},
    }

    first = client.post("/v1/credits/refund-requests", **sending)
    again = client.post("/v1/credits/refund-requests", **sending)

    assert (first.json()["status"], again.json()) == ("REFUNDED", first.json())
    assert len(stripe_double.all_of("refund")) == 1
    assert stripe_double.waiting_transactions == 0
