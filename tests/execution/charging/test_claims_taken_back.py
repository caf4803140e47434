"""Claims that come to nothing, and prices that can't be told at once: whoever comes next finds all as it was."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db.models.functions import Now
from pytest_django import Settings

from credits.models import Hold, LedgerEntry
from credits.price_list import set_price
from credits.pricing import CostType
from execution.beginning import begin_next
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, PastAttempt
from execution.places import Running
from execution.prices import price
from execution.runner import run_plain
from execution.services import resume_execution, stop_execution
from execution.store.claims import Claimed
from execution.store.holding import InputsAwayError, claim_and_hold, note_need
from execution.store.losses import hand_back, lose
from execution.store.waits import wake_due
from tests.credits.booking import standing
from tests.execution.charging.paid_runs import charges, start, statuses
from tests.execution.drain import Drain
from tests.execution.going_on import begin_first, take_next
from tests.execution.paid_blocks import COUNTING, PAID
from tests.execution.small_graphs import INPUT, STEP

pytestmark = pytest.mark.django_db(transaction=True)

IN: dict[str, Any] = {"in": (INPUT, {"name": "in", "value": 1})}


def be_away(*_arguments: Any, **_options: Any) -> Any:
    raise OSError("The storage is away.")


def start_by_size(user: User, drain: Drain, **inputs: Any) -> tuple[Execution, NodeExecution]:
    """A run with a node execution that costs 20 credits, which only its input in the storage tells."""
    nodes = {"each": (STEP, {"items": ["large"]}), "paid": (PAID, inputs)}
    run = start(user, nodes, ["each.item -> paid.size"])
    drain.run_one(drain.waiting.pop())
    return run, find_paid()


def find_paid() -> NodeExecution:
    return NodeExecution.objects.get(is_paid=True)


def claim(node: NodeExecution) -> Claimed:
    claimed = claim_and_hold(node.pk, lease_seconds=1000, token=uuid4())
    assert claimed is not None
    return claimed


def fail_claiming(node: NodeExecution) -> None:
    """Have a claim taken back: what the node execution costs can't be found out."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(InputsAwayError):
        patch.setattr(default_storage, "open", be_away)
        claim(node)


def wake_paid() -> None:
    """Let the time come for which it waits."""
    NodeExecution.objects.filter(status=Status.SUSPENDED).update(wake_at=Now())
    assert wake_due()[0] == 1


def fail_once(drain: Drain) -> None:
    drain.run_one(drain.waiting.pop())
    wake_paid()


def lose_worker(_drain: Drain) -> None:
    claimed = claim(find_paid())
    running = Running(node_execution_id=claimed.id, execution_id=claimed.execution_id, token=claimed.token)
    assert lose(running, error="Gone.", most_losses=5, lease_seconds=1000)


def sleep(drain: Drain) -> None:
    drain.run_one(drain.waiting.pop())
    wake_paid()


Happen = Callable[[Drain], None]


@pytest.mark.usefixtures("far_away")
@pytest.mark.parametrize(("happen", "failures", "outcome"), [(fail_once, 1, "FAILED"), (lose_worker, 0, "LOST")])
def test_a_run_can_be_resumed_whose_next_attempt_was_taken_back(
    payer: User, drain: Drain, happen: Happen, failures: int, outcome: str
) -> None:
    run, node = start_by_size(payer, drain, failures=failures)
    happen(drain)
    fail_claiming(node)
    taken_back = find_paid()

    stop_execution(execution_id=run.pk)
    drain.waiting.clear()
    resume_execution(execution_id=run.pk)
    drain.run()

    run.refresh_from_db()
    assert (taken_back.status, taken_back.attempt, taken_back.claimed_at is None) == (Status.QUEUED, 1, False)
    assert (run.status, charges(payer), standing(payer.pk)) == (Status.COMPLETED, [20], (80, 0, 0))
    assert PastAttempt.objects.earliest("id").outcome == outcome
    # What was taken back was no attempt.
    assert not PastAttempt.objects.filter(outcome=PastAttempt.Outcome.STOPPED).exists()


def do_nothing(_drain: Drain) -> None:
    """It is claimed for the first time."""


