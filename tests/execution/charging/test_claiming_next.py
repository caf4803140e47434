"""A process goes on through what its run's tree holds back: one claim per record, and each is paid before it runs."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from credits.auditing import find_faults
from credits.models import Hold
from execution.beginning import begin_next
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, OnInsufficientCredits, PastAttempt, RunOutput
from execution.preparation import Prepared, prepare
from execution.recovery import sweep
from execution.runner import run_plain
from execution.services import stop_execution
from execution.store.claims import Claimed
from execution.store.round_trips import exchange
from graphs.services import import_graph
from tests.credits.booking import give, set_balance, standing
from tests.execution.charging.paid_runs import charges, start, statuses
from tests.execution.drain import Drain
from tests.execution.families import AGENT
from tests.execution.going_on import begin_first, take_next
from tests.execution.outages_of_sessions import Send
from tests.execution.paid_blocks import PAID
from tests.execution.small_graphs import CALCULATOR, OUTPUT, STEP, draw

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


def test_what_is_free_is_gone_through_in_order_with_one_claim_per_record(
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
    assert (statements["claim"], statements.get("claim_held_back", 0)) == (1, 0)
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
    assert told["claim_next"] >= len(sizes) - 2 * WINDOW
    # What turns out to be free is claimed by itself: something may be set aside for it.
    assert told["claim"] <= messages + sizes.count("free")
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


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_stop_in_the_middle_leaves_no_hold(user: User, drain: Drain, has_begun: bool) -> None:
    set_balance(user.pk, 1000)
    run = start(user, {f"paid {number}": COSTS_7 for number in range(ITEMS)})
    taker = take_next(begin_first(drain), pin="value")
    assert taker.claimed is not None
    held = [hold.key for hold in Hold.objects.all()]

    attempt = begin_next(taker, publish=drain.send) if has_begun else None
    stop_execution(execution_id=run.pk)
    attempt = attempt or begin_next(taker, publish=drain.send)
    assert attempt is not None
    following = begin_next(run_plain(attempt, takes_until=float("inf")), publish=drain.send)

    run.refresh_from_db()
    assert (held, following) == ([taker.claimed.id], None)
    assert (run.status, statuses(run)) == (Status.TERMINATED, {"COMPLETED": 1, "TERMINATED": ITEMS - 1})
    assert (charges(user), Hold.objects.count(), standing(user.pk)) == ([7], 0, (993, 0, 0))


def test_a_run_s_process_goes_on_with_what_a_run_below_holds_back(user: User, drain: Drain, settings: Settings) -> None:
    settings.RUN_WINDOW = {"cpu": 1, "io": 1}
    set_balance(user.pk, 1000)
    below = import_graph(owner=user, document=draw({f"below {number}": COSTS_7 for number in range(5)})).version
    agent = {"graph_id": str(below.graph_id), "graph_version": 1, "inputs": {}, "input_schema": {}, "output_schema": {}}
    run = start(user, {"agent": (AGENT, agent), "last": COSTS_7})
    drain.run_one(drain.waiting.pop(0))
    last = begin_first(drain)
    last.send_unsent()

    taker = take_next(last, pin="value")
    claimed = taker.claimed
    assert claimed is not None
    held = [hold.key for hold in Hold.objects.all()]
    attempt = begin_next(taker, publish=drain.send)
    while attempt is not None:
        attempt = begin_next(run_plain(attempt, takes_until=float("inf")), publish=drain.send)
    sweep_until_quiet(drain)

    sub_run = Execution.objects.get(root=run)
    run.refresh_from_db()
    assert (claimed.execution_id, claimed.tree_id, held) == (sub_run.pk, run.pk, [claimed.id])
    assert (run.status, sub_run.status, run.cost, sub_run.cost) == (Status.COMPLETED, Status.COMPLETED, 7, 35)
    assert (charges(user), standing(user.pk), find_faults()) == ([7] * 6, (958, 0, 0), ())


@pytest.mark.parametrize("first", [FREE, COSTS_7], ids=["free", "paid"])
def test_who_parks_what_it_went_on_with_sees_to_the_window(
    user: User, drain: Drain, settings: Settings, first: tuple[str, dict[str, Any]]
) -> None:
    settings.RUN_WINDOW = {"cpu": 2, "io": 2}
    set_balance(user.pk, 5 if first is FREE else 7)
    nodes = {"first": first, **{f"paid {n}": COSTS_7 for n in range(3)}, **{f"free {n}": FREE for n in range(3)}}
    run = start(user, nodes, on_insufficient_credits=OnInsufficientCredits.PARK)
    attempt = begin_first(drain)
    attempt.send_unsent()
    while drain.waiting:  # Others find that they can't pay.
        drain.run_one(drain.waiting.pop(0))
    parked = statuses(run).get("SUSPENDED", 0)

    taker = take_next(attempt, pin="value")
    taken = taker.ready is not None
    following = begin_next(taker, publish=drain.send)

    assert (parked, taken, following) == (2, True, None)
    assert len(drain.waiting) == 2
    while drain.waiting:  # no sweep
        drain.run_one(drain.waiting.pop(0))
    assert statuses(run) == {"COMPLETED": 4, "SUSPENDED": 3}


@pytest.mark.parametrize("node", [FREE, COSTS_7], ids=["free", "paid"])
def test_all_is_run_at_once_although_connections_break_at_the_commit(
    user: User, drain: Drain, losses: list[Send], node: tuple[str, dict[str, Any]]
) -> None:
    set_balance(user.pk, 1000)
    run = start(user, {f"node {number}": node for number in range(ITEMS)})

    drain.run()

    run.refresh_from_db()
    assert len(losses) >= ITEMS - 2 * WINDOW
    assert (run.status, statuses(run)) == (Status.COMPLETED, {"COMPLETED": ITEMS})
    assert PastAttempt.objects.count() == 0
    assert not NodeExecution.objects.exclude(attempt=1, losses=0).exists()
    assert charges(user) == ([7] * ITEMS if node is COSTS_7 else [])
    assert (Hold.objects.count(), find_faults()) == (0, ())
