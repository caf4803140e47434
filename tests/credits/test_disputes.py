"""Disputes: answered once, and their money followed in whatever order it is told."""

from itertools import permutations
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from credits.reversals import look_after_reversals
from tests.credits.booking import flat_price, give, hold, set_balance, standing, subject
from tests.credits.paying import ask_back, buy, by_webhook, entries_of, start, tell
from tests.credits.stripe_double import StripeDouble
from tests.credits.stripe_faults import PASSING, Fault
from tests.execution.lock_waits import lock_account, running_into, session_beside

pytestmark = pytest.mark.django_db(transaction=True)

OPENED, WITHDRAWN, REINSTATED = (
    "charge.dispute.created",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
)


def test_who_has_the_credits_still_wins_a_dispute(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    give(payer, 500)
    dispute = stripe_double.dispute(str(top_up.payment_id))

    tell(stripe_double, OPENED, dispute)

    assert stripe_double.things[dispute]["status"] == "lost"


def test_who_has_them_when_the_money_is_gone_already_wins_too(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    give(payer, 500)
    dispute = stripe_double.dispute(str(top_up.payment_id))

    tell(stripe_double, WITHDRAWN, dispute)
    tell(stripe_double, OPENED, dispute)

    assert stripe_double.things[dispute]["status"] == "lost"


def test_who_has_spent_them_is_answered_with_evidence(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    dispute = stripe_double.dispute(str(top_up.payment_id))

    tell(stripe_double, OPENED, dispute)

    evidence = stripe_double.things[dispute]["evidence"]
    assert "TOP_UP +1000 credits" in evidence["evidence[access_activity_log]"]
    assert evidence["submit"] == "true"


def test_what_is_held_for_something_under_way_is_as_good_as_spent(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    give(payer, 500)
    hold(user_id=payer, subject=subject(), price=flat_price(1_000))
    dispute = stripe_double.dispute(str(top_up.payment_id))

    tell(stripe_double, OPENED, dispute)

    assert stripe_double.things[dispute]["status"] == "under_review"


def test_what_is_on_its_way_back_is_as_good_as_gone(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    other, disputed = buy(client, stripe_double), buy(client, stripe_double)
    stripe_double.refund_status = "pending"
    ask_back(client, other)
    dispute = stripe_double.dispute(str(disputed.payment_id))

    tell(stripe_double, OPENED, dispute)

    assert standing(payer) == (2_100, 0, 0)
    assert stripe_double.things[dispute]["status"] == "under_review"


def test_it_is_not_judged_while_somebody_books(
    client: APIClient, user: User, payer: int, stripe_double: StripeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is withdrawn between two looks at the books would be counted twice."""
    top_up = buy(client, stripe_double)
    dispute, answer = stripe_double.dispute(str(top_up.payment_id)), stripe_double.answer
    with session_beside() as session:

        def book_meanwhile(method: str, path: str, *asked: Any) -> Any:
            if path.endswith(dispute) and method == "GET":
                lock_account(session, user)
            return answer(method, path, *asked)

        monkeypatch.setattr(stripe_double, "answer", book_meanwhile)
        with running_into(session, look_after_reversals):
            unanswered = stripe_double.requests["POST disputes"] == 0

    assert unanswered
    assert stripe_double.things[dispute]["status"] == "under_review"


@pytest.mark.parametrize("present", [0, 500])
def test_a_dispute_is_answered_once_however_often_it_is_told(
    client: APIClient, payer: int, stripe_double: StripeDouble, present: int
) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, 1_000 + present)
    dispute = stripe_double.dispute(str(top_up.payment_id))
    event = stripe_double.things[dispute]

    answers = [tell(stripe_double, OPENED, event).status_code for _ in range(3)]

    assert answers == [204, 204, 204]
    assert stripe_double.requests["POST disputes"] == 1


def test_a_dispute_that_can_not_be_answered_is_not_told_for_ever(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    dispute = stripe_double.dispute(str(top_up.payment_id))
    stripe_double.fail("POST disputes", Fault(status=400, type="invalid_request_error"))

    assert tell(stripe_double, OPENED, dispute).status_code == 204


@pytest.mark.parametrize("request_", ["GET disputes", "POST disputes"])
def test_an_answer_that_does_not_come_through_is_asked_for_again(
    client: APIClient, payer: int, stripe_double: StripeDouble, request_: str
) -> None:
    top_up = buy(client, stripe_double)
    dispute = stripe_double.dispute(str(top_up.payment_id))
    event = stripe_double.things[dispute]
    stripe_double.fail(request_, *PASSING)

    answers = [tell(stripe_double, OPENED, event).status_code for _ in PASSING]
    last = tell(stripe_double, OPENED, event).status_code

    assert (set(answers), last) == ({503}, 204)
    assert stripe_double.things[dispute]["status"] == "under_review"


def test_disputed_money_goes_and_comes_back_once(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)
    set_balance(payer, 400)
    dispute = stripe_double.dispute(str(top_up.payment_id))

    for _ in range(2):
        tell(stripe_double, WITHDRAWN, dispute)
    withdrawn = standing(payer)
    for _ in range(2):
        tell(stripe_double, REINSTATED, dispute)

    assert withdrawn == (0, 0, 600)
    assert standing(payer) == (400, 0, 0)


def test_news_of_a_dispute_may_come_in_any_order(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    top_up = buy(client, stripe_double)

    for order in permutations([OPENED, WITHDRAWN, REINSTATED]):
        dispute = stripe_double.dispute(str(top_up.payment_id))
        for _ in range(2):
            for kind in order:
                assert tell(stripe_double, kind, dispute).status_code == 204

            assert standing(payer) == (1_100, 0, 0)


def test_money_that_moves_is_seen_in_whatever_event_tells_of_it(
    client: APIClient, payer: int, stripe_double: StripeDouble
) -> None:
    top_up = buy(client, stripe_double)
    dispute = stripe_double.dispute(str(top_up.payment_id))
    stripe_double.move(dispute, -1_000)
    tell(stripe_double, "charge.dispute.updated", dispute)
    withdrawn = standing(payer)
    stripe_double.move(dispute, 1_000)

    tell(stripe_double, "charge.dispute.closed", dispute)

    assert (withdrawn, standing(payer)) == ((100, 0, 0), (1_100, 0, 0))


def test_a_dispute_may_be_told_before_its_payment(client: APIClient, payer: int, stripe_double: StripeDouble) -> None:
    session = start(client)
    dispute = stripe_double.dispute(stripe_double.pay(session))

    tell(stripe_double, WITHDRAWN, dispute)
    by_webhook(stripe_double, session)

    assert (entries_of(payer), entries_of(payer, "REFUND")) == ([1_000], [-1_000])


def test_news_of_a_payment_that_we_do_not_know_are_taken(payer: int, stripe_double: StripeDouble) -> None:
    refund = {"id": "re_1", "object": "refund", "payment_intent": "pi_of_another_shop", "amount": 5}

    statuses = [
        tell(stripe_double, "refund.created", {**refund, "status": "succeeded"}).status_code,
        tell(stripe_double, OPENED, {**refund, "id": "dp_1", "object": "dispute"}).status_code,
    ]

    assert statuses == [204, 204]
    assert standing(payer) == (100, 0, 0)
