"""Money in and back under everything that can happen: any order, repeats, faults of Stripe's, crashes, at any time.

What is looked at is Stripe's own state: whatever happened on the way, the books follow it, and nothing was charged or
sent back twice.
"""

from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db.models import Sum
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from credits.auditing import find_faults
from credits.exceptions import CreditsError
from credits.models import Account, LedgerEntry, RefundRequest, TopUp
from credits.money import adjust
from credits.refunds import approve_refund, request_refund, send_overdue_refunds, send_refund
from credits.top_ups import (
    complete_session,
    look_after_checkouts,
    open_checkout,
    order_top_up,
    perform_auto_top_up,
    set_auto_top_up,
    stop_auto_top_up,
)
from credits.webhooks import follow_news
from tests.credits.booking import account_of, set_balance, standing
from tests.credits.crashes import dying_at
from tests.credits.stripe_double import StripeDouble
from tests.credits.stripe_faults import PASSING, Fault

WHICH = st.integers(min_value=0, max_value=1_000)
AMOUNTS = st.sampled_from([500, 900, 2_000])
CRASHES = st.sampled_from([*[None] * 18, *range(12)])
FAULTS = st.sampled_from([*[None] * 12, *PASSING])

KINDS = {
    "payment_intent": ("payment_intent.succeeded", "payment_intent.payment_failed"),
    "checkout.session": ("checkout.session.completed", "checkout.session.expired"),
    "refund": ("refund.created", "refund.updated", "refund.failed"),
    "dispute": ("charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed"),
}