@pytest.mark.parametrize(
    ("happen", "inputs"), [(do_nothing, {}), (fail_once, {"failures": 1}), (sleep, {"seconds": 1000})]
)
def test_when_it_began_is_forgotten_only_if_that_was_taken_back(
    payer: User, drain: Drain, far_away: None, happen: Happen, inputs: dict[str, Any]
) -> None:
    _, node = start_by_size(payer, drain, **inputs)
    happen(drain)
    before = find_paid()

    fail_claiming(node)

    after = find_paid()
    assert (before.started_at is None) is (happen is do_nothing)
    assert (after.started_at, after.attempt, after.waits) == (before.started_at, before.attempt, before.waits)
    assert (after.status, after.token, after.lease_until) == (Status.QUEUED, None, None)


@pytest.mark.usefixtures("goes_on")
def test_nothing_stays_set_aside_for_what_became_free_while_it_waited(
    payer: User, drain: Drain, settings: Settings
) -> None:
    settings.RUN_WINDOW = {"cpu": 1, "io": 1}
    run = start(payer, {"sleeps": (PAID, {"seconds": 1000}), "a": (PAID, {}), "b": (PAID, {})})
    drain.run_one(drain.waiting.pop(0))
    attempt = begin_first(drain)
    attempt.send_unsent()
    wake_paid()
    woken = NodeExecution.objects.get(waits=1)
    before = (woken.held_back, Hold.objects.filter(key=woken.pk).count())
    set_price(block_id=PAID, costs=[], reason="Free for all.")

    taker = take_next(attempt, pin="value")
    (following,) = begin_next(taker, publish=drain.send)
    assert following.claimed.id == woken.pk
    take_next(following, pin="value")
    drain.run()

    run.refresh_from_db()
    assert before == (True, 1)
    assert (run.status, charges(payer)) == (Status.COMPLETED, [7])
    assert (Hold.objects.count(), standing(payer.pk)) == (0, (93, 0, 0))


@pytest.mark.usefixtures("goes_on")
def test_a_price_that_goes_wrong_does_not_fail_the_node_before(
    payer: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[str] = []

    def price_later(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr("execution.store.prices_at_hand.price", price)
        failed.append("once")
        raise ValueError("What a strange price.")

    run = start(payer, {**IN, "paid": (PAID, {})}, ["in.result -> paid.value"])
    monkeypatch.setattr("execution.store.prices_at_hand.price", price_later)

    drain.run()

    run.refresh_from_db()
    assert (failed, statuses(run)) == (["once"], {"COMPLETED": 2})
    assert (run.status, charges(payer)) == (Status.COMPLETED, [7])


@pytest.mark.usefixtures("goes_on")
@pytest.mark.parametrize(("block", "type"), [(COUNTING, CostType.ITEMS), (PAID, CostType.SECOND)])
def test_what_costs_by_recent_use_is_claimed_by_itself_and_charged(
    payer: User, drain: Drain, block: str, type: CostType
) -> None:
    set_price(block_id=block, costs=[{"type": type, "amount": 3, "divisor": 10}], reason="By use.")
    pin = "items" if block == COUNTING else "value"
    run = start(payer, {**IN, "paid": (block, {})}, [f"in.result -> paid.{pin}"])

    taker = take_next(begin_first(drain))
    opened = (taker.claimed, find_paid().status, Hold.objects.count())
    attempts = begin_next(taker, publish=drain.send)
    held = standing(payer.pk)
    run_plain(attempts)

    run.refresh_from_db()
    assert (opened, held) == (([], Status.QUEUED, 0), (100, 3, 0))
    assert (run.status, LedgerEntry.objects.filter(type="USAGE").count()) == (Status.COMPLETED, 1)
    assert standing(payer.pk) == (100 - charges(payer)[0], 0, 0)


def test_who_has_lost_its_claim_notes_no_need(payer: User, drain: Drain) -> None:
    run = start(payer, {"paid": (PAID, {})})
    late = claim(find_paid())
    hand_back(Running(node_execution_id=late.id, execution_id=run.pk, token=late.token))
    successor = claim(find_paid())

    noted = note_need(late, credit=7)

    assert (noted, find_paid().needs_credits) == (False, None)
    assert (note_need(successor, credit=7), find_paid().needs_credits) == (True, 7)


def test_whose_run_was_stopped_notes_no_need(payer: User, drain: Drain) -> None:
    run = start(payer, {"paid": (PAID, {})})
    claimed = claim(find_paid())
    stop_execution(execution_id=run.pk)

    assert (note_need(claimed, credit=7), find_paid().needs_credits) == (False, None)
