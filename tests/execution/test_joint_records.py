"""Ends that are recorded together: what happens to one of them is no matter of the others."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import DataError
from pytest_django import Settings

from credits.models import Hold
from execution.attempts import Attempt
from execution.engine.statuses import Status
from execution.interruptions import AttemptStoppedError
from execution.large_values import ValueWriter
from execution.models import NodeExecution, Output, PastAttempt
from execution.places import Running
from execution.preparation import Prepared, prepare
from execution.runner import run_plain
from execution.services import stop_execution
from execution.store.claims import Claimed
from execution.store.holding import claim_and_hold
from execution.store.losses import hand_back
from execution.store.ready import Ready
from execution.store.recording import record
from tests.credits.booking import set_balance, standing
from tests.execution.charging.paid_runs import charges
from tests.execution.drain import Drain
from tests.execution.going_on import COMPLETED, begin_several, run_on, sweep_until_quiet
from tests.execution.outages_of_sessions import Send, break_commits, lose_answer, lose_commit
from tests.execution.paid_blocks import PAID
from tests.execution.small_graphs import OUTPUT, STEP, draw
from tests.execution.small_runs import ended, outputs_of, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("paid_blocks")]

ITEMS = [1, 2, 3, 4]


@pytest.fixture
def payer(user: User) -> User:
    set_balance(user.pk, 100)
    return user


def draw_fan(pin: str = "value", **settings: Any) -> dict[str, Any]:
    """A paid node for each item, which comes to its `pin`."""
    nodes: dict[str, Any] = {
        "step": (STEP, {"items": ITEMS}),
        "paid": (PAID, {"value": 7}),
        "out": (OUTPUT, {"name": "out"}),
        "errors": (OUTPUT, {"name": "errors"}),
    }
    arrows = [f"step.item -> paid.{pin}", "paid.value -> out.value", "paid.error -> errors.value"]
    return draw(nodes, arrows, **settings)


def row_of(attempt: Attempt) -> NodeExecution:
    return NodeExecution.objects.get(pk=attempt.claimed.id)


def statuses_of(attempts: Sequence[Attempt]) -> list[str]:
    return [row_of(attempt).status for attempt in attempts]


@pytest.fixture
def breaks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Send]:
    """How connections broke so far: whenever several ends are recorded, instead of the commit or after it."""
    return break_commits(request.param, of=lambda names: "mark_several" in names, monkeypatch=monkeypatch)


@pytest.mark.parametrize("breaks", [lose_commit, lose_answer], indirect=True)
def test_all_is_recorded_and_charged_once_although_the_connection_breaks(
    payer: User, together: list[int], drain: Drain, breaks: list[Send], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[Attempt] = []
    monkeypatch.setattr(Attempt, "log_lost", lost.append)
    run = start(payer, draw_fan())

    drain.run()  # no sweep

    assert breaks
    # Nobody heard of any of them, and whose end it was found out what had become of it.
    assert (together, lost) == ([], [])
    assert outputs_of(ended(run)) == {"out": ITEMS}
    assert (run.status, run.node_count, run.cost) == (Status.COMPLETED, 9, 28)
    assert (charges(payer), Hold.objects.count(), standing(payer.pk)) == ([7] * 4, 0, (72, 0, 0))
    assert not NodeExecution.objects.exclude(attempt=1, losses=0).exists()
    assert not PastAttempt.objects.exists()


@pytest.mark.parametrize("breaks", [lose_commit, lose_answer], indirect=True)
def test_what_is_held_back_goes_on_although_the_connection_breaks(
    user: User, together: list[int], drain: Drain, settings: Settings, breaks: list[Send]
) -> None:
    settings.RUN_WINDOW = {"cpu": 1, "io": 1}
    nodes: dict[str, Any] = {"step": (STEP, {"items": list(range(30))}), "out": (OUTPUT, {"name": "out"})}
    run = start(user, draw(nodes, ["step.item -> out.value"]))

    sweep_until_quiet(drain)  # nobody hears of what became ready with a commit of which nobody heard

    assert breaks
    assert outputs_of(ended(run)) == {"out": list(range(30))}
    assert not NodeExecution.objects.exclude(attempt=1, losses=0).exists()


def test_who_has_lost_one_of_the_claims_records_the_others(payer: User, together: list[int], drain: Drain) -> None:
    run = start(payer, draw_fan())
    attempts = begin_several(drain, ITEMS)
    other = take_over(attempts[1].claimed)

    run_on(attempts, drain)
    meanwhile = (statuses_of(attempts), row_of(attempts[1]).token, row_of(attempts[1]).output_count)
    drain.send(record(other, outputs=[("value", 2)], position=0, end=COMPLETED).ready)
    sweep_until_quiet(drain)

    assert together[0] == 3
    assert meanwhile == (["COMPLETED", "RUNNING", "COMPLETED", "COMPLETED"], other.token, 0)
    assert [attempt.is_lost for attempt in attempts] == [False, True, False, False]
    # What stood behind it waited for it.
    assert outputs_of(ended(run)) == {"out": ITEMS}
    assert (charges(payer), standing(payer.pk)) == ([7] * 4, (72, 0, 0))


def test_nothing_is_recorded_if_all_claims_are_lost(payer: User, together: list[int], drain: Drain) -> None:
    start(payer, draw_fan())
    attempts = begin_several(drain, ITEMS)
    for attempt in attempts:
        take_over(attempt.claimed)

    run_on(attempts, drain)

    assert (together, statuses_of(attempts)) == ([0], [Status.RUNNING] * 4)
    assert all(attempt.is_lost for attempt in attempts)
    assert (charges(payer), standing(payer.pk)) == ([], (100, 28, 0))


@pytest.mark.parametrize("error", [ValueError, DataError])
def test_a_result_that_cannot_be_recorded_fails_its_node_only(
    payer: User, together: list[int], drain: Drain, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    write = ValueWriter.write

    def write_badly(writer: ValueWriter, value: Any) -> str:
        if value == 2 and error is ValueError:
            raise ValueError("It has no JSON form.")
        return "no JSON" if value == 2 else write(writer, value)

    run = start(payer, draw_fan())
    attempts = begin_several(drain, ITEMS)
    monkeypatch.setattr(ValueWriter, "write", write_badly)

    run_on(attempts, drain)
    drain.run()

    assert statuses_of(attempts) == ["COMPLETED", "FAILED", "COMPLETED", "COMPLETED"]
    reason = f"The block's result can't be recorded ({error.__name__})."
    assert outputs_of(ended(run)) == {"out": [1, 3, 4], "errors": [reason]}
    assert (run.status, run.node_error_count, charges(payer)) == (Status.COMPLETED, 1, [7] * 3)
    assert standing(payer.pk) == (79, 0, 0)


def test_one_fails_and_the_others_complete(payer: User, together: list[int], drain: Drain) -> None:
    run = start(payer, draw_fan("refuses"))

    run_on(begin_several(drain, [False, True, False, False]), drain)
    drain.run()

    assert together[0] == 3
    assert outputs_of(ended(run)) == {"out": [7] * 3, "errors": ["Never."]}
    assert (run.status, run.node_count, run.node_error_count) == (Status.COMPLETED, 9, 1)
    assert (charges(payer), standing(payer.pk)) == ([7] * 3, (79, 0, 0))


def test_one_fails_the_run_and_the_others_have_completed(payer: User, together: list[int], drain: Drain) -> None:
    run = start(payer, draw_fan("refuses", on_error="fail_run"))
    attempts = begin_several(drain, [False, True, False, False])

    run_on(attempts, drain)
    drain.run()

    assert statuses_of(attempts) == ["COMPLETED", "FAILED", "COMPLETED", "COMPLETED"]
    assert outputs_of(ended(run)) == {}
    assert (run.status, run.error, run.node_error_count) == (Status.FAILED, "“paid” failed: Never.", 1)
    assert (charges(payer), Hold.objects.count(), standing(payer.pk)) == ([7] * 3, 0, (79, 0, 0))


@pytest.mark.parametrize(("pin", "items"), [("seconds", [0, 0.01, 0, 0]), ("failures", [0, 1, 0, 0])])
def test_one_sleeps_or_is_tried_again_and_the_others_complete(
    payer: User, together: list[int], drain: Drain, pin: str, items: list[float]
) -> None:
    run = start(payer, draw_fan(pin))
    attempts = begin_several(drain, items)

    run_on(attempts, drain)
    meanwhile = statuses_of(attempts)
    drain.run()

    assert (together[0], meanwhile) == (3, ["COMPLETED", "SUSPENDED", "COMPLETED", "COMPLETED"])
    assert (outputs_of(ended(run)), run.status) == ({"out": [7] * 4}, Status.COMPLETED)
    assert row_of(attempts[1]).attempt == (2 if pin == "failures" else 1)
    assert (charges(payer), standing(payer.pk)) == ([7] * 4, (72, 0, 0))


def test_nothing_more_of_a_run_runs_that_is_stopped_and_nothing_of_it_is_recorded(
    payer: User, together: list[int], drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(payer, draw_fan())
    attempts = begin_several(drain, ITEMS)
    ran = stop_second(monkeypatch, lambda _claimed: stop_execution(execution_id=run.pk))

    run_on(attempts, drain)
    sweep_until_quiet(drain)

    assert ran == [attempt.claimed.id for attempt in attempts[:2]]
    assert (ended(run).status, statuses_of(attempts)) == (Status.TERMINATED, [Status.TERMINATED] * 4)
    assert not Output.objects.filter(node_execution__in=[attempt.claimed.id for attempt in attempts]).exists()
    assert (charges(payer), Hold.objects.count(), standing(payer.pk)) == ([], 0, (100, 0, 0))


def test_if_one_is_stopped_that_somebody_else_has_the_others_are_given_back(
    payer: User, together: list[int], drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Claimed] = []
    run = start(payer, draw_fan())
    attempts = begin_several(drain, ITEMS)
    ran = stop_second(monkeypatch, lambda claimed: taken.append(take_over(claimed)))

    run_on(attempts, drain)
    meanwhile = (statuses_of(attempts), [row_of(attempt).attempt for attempt in attempts])
    drain.send(record(taken[0], outputs=[("value", 2)], position=0, end=COMPLETED).ready)
    sweep_until_quiet(drain)

    assert meanwhile == (["COMPLETED", "RUNNING", "QUEUED", "QUEUED"], [1, 1, 0, 0])
    assert ran[:2] == [attempt.claimed.id for attempt in attempts[:2]]
    assert outputs_of(ended(run)) == {"out": ITEMS}
    assert (charges(payer), standing(payer.pk)) == ([7] * 4, (72, 0, 0))


def test_messages_are_sent_although_the_first_one_is_lost_before_it_begins(
    payer: User, together: list[int], drain: Drain
) -> None:
    start(payer, draw_fan())
    first, *others = begin_several(drain, ITEMS)
    message = Ready(id=uuid4(), queue="cpu", name="")
    first.unsent.append(message)
    first.is_lost = True

    run_plain([first, *others])

    assert message in drain.waiting
    assert statuses_of([first, *others]) == ["RUNNING", "COMPLETED", "COMPLETED", "COMPLETED"]


def take_over(claimed: Claimed) -> Claimed:
    """Let somebody else have the claim."""
    assert hand_back(Running(node_execution_id=claimed.id, execution_id=claimed.execution_id, token=claimed.token))
    other = claim_and_hold(claimed.id, lease_seconds=1000, token=uuid4())
    assert other is not None
    return other


def stop_second(monkeypatch: pytest.MonkeyPatch, happen: Callable[[Claimed], object]) -> list[UUID]:
    """Let something happen for which the second block that runs is stopped; return what begins to run."""
    ran: list[UUID] = []

    def prepare_or_stop(claimed: Claimed) -> Prepared:
        ran.append(claimed.id)
        if len(ran) == 2:
            happen(claimed)
            raise AttemptStoppedError
        return prepare(claimed)

    monkeypatch.setattr("execution.runner.prepare", prepare_or_stop)
    return ran
