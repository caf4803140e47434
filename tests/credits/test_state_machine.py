"""The books under everything that can happen to them: repeats, crashes between any two statements, any order."""

from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from credits.auditing import find_faults
from credits.exceptions import AmountInvalidError
from credits.metering import release
from credits.money import adjust
from credits.pricing import Usage
from credits.store import ledger
from tests.credits.booking import (
    GRAPH,
    NOTHING_CHARGED,
    capture,
    charge_fee,
    flat_price,
    hold,
    release_runs,
    set_balance,
    subject,
)
from tests.credits.crashes import CrashError, dying_before

FEW = st.integers(min_value=1, max_value=60)
CRASHES = st.sampled_from([None, None, None, 0, 1, 2])
"""Before which statement of a transaction its process dies, if it does."""

RUN = st.sampled_from([0, 1])
MAX_COSTS = (None, 100)
"""What the one run and the other may cost."""

# It is asked after every step, so it is asked at once.
_STANDING = """
SELECT a.balance, a.held, a.owed, (
       SELECT COALESCE(json_agg(json_build_array(e.node_execution_id, e.owed - e.amount)), '[]')
         FROM credits_ledgerentry e
        WHERE e.account_id = a.id AND e.type = 'USAGE' AND e.node_execution_id IS NOT NULL)
  FROM credits_account a WHERE a.user_id = %s
"""


