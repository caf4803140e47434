"""A process goes on through what its run's tree holds back: one after the other, and each is paid before it runs."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from credits.auditing import find_faults
from credits.models import Hold
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, OnInsufficientCredits, RunOutput
from execution.preparation import Prepared, prepare
from execution.recovery import sweep
from execution.store.claims import Claimed
from execution.store.round_trips import exchange
from tests.credits.booking import give, set_balance, standing
from tests.execution.charging.paid_runs import charges, start, statuses
from tests.execution.drain import Drain
from tests.execution.paid_blocks import PAID
from tests.execution.small_graphs import CALCULATOR, OUTPUT, STEP

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("goes_on")]

ITEMS = 20
WINDOW = 4
FREE: tuple[str, dict[str, Any]] = (CALCULATOR, {"operation": "Add", "a": 1, "b": 2})
COSTS_7: tuple[str, dict[str, Any]] = (PAID, {})


@pytest.fixture(autouse=True)
def small_window(settings: Settings) -> None:
    settings.RUN_WINDOW = {"cpu": WINDOW, "io": WINDOW}


def fan_out(user: User, *, sizes: Sequence[str] = ("small",) * ITEMS, **asked: Any) -> Execution:
    """A run of a paid node execution for each size; small ones cost 7 credits, large ones 20, others nothing."""
    nodes = {"step": (STEP, {"items": list(sizes)}), "paid": (PAID, {})}
    return start(user, nodes, ["step.item -> paid.size"], **asked)


def fan_out_free(user: User) -> Execution:
    nodes = {"step": (STEP, {"items": list(range(ITEMS))}), "out": (OUTPUT, {"name": "out"})}
    return start(user, nodes, ["step.item -> out.value"])


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each prepared statement went to the database."""
    counts: Counter[str] = Counter()

    def count(statements: Sequence[Any]) -> Any:
        counts.update(str(getattr(statement, "name", statement)) for statement, _ in statements)
        return exchange(statements)

    monkeypatch.setattr("execution.store.batches.exchange", count)
    return counts


def before_each(monkeypatch: pytest.MonkeyPatch, look: Callable[[Claimed], Any]) -> list[Any]:
    """What is seen by who looks at each claim just before it runs."""
    seen: list[Any] = []

    def prepare_seen(claimed: Claimed) -> Prepared:
        seen.append(look(claimed))
        return prepare(claimed)

    monkeypatch.setattr("execution.runner.prepare", prepare_seen)
    return seen


def test_what_is_held_back_is_gone_through_in_order(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch, told: Counter[str]
) -> None:
    run = fan_out_free(user)
    ordinals = before_each(monkeypatch, lambda claimed: claimed.ordinal)

    drain.run_one(drain.waiting.pop(0))
    in_one_go = (list(ordinals), dict(told))
    left = set(NodeExecution.objects.filter(status=Status.QUEUED).values_list("id", flat=True))
    sent = {ready.id for ready in drain.waiting}
    drain.run()

    run.refresh_from_db()
    gone_through, statements = in_one_go
    assert gone_through == sorted(gone_through)
    assert len(gone_through) >= ITEMS - WINDOW
    assert (statements["claim"], statements["claim_held_back"] >= ITEMS - 2 * WINDOW) == (1, True)
    # The window's messages are under way.
    assert left == sent
    assert run.status == Status.COMPLETED
    values = RunOutput.objects.filter(execution=run).order_by("position").values_list("value", flat=True)
    assert list(values) == list(range(ITEMS))
    assert not NodeExecution.objects.exclude(attempt=1, losses=0).exists()


def is_held(claimed: Claimed) -> tuple[bool, int]:
    held = [hold.amount for hold in Hold.objects.filter(key=claimed.id)]
    return not claimed.is_paid or held == [claimed.price and claimed.price.hold], Hold.objects.count()


@pytest.mark.parametrize("sizes", [("small",) * ITEMS, ("large", "small", "free") * 6], ids=["alike", "different"])
def test_each_is_held_before_it_runs_and_charged_once(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch, told: Counter[str], sizes: tuple[str, ...]
) -> None:
    set_balance(user.pk, 1000)
    run = fan_out(user, sizes=sizes)
    looks = before_each(monkeypatch, lambda claimed: claimed.price is None or is_held(claimed) == (True, 1))

    messages = drain.run()

    run.refresh_from_db()
    due = [{"small": 7, "large": 20}[size] for size in sizes if size != "free"]
    assert (run.status, run.cost, sorted(charges(user))) == (Status.COMPLETED, sum(due), sorted(due))
    assert (len(looks), all(looks)) == (len(sizes) + 1, True)
    assert (Hold.objects.count(), standing(user.pk), find_faults()) == (0, (1000 - sum(due), 0, 0), ())
    assert told["claim_held_back"] >= len(sizes) - 2 * WINDOW
    assert told["claim"] <= messages
    assert not NodeExecution.objects.exclude(attempt=1, losses=0).exists()


def test_a_run_fails_when_the_next_one_can_t_be_paid(user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    set_balance(user.pk, 7 * 10 + 5)
    run = fan_out(user)
    ran = before_each(monkeypatch, lambda claimed: claimed.id)

    drain.run()

    run.refresh_from_db()
    assert (run.status, run.error) == (
        Status.FAILED,
        "“paid” failed: Not enough credits: this needs 7, and 5 can be spent.",
    )
    assert (charges(user), Hold.objects.count(), standing(user.pk)) == ([7] * 10, 0, (5, 0, 0))
    assert (len(ran), statuses(run)) == (11, {"COMPLETED": 11, "FAILED": 1, "TERMINATED": ITEMS - 11})


def test_what_can_t_be_paid_yet_is_parked_and_goes_on_later(user: User, drain: Drain) -> None:
    set_balance(user.pk, 7 * 10 + 5)
    run = fan_out(user, on_insufficient_credits=OnInsufficientCredits.PARK)

    drain.run()
    sweep_until_quiet(drain)
    parked = (statuses(run), Hold.objects.count(), standing(user.pk))
    give(user.pk, 1000)
    sweep_until_quiet(drain)

    run.refresh_from_db()
    assert parked == ({"COMPLETED": 11, "SUSPENDED": ITEMS - 10}, 0, (5, 0, 0))
    assert (run.status, charges(user)) == (Status.COMPLETED, [7] * ITEMS)
    assert (Hold.objects.count(), find_faults()) == (0, ())
    assert not NodeExecution.objects.exclude(attempt=1).exists()


def sweep_until_quiet(drain: Drain) -> None:
    sweep(drain.send)
    while drain.waiting:
        drain.run()
        sweep(drain.send)
