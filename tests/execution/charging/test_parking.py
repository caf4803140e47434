"""Runs that wait for credits, hold no worker, and go on by themselves."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F

from credits.price_list import set_price
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, OnInsufficientCredits
from execution.recovery import sweep
from execution.store.parking import REPRICED_AFTER_SECONDS, queue_what_can_be_paid
from tests.credits.booking import give, set_balance, standing
from tests.execution.charging.paid_runs import charges, save, start, statuses
from tests.execution.drain import Drain
from tests.execution.paid_blocks import PAID
from tests.execution.small_graphs import ASK, INPUT, OUTPUT

AGENT = "e189baac-8c20-45a1-94a7-55177ea42565"

pytestmark = pytest.mark.django_db(transaction=True)


def test_who_can_not_pay_keeps_nobody_else_waiting(payer: User, drain: Drain) -> None:
    broke = User.objects.create_user("broke")
    set_balance(broke.pk, 1)
    start(broke, {"a": (PAID, {}), "b": (PAID, {})}, on_insufficient_credits=OnInsufficientCredits.PARK)
    drain.run()
    set_balance(payer.pk, 1)
    waiting = start(payer, {"a": (PAID, {})}, on_insufficient_credits=OnInsufficientCredits.PARK)
    drain.run()
    give(payer.pk, 100)

    assert queue_what_can_be_paid(limit=1) == [waiting.pk]


def test_a_run_may_wait_for_a_top_up_without_a_worker(user: User, drain: Drain) -> None:
    set_balance(user.pk, 10)
    run = start(
        user,
        {"a": (PAID, {"value": 5}), "b": (PAID, {}), "out": (OUTPUT, {"name": "Out"})},
        ["a.value -> b.value", "b.value -> out.value"],
        on_insufficient_credits=OnInsufficientCredits.PARK,
    )
    drain.run()
    waiting = statuses(run)
    sweep(drain.send)
    still_waiting = (statuses(run), list(drain.waiting), Execution.objects.get(pk=run.pk).status)

    give(user.pk, 4)
    sweep(drain.send)
    drain.run()

    run.refresh_from_db()
    assert waiting == {"COMPLETED": 1, "SUSPENDED": 1}
    assert still_waiting == (waiting, [], Status.RUNNING)
    assert (run.status, run.cost) == (Status.COMPLETED, 14)
    assert NodeExecution.objects.filter(execution=run, attempt=1).count() == 3
    assert standing(user.pk) == (0, 0, 0)


def test_a_top_up_lets_no_more_go_on_than_it_pays(user: User, drain: Drain) -> None:
    set_balance(user.pk, 1)
    nodes: dict[str, Any] = {f"n{number}": (PAID, {}) for number in range(5)}
    run = start(user, nodes, on_insufficient_credits=OnInsufficientCredits.PARK)
    drain.run()

    give(user.pk, 20)
    sweep(drain.send)
    sent = len(drain.waiting)
    drain.run()

    assert sent == 3
    assert statuses(run) == {"COMPLETED": 3, "SUSPENDED": 2}


def test_all_wait_for_credits_although_few_messages_are_sent(user: User, drain: Drain) -> None:
    set_balance(user.pk, 1)
    nodes: dict[str, Any] = {f"n{number}": (PAID, {}) for number in range(20)}
    run = start(user, nodes, on_insufficient_credits=OnInsufficientCredits.PARK)

    for ready in iter(lambda: next(iter(drain.waiting), None), None):
        drain.waiting.remove(ready)
        drain.run_one(ready)

    assert statuses(run) == {"SUSPENDED": 20}


def park(user: User, drain: Drain, **asked: Any) -> Execution:
    """A run whose one node execution waits for 7 credits, of which there are 2."""
    set_balance(user.pk, 2)
    run = start(user, {"a": (PAID, {})}, on_insufficient_credits=OnInsufficientCredits.PARK, **asked)
    drain.run()
    return run


def pass_time(seconds: float) -> None:
    """Let all that runs have begun so much earlier."""
    gone = timedelta(seconds=seconds)
    for run in Execution.objects.all():
        columns = {name: F(name) - gone for name in ("started_at", "recorded_at", "limits_from")}
        Execution.objects.filter(pk=run.pk).update(**columns)
    NodeExecution.objects.update(claimed_at=F("claimed_at") - gone)


def sweep_and_drain(drain: Drain) -> None:
    sweep(drain.send)
    drain.run()


def test_what_has_become_cheaper_goes_on_without_a_top_up(user: User, drain: Drain) -> None:
    run = park(user, drain)
    set_price(block_id=PAID, costs=[{"amount": 2}], reason="On sale.")
    sweep_and_drain(drain)
    soon = statuses(run)

    pass_time(REPRICED_AFTER_SECONDS + 1)
    sweep_and_drain(drain)

    assert soon == {"SUSPENDED": 1}
    assert (statuses(run), charges(user)) == ({"COMPLETED": 1}, [2])


def test_what_has_become_dearer_waits_for_the_new_price(user: User, drain: Drain) -> None:
    run = park(user, drain)
    set_price(block_id=PAID, costs=[{"amount": 9}], reason="Dearer.")
    give(user.pk, 5)
    sweep_and_drain(drain)
    waiting = (statuses(run), NodeExecution.objects.get().needs_credits, standing(user.pk))

    give(user.pk, 2)
    sweep_and_drain(drain)

    assert waiting == ({"SUSPENDED": 1}, 9, (7, 0, 0))
    assert (statuses(run), charges(user)) == ({"COMPLETED": 1}, [9])


@pytest.mark.parametrize("limits", [{"max_duration": 50}, {"idle_limit": 50}])
def test_limits_of_time_do_not_hold_while_a_run_waits_and_count_anew_afterwards(
    user: User, drain: Drain, limits: dict[str, float]
) -> None:
    set_balance(user.pk, 2)
    nodes = {"a": (PAID, {}), "ask": (ASK, {"name": "?"})}
    version = save(user, nodes, ["a.value -> ask.data"], **limits)
    run = start(user, version, on_insufficient_credits=OnInsufficientCredits.PARK)
    drain.run()

    pass_time(100)
    sweep_and_drain(drain)
    waiting = Execution.objects.get(pk=run.pk).status
    give(user.pk, 100)
    sweep_and_drain(drain)
    pass_time(45)
    sweep_and_drain(drain)
    going_on = Execution.objects.get(pk=run.pk).status
    pass_time(6)
    sweep_and_drain(drain)

    run.refresh_from_db()
    assert (waiting, going_on, run.status) == (Status.RUNNING, Status.RUNNING, Status.FAILED)
    assert "its limit of 50 s" in run.error or "for 50 s (idle_limit)" in run.error
    assert (charges(user), standing(user.pk)) == ([7], (95, 0, 0))


def test_the_runs_above_have_no_limits_either(user: User, drain: Drain) -> None:
    set_balance(user.pk, 2)
    below = save(user, {"in": (INPUT, {"name": "Number"}), "paid": (PAID, {})}, ["in.result -> paid.value"])
    agent = {
        "graph_id": str(below.graph_id),
        "graph_version": 1,
        "inputs": {"Number": 1},
        "input_schema": {"type": "object", "properties": {"Number": {}}, "required": ["Number"]},
        "output_schema": {"type": "object", "properties": {}},
    }
    run = start(user, {"agent": (AGENT, agent)}, on_insufficient_credits=OnInsufficientCredits.PARK, max_duration=50)
    drain.run()

    pass_time(100)
    sweep_and_drain(drain)
    waiting = Execution.objects.get(pk=run.pk).status
    give(user.pk, 100)
    sweep_and_drain(drain)

    assert waiting == Status.RUNNING
    assert set(Execution.objects.values_list("status", flat=True)) == {Status.COMPLETED}