class Books(RuleBasedStateMachine):
    """An account beside a model of it in plain Python."""

    keys = Bundle("keys")
    gifts = Bundle("gifts")

    def __init__(self) -> None:
        super().__init__()
        self.user_id: int = User.objects.create_user(f"user-{uuid4()}").pk
        set_balance(self.user_id, 0)
        self.balance = self.owed = self.fired = 0
        self.held: dict[UUID, int] = {}
        self.charged: dict[UUID, int] = {}
        self.two_runs = (uuid4(), uuid4())
        self.max_costs = dict(zip(self.two_runs, MAX_COSTS, strict=True))
        self.costs = dict.fromkeys(self.two_runs, 0)
        self.runs: dict[UUID, UUID] = {}
        self.posted: dict[str, int] = {}

    @property
    def spendable(self) -> int:
        return self.balance - sum(self.held.values())

    def take(self, price: int) -> None:
        paid = min(price, self.spendable)
        self.balance -= paid
        self.owed += price - paid
        self.settle()

    def charge(self, run: UUID, price: int) -> int:
        """Take as much of a price as the run may cost; return how much that is."""
        most = self.max_costs[run]
        due = price if most is None else min(price, max(most - self.costs[run], 0))
        self.costs[run] += due
        self.take(due)
        return due

    def may_hold(self, key: UUID, amount: int) -> bool:
        run = self.runs[key]
        most = self.max_costs[run]
        committed = self.costs[run] + sum(held for other, held in self.held.items() if self.runs[other] == run)
        return self.spendable >= amount and (most is None or committed + amount <= most)

    def settle(self) -> None:
        paid = min(self.owed, self.spendable)
        self.balance -= paid
        self.owed -= paid

    @rule(target=gifts, amount=FEW, crash=CRASHES)
    def grant(self, amount: int, crash: int | None) -> tuple[str, int]:
        gift = (f"gift:{uuid4()}", amount)
        self.grant_again(gift, crash)
        return gift

    @rule(gift=gifts, crash=CRASHES)
    def grant_again(self, gift: tuple[str, int], crash: int | None) -> None:
        key, amount = gift
        try:
            with dying_before(crash):
                ledger.post(user_id=self.user_id, key=key, type="GRANT", amount=amount, facts={})
        except CrashError:
            return
        if key not in self.posted:
            self.posted[key] = amount
            self.balance += amount
            self.settle()

    @rule(gift=gifts, crash=CRASHES)
    def refund(self, gift: tuple[str, int], crash: int | None) -> None:
        key = f"refund of {gift[0]}"
        try:
            with dying_before(crash):
                ledger.post(user_id=self.user_id, key=key, type="REFUND", amount=-gift[1], facts={})
        except CrashError:
            return
        if key not in self.posted:
            self.posted[key] = -gift[1]
            self.take(gift[1])

    @rule(amount=FEW, crash=CRASHES)
    def adjust_downwards(self, amount: int, crash: int | None) -> None:
        try:
            with dying_before(crash):
                adjust(user_id=self.user_id, amount=-amount, reason="By mistake.", key=uuid4())
        except CrashError:
            return
        except AmountInvalidError:
            assert amount > self.spendable
            return
        assert amount <= self.spendable
        self.balance -= amount

    @rule(target=keys, amount=FEW, run=RUN, crash=CRASHES)
    def begin(self, amount: int, run: int, crash: int | None) -> UUID:
        key = uuid4()
        self.runs[key] = self.two_runs[run]
        self.begin_again(key, amount, crash)
        return key

    @rule(key=keys, amount=FEW, crash=CRASHES)
    def begin_again(self, key: UUID, amount: int, crash: int | None) -> None:
        run = self.runs[key]
        try:
            with dying_before(crash):
                held = hold(
                    user_id=self.user_id,
                    subject=subject(key, root=run),
                    price=flat_price(amount),
                    max_cost=self.max_costs[run],
                )
        except CrashError:
            return
        self.held.pop(key, None)
        assert held.granted == self.may_hold(key, amount)
        if held.granted:
            self.held[key] = amount
        self.settle()

    @rule(key=keys, cost=FEW, has_failed=st.booleans(), crash=CRASHES)
    def end(self, key: UUID, cost: int, has_failed: bool, crash: int | None) -> None:
        run = self.runs[key]
        try:
            with dying_before(crash):
                charged = capture(
                    user_id=self.user_id,
                    subject=subject(key, root=run),
                    price=flat_price(cost),
                    usage=Usage(),
                    has_failed=has_failed,
                    max_cost=self.max_costs[run],
                )
        except CrashError:
            return
        self.held.pop(key, None)
        if has_failed:
            assert charged == NOTHING_CHARGED
        elif key in self.charged:
            assert not charged.is_new
        elif due := self.charge(run, cost):
            assert charged.is_new
            assert charged.charged + charged.owed == due
            self.charged[key] = due
        else:
            assert charged == NOTHING_CHARGED
        self.settle()

    @rule(key=consumes(keys), crash=CRASHES)
    def lose(self, key: UUID, crash: int | None) -> None:
        try:
            with dying_before(crash):
                release([key])
        except CrashError:
            return
        self.held.pop(key, None)
        self.settle()

    @rule(run=RUN, crash=CRASHES)
    def end_run(self, run: int, crash: int | None) -> None:
        try:
            with dying_before(crash):
                release_runs(self.two_runs[run])
        except CrashError:
            return
        self.held = {key: amount for key, amount in self.held.items() if self.runs[key] != self.two_runs[run]}
        self.settle()

    @rule(count=st.integers(min_value=0, max_value=350), run=RUN, crash=CRASHES)
    def count_executions(self, count: int, run: int, crash: int | None) -> None:
        key = self.two_runs[run]
        try:
            with dying_before(crash):
                charge_fee(
                    user_id=self.user_id,
                    execution_id=key,
                    root_execution_id=key,
                    graph_id=GRAPH,
                    count=count,
                    max_cost=self.max_costs[key],
                )
        except CrashError:
            return
        fee = (self.fired + count) // 100 - self.fired // 100
        self.fired += count
        self.charge(key, fee)

    @invariant()
    def the_books_are_what_the_model_says(self) -> None:
        """Each node execution is charged its price once."""
        with connection.cursor() as cursor:
            cursor.execute(_STANDING, [self.user_id])
            balance, held, owed, charges = cursor.fetchone()
        assert (balance, held, owed) == (self.balance, sum(self.held.values()), self.owed)
        assert sorted(map(tuple, charges)) == sorted((str(key), price) for key, price in self.charged.items())

    @invariant()
    def nothing_is_spent_that_is_not_there(self) -> None:
        assert self.spendable >= 0
        assert self.owed == 0 or self.spendable == 0
        assert all(most is None or self.costs[run] <= most for run, most in self.max_costs.items())

    def teardown(self) -> None:
        assert find_faults() == ()


@pytest.mark.django_db
def test_the_books_agree_whatever_happens() -> None:
    run_state_machine_as_test(
        Books,
        settings=settings(
            max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
