"""What is run ahead is charged as if it had been recorded one by one: nobody gets what there are no credits for."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from credits.auditing import find_faults
from credits.models import Hold
from execution.engine.statuses import Status
from tests.credits.booking import set_balance, standing
from tests.execution.charging.paid_runs import charges
from tests.execution.drain import Drain
from tests.execution.paid_blocks import PAID, TALKING
from tests.execution.running_ahead import Ahead, has_orphans
from tests.execution.small_graphs import CALCULATOR, CONVERTER, INPUT, OUTPUT, draw
from tests.execution.small_runs import ended, outputs_of, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("paid_blocks")]

Node = tuple[str, dict[str, Any]]

OUT: Node = (OUTPUT, {"name": "out"})

# Two that are claimed at once. What comes of the first costs far more than the 5 credits that are set aside for it, so
# that there is nothing left for what comes of that.
TALKERS: dict[str, Node] = {
    "in": (INPUT, {"name": "in", "value": 1}),
    "a": (CALCULATOR, {"operation": "Add", "b": 2_000_000}),
    "b": (CALCULATOR, {"operation": "Add", "b": 1}),
    "first": (TALKING, {}),
    "second": (TALKING, {}),
    "out": OUT,
}
TALK = ["in.result -> a.a", "in.result -> b.a", "a.result -> first.items", "first.value -> second.items"]
TALK += ["second.value -> out.value"]


@pytest.mark.parametrize("most", [1, 8])
def test_nothing_is_set_aside_before_what_came_before_is_charged(
    user: User, drain: Drain, ahead: Ahead, settings: Settings, most: int
) -> None:
    settings.MOST_AT_ONCE = most
    set_balance(user.pk, 12)
    run = start(user, draw(TALKERS, TALK))

    drain.run()

    assert (ended(run).status, charges(user), outputs_of(run)) == (Status.FAILED, [2_000_002], {})
    assert "“second” failed: Not enough credits: this needs 5" in run.error
    assert (standing(user.pk), Hold.objects.count(), has_orphans(), find_faults()) == ((0, 0, 1_999_990), 0, False, ())


@pytest.mark.parametrize("most", [1, 8])
def test_no_run_goes_on_beyond_its_limit(user: User, drain: Drain, ahead: Ahead, settings: Settings, most: int) -> None:
    settings.MOST_AT_ONCE = most
    set_balance(user.pk, 10_000_000)
    run = start(user, draw(TALKERS, TALK), max_cost=12)

    drain.run()

    assert (ended(run).status, run.cost, outputs_of(run)) == (Status.FAILED, 12, {})
    assert "The run may cost 12 credits (max_cost)" in run.error
    assert (charges(user), Hold.objects.count(), has_orphans(), find_faults()) == ([12], 0, False, ())


def test_what_cannot_be_paid_has_not_been_run(user: User, drain: Drain, ahead: Ahead) -> None:
    """What it costs goes by what has been delivered before."""
    set_balance(user.pk, 20)
    nodes: dict[str, Node] = {
        "size": (CONVERTER, {"type": "string", "value": "large"}),
        "other": (PAID, {"value": 3}),
        "join": (PAID, {}),
        "out": OUT,
    }
    run = start(user, draw(nodes, ["size.value -> join.size", "other.value -> join.value", "join.value -> out.value"]))

    drain.run()

    assert (ahead.in_vain, ended(run).status) == ([["other", "join", "out"]], Status.FAILED)
    assert (run.cost, charges(user), outputs_of(run)) == (7, [7], {})
    assert (standing(user.pk), Hold.objects.count(), has_orphans()) == ((13, 0, 0), 0, False)
