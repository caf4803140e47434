"""Money in and back under everything that can happen: any order, repeats, faults of Stripe's, crashes, at any time.

What is looked at is Stripe's own state: whatever happened on the way, the books follow it, and nothing was charged or
sent back twice.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from credits.auto_top_ups import MOST_THRESHOLD, perform_auto_top_up, set_auto_top_up, stop_auto_top_up
from credits.exceptions import CreditsError
from credits.models import RefundRequest, TopUp
from credits.money import adjust
from credits.refunds import (
    approve_refund,
    look_after_refunds,
    refund_top_up,
    request_refund,
    send_overdue_refunds,
    send_refund,
)
from credits.top_ups import (
    complete_session,
    look_after_checkouts,
    open_checkout,
    order_top_up,
)
from tests.credits.booking import account_of
from tests.credits.crashes import dying_at
from tests.credits.settling_books import KINDS, SettlingBooks
from tests.credits.stripe_double import StripeDouble
from tests.credits.stripe_faults import BROKEN, BROKEN_AFTERWARDS, PASSING, Fault

WHICH = st.integers(min_value=0, max_value=1_000)
BOOLEANS = st.booleans()
AMOUNTS = st.sampled_from([500, 900, 2_000])
CRASHES = st.sampled_from([*[None] * 18, *range(12)])
FAULTS = st.sampled_from([*[None] * 12, *(("", fault) for fault in PASSING), *(("POST", fault) for fault in PASSING)])
"""What the first request meets, or the first that is to change something."""

Trouble = tuple[str, Fault]


class Payments(SettlingBooks):
    """What people, workers and Stripe do to the books."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[dict[str, Any]] = []
        self.weeks = 0
        self.end: list[Callable[[], None]] = []

    def attempt(self, work: Any, *, crash: int | None, fault: Trouble | None = None) -> None:
        """Do something that may meet a fault of Stripe's, and may die. What is refused is refused."""
        if fault:
            self.double.fail(*fault)
        try:
            with dying_at(crash):
                work()
        except CreditsError:
            pass
        finally:
            self.double.faults.clear()

    @initialize(
        amount=AMOUNTS, order=st.permutations(range(3)), is_refund=BOOLEANS, is_kept=BOOLEANS, a_day_passes=BOOLEANS
    )
    def begin(self, amount: int, order: list[int], is_refund: bool, is_kept: bool, a_day_passes: bool) -> None:
        """Somebody has paid once, so there is a saved card, and buys automatically. What is rare comes at the end."""
        session = open_checkout(order_top_up(user_id=self.user_id, amount=amount).pk).session_id
        self.double.pay(session)
        complete_session(session)
        set_auto_top_up(user_id=self.user_id, threshold=400, amount=amount)
        self.end = [
            lambda: self.want_no_more_of_what_was_prepared(is_kept),
            lambda: self.break_down_over_a_refund(is_kept, a_day_passes),
            lambda: self.tell_in_any_order(0, order, is_refund),
            self.lose_the_news_of_a_refund,
        ]

    # What people do.

    @rule(amount=AMOUNTS, crash=CRASHES, fault=FAULTS)
    def order(self, amount: int, crash: int | None, fault: Trouble | None) -> None:
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
    def come_back(self, which: int, crash: int | None, fault: Trouble | None) -> None:
        if pages := self.mine("checkout.session"):
            page = self.pick(pages, which)["id"]
            self.attempt(lambda: complete_session(page), crash=crash, fault=fault)

    @rule(amount=AMOUNTS)
    def ask_for_automatic_ones(self, amount: int) -> None:
        set_auto_top_up(user_id=self.user_id, threshold=400, amount=amount)

    @rule()
    def want_no_more(self) -> None:
        stop_auto_top_up(user_id=self.user_id)

    @rule(is_charged=BOOLEANS)
    def want_no_more_of_what_was_prepared(self, is_charged: bool) -> None:
        """Stripe breaks down over a charge; whether it was made or not, no other is."""
        set_auto_top_up(user_id=self.user_id, threshold=MOST_THRESHOLD, amount=500)
        trouble = ("POST payment_intents/pi_", BROKEN_AFTERWARDS if is_charged else BROKEN)
        self.top_up_automatically(crash=None, fault=trouble, decline=None)
        stop_auto_top_up(user_id=self.user_id)
        self.top_up_automatically(crash=None, fault=None, decline=None)
        assert not TopUp.objects.filter(account=self.account_id, kind="AUTO", status="PENDING").exists()

    @rule(part=st.sampled_from([0.3, 1.0]))
    def spend(self, part: float) -> None:
        amount = int(account_of(self.user_id).spendable * part)
        if amount:
            adjust(user_id=self.user_id, amount=-amount, reason="Spent.", key=uuid4())
            self.moved -= amount

    @rule(which=WHICH, crash=CRASHES, fault=FAULTS)
    def want_money_back(self, which: int, crash: int | None, fault: Trouble | None) -> None:
        if paid := list(TopUp.objects.filter(account=self.account_id, status="PAID").order_by("id")):
            top_up = self.pick(paid, which)

            def ask() -> None:
                send_refund(request_refund(user_id=self.user_id, top_up_id=top_up.pk, reason="Why not?").pk)

            self.attempt(ask, crash=crash, fault=fault)

    @rule(crash=CRASHES, fault=FAULTS)
    def approve(self, crash: int | None, fault: Trouble | None) -> None:
        for request in RefundRequest.objects.filter(account=self.account_id):
            self.attempt(
                lambda asked=request: approve_refund(request=asked, reason="All right.", actor_id=None),
                crash=crash,
                fault=fault,
            )

    @rule(which=WHICH, part=st.sampled_from([0.3, 1.0]), crash=CRASHES, fault=FAULTS)
    def send_back_unasked(self, which: int, part: float, crash: int | None, fault: Trouble | None) -> None:
        """The form is sent again when nothing came of it."""
        if paid := list(TopUp.objects.filter(account=self.account_id, status="PAID").order_by("id")):
            top_up, key = self.pick(paid, which), uuid4()

            def send() -> None:
                amount = int(top_up.amount * part)
                refund_top_up(top_up=top_up, amount=amount, reason="Sorry.", key=key, actor_id=None)

            self.attempt(send, crash=crash, fault=fault)
            self.attempt(send, crash=None)

    # What workers do.

    @rule(crash=CRASHES, fault=FAULTS, decline=st.sampled_from([None, None, "Declined."]))
    def top_up_automatically(self, crash: int | None, fault: Trouble | None, decline: str | None) -> None:
        self.double.decline = decline
        account, charged = account_of(self.user_id), len(self.double.charges)
        is_wanted = account.auto_top_up_amount is not None and not account.auto_top_up_halt
        for top_up in TopUp.objects.filter(account=self.account_id, kind="AUTO"):
            self.attempt(lambda key=top_up.pk: perform_auto_top_up(key), crash=crash, fault=fault)
        self.double.decline = None
        assert is_wanted or len(self.double.charges) == charged

    @rule(crash=CRASHES, fault=FAULTS)
    def recover(self, crash: int | None, fault: Trouble | None) -> None:
        self.attempt(lambda: send_overdue_refunds(patience_seconds=0), crash=crash, fault=fault)
        self.attempt(lambda: look_after_refunds(patience_seconds=0), crash=crash, fault=fault)
        self.attempt(lambda: look_after_checkouts(patience_seconds=0), crash=crash, fault=fault)

    # What Stripe does.

    @rule()
    def let_a_day_pass(self) -> None:
        self.double.forget_keys()

    @rule(is_kept=BOOLEANS, a_day_passes=BOOLEANS)
    def break_down_over_a_refund(self, is_kept: bool, a_day_passes: bool) -> None:
        """Stripe has made it or not, and says neither; nobody has heard of it when it is sent again."""
        request = self.ask_for_another_week()
        trouble = ("POST refunds", BROKEN if is_kept else BROKEN_AFTERWARDS)
        self.attempt(lambda: approve_refund(request=request, reason="Yes.", actor_id=None), crash=None, fault=trouble)
        if a_day_passes:
            self.double.forget_keys()
        for _ in range(3):  # it is looked at, and ordered anew
            send_overdue_refunds(patience_seconds=0)
        assert RefundRequest.objects.get(pk=request.pk).refund_id

    def lose_the_news_of_a_refund(self) -> None:
        """Stripe takes its time, and nobody hears of the end."""
        self.double.refund_status = "pending"
        request = approve_refund(request=self.ask_for_another_week(), reason="Yes.", actor_id=None)
        self.double.things[str(request.refund_id)]["status"] = "succeeded"
        self.double.refund_status = "succeeded"

    def ask_for_another_week(self) -> RefundRequest:
        """There is one request per week."""
        self.weeks += 1
        session = open_checkout(order_top_up(user_id=self.user_id, amount=500).pk).session_id
        self.double.pay(session)
        complete_session(session)
        made = TopUp.objects.get(session_id=session)
        TopUp.objects.filter(pk=made.pk).update(created_at=made.created_at - timedelta(weeks=self.weeks))
        return request_refund(user_id=self.user_id, top_up_id=made.pk, reason="Why not?")

    @rule(slow=BOOLEANS)
    def take_time(self, slow: bool) -> None:
        self.double.refund_status = "pending" if slow else "succeeded"

    @rule(which=WHICH, status=st.sampled_from(["succeeded", "failed"]), is_told=BOOLEANS)
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
        if paid := self.undisputed():
            payment = self.pick(paid, which)
            self.double.dispute(payment["id"], payment["amount"])

    @rule(which=WHICH)
    def move_disputed(self, which: int) -> None:
        if open_ones := [each for each in self.mine("dispute") if len(each["balance_transactions"]) < 2]:
            dispute = self.pick(open_ones, which)
            self.told.append(dict(dispute))
            sign = 1 if dispute["balance_transactions"] else -1
            self.double.move(dispute["id"], sign * dispute["amount"])

    @rule(which=WHICH, kind=WHICH, is_old=BOOLEANS, crash=CRASHES, fault=FAULTS)
    def tell(self, which: int, kind: int, is_old: bool, crash: int | None, fault: Trouble | None) -> None:
        """Any event, of how something stands or stood, however often."""
        things = self.told if is_old else [dict(each) for name in KINDS for each in self.mine(name)]
        if things:
            thing = self.pick(things, which)
            self.told.append(thing)
            names = KINDS[thing["object"]]
            self.attempt(lambda: self.deliver(self.pick(list(names), kind), thing), crash=crash, fault=fault)

    @rule(which=WHICH, order=st.permutations(range(3)), is_refund=BOOLEANS)
    def tell_in_any_order(self, which: int, order: list[int], is_refund: bool) -> None:
        """Money goes and comes back, and nobody hears of it before it is all over."""
        moving = self.refund_that_fails(which) if is_refund else self.dispute_that_is_won(which)
        for number in order if moving else ():
            self.deliver(KINDS[moving[number]["object"]][0], moving[number])

    def refund_that_fails(self, which: int) -> list[dict[str, Any]]:
        if not (made := [each for each in self.mine("refund") if each["status"] != "failed"]):
            return []
        refund = self.pick(made, which)
        refund["status"] = "failed"
        return [{**refund, "status": status} for status in ("pending", "succeeded", "failed")]

    def dispute_that_is_won(self, which: int) -> list[dict[str, Any]]:
        if not (paid := self.undisputed()):
            return []
        payment = self.pick(paid, which)
        key = self.double.dispute(payment["id"], payment["amount"])
        standing_then = [dict(self.double.things[key])]
        for amount in (-payment["amount"], payment["amount"]):
            self.double.move(key, amount)
            standing_then.append(dict(self.double.things[key]))
        return standing_then

    # What has to be in the end.

    def teardown(self) -> None:
        """Nothing fails any more, and all that can be asked for is asked for: then the books say what Stripe says."""
        self.double.refund_status = "succeeded"
        for each in self.end:
            each()
        stop_auto_top_up(user_id=self.user_id)
        self.sweep()
        self.what_was_heard_stands()
        self.tell_what_nobody_asks_for()
        self.ask_what_nobody_tells()
        self.what_was_heard_stands()
        self.the_requests_stand_as_their_refunds()
        self.approve_what_is_open()
        self.sweep()
        self.the_requests_stand_as_their_refunds()
        self.the_books_say_what_stripe_says()
        self.retire()


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