class Payments(RuleBasedStateMachine):
    """A user, and Stripe."""

    double: StripeDouble

    def __init__(self) -> None:
        super().__init__()
        self.user_id: int = User.objects.create_user(f"user-{uuid4()}").pk
        set_balance(self.user_id, 0)
        self.moved = 0
        self.told: list[dict[str, Any]] = []
        self.known = set(self.double.things)

    @property
    def account(self) -> Account:
        return account_of(self.user_id)

    def mine(self, kind: str) -> list[dict[str, Any]]:
        """What Stripe has of this user's."""
        return [each for key, each in self.double.things.items() if key not in self.known and each["object"] == kind]

    def pick(self, things: list[Any], which: int) -> Any:
        return things[which % len(things)]

    def attempt(self, work: Any, *, crash: int | None, fault: Fault | None = None) -> None:
        """Do something that may meet a fault of Stripe's, and may die. What is refused is refused."""
        if fault:
            self.double.fail("", fault)
        try:
            with dying_at(crash):
                work()
        except CreditsError:
            pass
        finally:
            self.double.faults.clear()

    @initialize(amount=AMOUNTS)
    def begin(self, amount: int) -> None:
        """Somebody has paid once, so there is a saved card, and buys automatically."""
        session = open_checkout(order_top_up(user_id=self.user_id, amount=amount).pk).session_id
        self.double.pay(session)
        complete_session(session)
        set_auto_top_up(user_id=self.user_id, threshold=400, amount=amount)

    # What people do.

    @rule(amount=AMOUNTS, crash=CRASHES, fault=FAULTS)
    def order(self, amount: int, crash: int | None, fault: Fault | None) -> None:
        self.attempt(
            lambda: open_checkout(order_top_up(user_id=self.user_id, amount=amount).pk), crash=crash, fault=fault
        )

    @rule(which=WHICH)
    def pay(self, which: int) -> None:
        if pages := [each for each in self.mine("checkout.session") if each["status"] == "open"]:
            self.double.pay(self.pick(pages, which)["id"])

    @rule(which=WHICH)
    def expire(self, which: int) -> None:
        if pages := [each for each in self.mine("checkout.session") if each["status"] == "open"]:
            self.double.expire(self.pick(pages, which)["id"])

    @rule(which=WHICH, crash=CRASHES, fault=FAULTS)
    def come_back(self, which: int, crash: int | None, fault: Fault | None) -> None:
        if pages := self.mine("checkout.session"):
            page = self.pick(pages, which)["id"]
            self.attempt(lambda: complete_session(page), crash=crash, fault=fault)

    @rule(amount=AMOUNTS)
    def ask_for_automatic_ones(self, amount: int) -> None:
        set_auto_top_up(user_id=self.user_id, threshold=400, amount=amount)

    @rule()
    def want_no_more(self) -> None:
        stop_auto_top_up(user_id=self.user_id)

    @rule(part=st.sampled_from([0.3, 1.0]))
    def spend(self, part: float) -> None:
        amount = int(self.account.spendable * part)
        if amount:
            adjust(user_id=self.user_id, amount=-amount, reason="Spent.", key=uuid4())
            self.moved -= amount

    @rule(which=WHICH, crash=CRASHES, fault=FAULTS)
    def want_money_back(self, which: int, crash: int | None, fault: Fault | None) -> None:
        if paid := list(TopUp.objects.filter(account=self.account, status="PAID").order_by("id")):
            top_up = self.pick(paid, which)

            def ask() -> None:
                send_refund(request_refund(user_id=self.user_id, top_up_id=top_up.pk, reason="Why not?").pk)

            self.attempt(ask, crash=crash, fault=fault)

    @rule(crash=CRASHES, fault=FAULTS)
    def approve(self, crash: int | None, fault: Fault | None) -> None:
        for request in RefundRequest.objects.filter(account=self.account):
            self.attempt(
                lambda asked=request: approve_refund(request=asked, reason="All right.", actor_id=None),
                crash=crash,
                fault=fault,
            )

    # What workers do.

    @rule(crash=CRASHES, fault=FAULTS, decline=st.sampled_from([None, None, "Declined."]))
    def top_up_automatically(self, crash: int | None, fault: Fault | None, decline: str | None) -> None:
        self.double.decline = decline
        for top_up in TopUp.objects.filter(account=self.account, kind="AUTO"):
            self.attempt(lambda key=top_up.pk: perform_auto_top_up(key), crash=crash, fault=fault)
        self.double.decline = None

    @rule(crash=CRASHES, fault=FAULTS)
    def recover(self, crash: int | None, fault: Fault | None) -> None:
        self.attempt(lambda: send_overdue_refunds(patience_seconds=0), crash=crash, fault=fault)
        self.attempt(lambda: look_after_checkouts(patience_seconds=0), crash=crash, fault=fault)

    # What Stripe does.

    @rule()
    def let_a_day_pass(self) -> None:
        self.double.forget_keys()

    @rule(slow=st.booleans())
    def take_time(self, slow: bool) -> None:
        self.double.refund_status = "pending" if slow else "succeeded"

    @rule(which=WHICH, status=st.sampled_from(["succeeded", "failed"]), is_told=st.booleans())
    def decide_refund(self, which: int, status: str, is_told: bool) -> None:
        if made := [each for each in self.mine("refund") if each["status"] != "failed"]:
            refund = self.pick(made, which)
            self.told.append(dict(refund))
            refund["status"] = status
            if is_told:
                self.deliver("refund.updated", dict(refund))

    @precondition(lambda self: len(self.mine("dispute")) < 2)
    @rule(which=WHICH)
    def dispute(self, which: int) -> None:
        refunded = {each["payment_intent"] for each in self.mine("refund")}
        disputed = {each["payment_intent"] for each in self.mine("dispute")}
        if paid := [each for each in self.payments() if each["id"] not in refunded | disputed]:
            payment = self.pick(paid, which)
            self.double.dispute(payment["id"], payment["amount"])

    @rule(which=WHICH)
    def move_disputed(self, which: int) -> None:
        if open_ones := [each for each in self.mine("dispute") if len(each["balance_transactions"]) < 2]:
            dispute = self.pick(open_ones, which)
            self.told.append(dict(dispute))
            sign = 1 if dispute["balance_transactions"] else -1
            self.double.move(dispute["id"], sign * dispute["amount"])

    @rule(which=WHICH, kind=WHICH, is_old=st.booleans(), crash=CRASHES, fault=FAULTS)
    def tell(self, which: int, kind: int, is_old: bool, crash: int | None, fault: Fault | None) -> None:
        """Any event, of how something stands or stood, however often."""
        things = self.told if is_old else [dict(each) for name in KINDS for each in self.mine(name)]
        if things:
            thing = self.pick(things, which)
            self.told.append(thing)
            names = KINDS[thing["object"]]
            self.attempt(lambda: self.deliver(self.pick(list(names), kind), thing), crash=crash, fault=fault)

    def deliver(self, kind: str, thing: dict[str, Any]) -> None:
        body, signature = self.double.sign(kind, thing)
        follow_news(body=body.encode(), headers={"Stripe-Signature": signature})

    # What has to be.

    def payments(self) -> list[dict[str, Any]]:
        return [each for each in self.mine("payment_intent") if each["status"] == "succeeded"]

    @invariant()
    def nothing_is_charged_twice(self) -> None:
        charged = Counter(each["metadata"]["top_up_id"] for each in self.payments())
        assert not charged or max(charged.values()) == 1

    @invariant()
    def nothing_is_sent_back_twice(self) -> None:
        sent = Counter(tuple(each["metadata"].items()) for each in self.mine("refund"))
        assert not sent or max(sent.values()) == 1

    @invariant()
    def no_credits_without_a_payment(self) -> None:
        assert self.entered("TOP_UP") <= sum(each["amount"] for each in self.payments())

    @invariant()
    def only_a_declined_card_switches_anything_off(self) -> None:
        failed = TopUp.objects.filter(account=self.account, kind="AUTO", status="FAILED")
        assert set(failed.values_list("error", flat=True)) <= {
            "Declined.",
            "There is no saved card. Top up once at the checkout page.",
        }

    def entered(self, *types: str) -> int:
        found = LedgerEntry.objects.filter(account=self.account, type__in=types).aggregate(
            amount=Sum("amount"), owed=Sum("owed")
        )
        return int((found["amount"] or 0) - (found["owed"] or 0))

    def teardown(self) -> None:
        """All is told at last, nothing fails any more: then the books say what Stripe says."""
        self.double.forget_keys()
        stop_auto_top_up(user_id=self.user_id)
        send_overdue_refunds(patience_seconds=0)
        look_after_checkouts(patience_seconds=0)
        for top_up in TopUp.objects.filter(account=self.account, kind="AUTO", status="PENDING"):
            perform_auto_top_up(UUID(str(top_up.pk)))
        for name, kinds in KINDS.items():
            for thing in self.mine(name):
                self.deliver(kinds[0], thing)
        paid = sum(each["amount"] for each in self.payments())
        refunded = sum(each["amount"] for each in self.mine("refund") if each["status"] == "succeeded")
        disputed = -sum(move["amount"] for each in self.mine("dispute") for move in each["balance_transactions"])
        for refund in self.mine("refund"):
            asked = RefundRequest.objects.get(pk=refund["metadata"]["refund_request_id"])
            if asked.attempt == int(refund["metadata"]["attempt"]):
                expected = {"succeeded": "REFUNDED", "pending": "APPROVED", "failed": "PENDING"}
                assert asked.status == expected[refund["status"]]
            else:
                assert refund["status"] == "failed"
        assert not RefundRequest.objects.filter(account=self.account, status="APPROVED", refund_id=None).exists()
        balance, held, owed = standing(self.user_id)
        assert self.entered("TOP_UP") == paid
        assert (balance - owed, held) == (paid - refunded - disputed + self.moved, 0)
        assert find_faults() == ()


@pytest.mark.django_db(transaction=True)
def test_the_books_follow_the_money_whatever_happens(stripe_double: StripeDouble) -> None:
    Payments.double = stripe_double
    run_state_machine_as_test(
        Payments,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            # A failure is found again by its seed; to make it smaller would take minutes.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
