"""A process that goes on with what it made ready itself pays for each node execution, once."""

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from credits.models import Hold
from execution.engine.statuses import Status
from tests.credits.booking import set_balance
from tests.execution.charging.paid_runs import charges, start
from tests.execution.drain import Drain
from tests.execution.paid_blocks import PAID, PAID_ASYNC
from tests.execution.small_graphs import INPUT, OUTPUT, STEP
from tests.execution.small_runs import outputs_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("goes_on")]


def test_paid_ones_are_charged_once_each(user: User, drain: Drain) -> None:
    set_balance(user.pk, 100)
    nodes = {"in": (INPUT, {"name": "in", "value": 1}), **{f"paid {number}": (PAID, {}) for number in range(5)}}
    arrows = [f"paid {number}.value -> paid {number + 1}.value" for number in range(4)]
    run = start(user, nodes, ["in.result -> paid 0.value", *arrows])

    assert drain.run() == 1

    assert charges(user) == [7] * 5
    assert not Hold.objects.exists()
    run.refresh_from_db()
    assert run.cost == 5 * 7


@pytest.mark.parametrize("block", [PAID, PAID_ASYNC])
def test_what_a_process_may_not_claim_itself_is_sent(user: User, drain: Drain, settings: Settings, block: str) -> None:
    set_balance(user.pk, 1000)
    settings.RUN_WINDOW = {"cpu": 4, "io": 4}
    nodes = {"step": (STEP, {"items": list(range(30))}), "each": (block, {}), "out": (OUTPUT, {"name": "out"})}
    run = start(user, nodes, ["step.item -> each.value", "each.value -> out.value"])

    while drain.waiting:
        # No sweep: nothing may be left lying for it.
        drain.run_one(drain.waiting.pop(0))

    run.refresh_from_db()
    assert run.status == Status.COMPLETED
    assert sorted(outputs_of(run)["out"]) == list(range(30))


def test_each_is_counted_for_the_fee(user: User, drain: Drain, settings: Settings) -> None:
    settings.NODE_EXECUTIONS_PER_CREDIT = 3
    set_balance(user.pk, 100)
    nodes = {"in": (INPUT, {"name": "in", "value": 1}), **{f"paid {number}": (PAID, {}) for number in range(6)}}
    arrows = [f"paid {number}.value -> paid {number + 1}.value" for number in range(5)]
    run = start(user, nodes, ["in.result -> paid 0.value", *arrows])

    assert drain.run() == 1

    run.refresh_from_db()
    user.credit_account.refresh_from_db()
    assert (run.node_count, user.credit_account.node_executions) == (7, 7)
    assert sorted(charges(user)) == [2, *[7] * 6]
