"""Paid runs under everything that can happen: claims, waits, top-ups, stops, other prices, crashes at any time.

Workers are slow, too: their leases run out, others take over, and then they come with what they have done.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from pytest_django import Settings

from credits.auditing import find_faults
from credits.exceptions import FundsLackingError
from credits.models import Account, Hold, LedgerEntry
from credits.price_list import set_price
from credits.pricing import Tokens, Usage, price_after, read_costs
from execution.attempts import Attempt
from execution.beginning import begin
from execution.engine.statuses import ENDED, Status
from execution.exceptions import ExecutionError
from execution.models import Execution, NodeExecution, OnInsufficientCredits, Output
from execution.recovery import sweep
from execution.runner import run_plain
from execution.services import resume_execution, start_execution, stop_execution
from execution.store.ready import Ready, describe_ready
from graphs.models import GraphVersion
from tests.credits.booking import give, set_balance
from tests.credits.crashes import dying_at
from tests.execution.charging.paid_runs import save
from tests.execution.drain import Drain
from tests.execution.paid_blocks import COUNTING, PAID, STERN, TALKING
from tests.execution.small_graphs import STEP

WHICH = st.integers(min_value=0, max_value=1_000)
CRASHES = st.sampled_from([*[None] * 12, *range(12)])


class PaidRuns(RuleBasedStateMachine):
    """A user, their runs, and workers that die or are slow.

    `refused` counts how what late ones worked on stood when their results were refused.
    """

    drain: Drain
    refused: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.user = User.objects.create_user(f"user-{uuid4()}")
        self.drain.waiting.clear()
        self.versions: list[GraphVersion] = []
        self.sent: list[Ready] = []
        self.slow: list[Attempt] = []

    @initialize()
    def begin(self) -> None:
        set_balance(self.user.pk, 60)
        self.versions = [
            save(
                self.user,
                {"each": (STEP, {"items": [1, 2, 3]}), "paid": (PAID, {"failures": 1}), "stern": (STERN, {})},
                ["each.item -> paid.value", "paid.value -> stern.value"],
            ),
            save(
                self.user,
                {
                    "count": (COUNTING, {"items": 25}),
                    "talk": (TALKING, {}),
                    "bad": (STERN, {"refuses": True}),
                    "kind": (PAID, {"refuses": True}),
                },
                ["count.value -> talk.items"],
            ),
        ]
        self.start(0, OnInsufficientCredits.PARK, None, None)
        self.start(1, OnInsufficientCredits.FAIL, None, None)

    @property
    def runs(self) -> list[Execution]:
        return list(Execution.objects.filter(user=self.user).order_by("pk"))

    @rule(
        which=WHICH,
        policy=st.sampled_from(OnInsufficientCredits),
        max_cost=st.sampled_from([None, None, 20]),
        crash=CRASHES,
    )
    def start(self, which: int, policy: OnInsufficientCredits, max_cost: int | None, crash: int | None) -> None:
        account = Account.objects.get(user=self.user)
        if account.owed or account.balance <= 0 or len(self.runs) > 3:
            return
        version = self.versions[which % 2]
        with dying_at(crash):
            start_execution(
                user=self.user, version=version, input_data={}, max_cost=max_cost, on_insufficient_credits=policy
            )

    @rule(which=WHICH, crash=CRASHES)
    def work(self, which: int, crash: int | None) -> None:
        if self.drain.waiting:
            message = self.drain.waiting.pop(which % len(self.drain.waiting))
            self.sent.append(message)
            with dying_at(crash):
                self.drain.run_one(message)

    @rule(crash=CRASHES)
    def work_on_all(self, crash: int | None) -> None:
        for _ in range(6):
            self.work(0, None)
        self.work(0, crash)

    @rule(which=WHICH)
    def repeat_a_message(self, which: int) -> None:
        if self.sent:
            self.drain.run_one(self.sent[which % len(self.sent)])

    @rule(which=WHICH)
    def begin_and_be_slow(self, which: int) -> None:
        """Claim something, and work on it for longer than the lease lasts."""
        if self.drain.waiting:
            message = self.drain.waiting.pop(which % len(self.drain.waiting))
            self.sent.append(message)
            attempt = begin(message.id, publish=self.drain.send)
            self.slow += [attempt] if attempt else []

    @rule(which=WHICH, is_slow_too=st.booleans(), comes_at_once=st.booleans())
    def lose_an_attempt(self, which: int, is_slow_too: bool, comes_at_once: bool) -> None:
        """Let another take over what a slow one works on, which comes with its result then or later."""
        if not self.slow:
            self.begin_and_be_slow(which)
        sweep(self.drain.send)
        late = {attempt.claimed.id: attempt for attempt in self.slow}
        again = [number for number, message in enumerate(self.drain.waiting) if message.id in late]
        if again:
            number = again[which % len(again)]
            attempt = late[self.drain.waiting[number].id]
            self.begin_and_be_slow(number) if is_slow_too else self.work(number, None)
            if comes_at_once:
                self.slow.remove(attempt)
                self.come_with(attempt, None)

    @rule(which=WHICH, crash=CRASHES)
    def end_late(self, which: int, crash: int | None) -> None:
        if self.slow:
            self.come_with(self.slow.pop(which % len(self.slow)), crash)

    def come_with(self, attempt: Attempt, crash: int | None) -> None:
        """Record a result: it counts if nobody has taken over, and leaves no trace otherwise."""
        node = NodeExecution.objects.get(pk=attempt.claimed.id)
        is_lost = (node.status, node.token) != (Status.RUNNING, attempt.claimed.token)
        before = self.traces_of(node)
        with dying_at(crash):
            run_plain([attempt])
        if is_lost:
            self.refused[node.status] += 1
            assert self.traces_of(node) == before

    def traces_of(self, node: NodeExecution) -> Any:
        """What a result changes: the row, its outputs, the run, what is charged and held."""
        return (
            NodeExecution.objects.filter(pk=node.pk).values().get(),
            list(Output.objects.filter(node_execution=node).values()),
            Execution.objects.filter(pk=node.execution_id).values().get(),
            list(LedgerEntry.objects.filter(account__user=self.user).values_list("key", "amount", "owed")),
            list(Hold.objects.filter(account__user=self.user).order_by("key").values()),
            Account.objects.filter(user=self.user).values().get(),
        )

    @rule()
    def send_what_was_lost(self) -> None:
        queued = NodeExecution.objects.filter(execution__user=self.user, status="QUEUED")
        self.drain.send(describe_ready(list(queued.values_list("pk", "node_id", "execution__graph_version_id"))))

    @rule(crash=CRASHES)
    def recover(self, crash: int | None) -> None:
        with dying_at(crash):
            sweep(self.drain.send)

    @rule(amount=st.sampled_from([1, 7, 40]))
    def top_up(self, amount: int) -> None:
        give(self.user.pk, amount)

    @rule(block=st.sampled_from([PAID, COUNTING, TALKING]), amount=st.sampled_from([0, 2, 9]))
    def change_a_price(self, block: str, amount: int) -> None:
        kind = {PAID: "RUN", COUNTING: "ITEMS", TALKING: "TOKENS"}[block]
        set_price(block_id=block, costs=[{"amount": amount, "type": kind, "divisor": 2}], reason="Another price.")

    @rule(which=WHICH, crash=CRASHES)
    def stop(self, which: int, crash: int | None) -> None:
        if self.runs:
            with dying_at(crash):
                stop_execution(execution_id=self.runs[which % len(self.runs)].pk)

    @rule(which=WHICH, crash=CRASHES)
    def resume(self, which: int, crash: int | None) -> None:
        ended = [run for run in self.runs if run.status in (Status.FAILED, Status.TERMINATED)]
        if ended:
            try:
                with dying_at(crash):
                    resume_execution(execution_id=ended[which % len(ended)].pk)
            except (ExecutionError, FundsLackingError):
                pass

    @invariant()
    def the_books_agree(self) -> None:
        assert find_faults() == ()

    @invariant()
    def credits_are_held_for_what_is_under_way_only(self) -> None:
        held = Hold.objects.filter(account__user=self.user).values_list("key", flat=True)
        running = NodeExecution.objects.filter(execution__user=self.user, status="RUNNING")
        assert set(held) <= set(running.values_list("pk", flat=True))

    @invariant()
    def each_charge_is_for_something_completed_at_its_price(self) -> None:
        charged = list(LedgerEntry.objects.filter(account__user=self.user, node_execution_id__isnull=False))
        assert len({entry.node_execution_id for entry in charged}) == len(charged)
        for entry in charged:
            node = NodeExecution.objects.get(pk=str(entry.node_execution_id))
            assert node.status == Status.COMPLETED or (entry.block_id == STERN and node.status != Status.RUNNING)
            assert entry.owed - entry.amount + entry.details.get("waived", 0) == price_of(entry)

    def teardown(self) -> None:
        """With enough credits and nobody dying everything ends, and is paid once."""
        give(self.user.pk, 10_000)
        start_execution(user=self.user, version=self.versions[1], input_data={})
        self.lose_an_attempt(0, is_slow_too=True, comes_at_once=True)
        for _ in range(12):
            sweep(self.drain.send)
            self.send_what_was_lost()
            self.drain.run()
            if all(run.status in ENDED for run in self.runs):
                break
        assert {run.status for run in self.runs} <= set(ENDED)
        while self.slow:
            self.end_late(0, None)
        assert not Hold.objects.filter(account__user=self.user).exists()
        for run in self.runs:
            entries = LedgerEntry.objects.filter(execution_id=run.pk)
            assert run.cost == sum(entry.owed - entry.amount for entry in entries)
            assert run.max_cost is None or run.cost <= run.max_cost
        self.each_charge_is_for_something_completed_at_its_price()
        self.the_books_agree()


def price_of(entry: LedgerEntry) -> int:
    """What the entry's own facts say that it has to be."""
    (cost,) = read_costs([entry.details["price"]])
    tokens = {model: Tokens(**used) for model, used in entry.details.get("tokens", {}).items()}
    usage = Usage(seconds=entry.quantity or 0, items=entry.quantity, usd=entry.quantity, tokens=tokens)
    return price_after(cost, usage=usage, size=entry.details.get("size", 0))


@pytest.fixture
def no_leases(settings: Settings) -> Iterator[None]:
    """Whoever died is found out by the next sweep."""
    settings.LEASE_SECONDS = -1
    yield


@pytest.mark.django_db(transaction=True)
def test_paid_runs_are_paid_for_whatever_happens(drain: Drain, no_leases: None) -> None:
    PaidRuns.drain, PaidRuns.refused = drain, Counter()
    run_state_machine_as_test(
        PaidRuns,
        settings=hypothesis_settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            # A failure is found again by its seed; to make it smaller would take minutes.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Status.RUNNING in PaidRuns.refused, "Nobody came late."
