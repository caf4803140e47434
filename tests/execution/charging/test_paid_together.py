"""Node executions that are claimed and recorded several at a time: each is paid before it runs, and once."""

from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from credits.auditing import find_faults
from credits.models import Hold
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, OnInsufficientCredits
from execution.preparation import Prepared, prepare
from execution.store.claims import Claimed
from execution.store.ready import Ready
from tests.credits.booking import give, set_balance, standing
from tests.execution.charging.paid_runs import charges, start, statuses
from tests.execution.drain import Drain
from tests.execution.going_on import sweep_until_quiet
from tests.execution.outages_of_sessions import Send
from tests.execution.paid_blocks import PAID
from tests.execution.small_graphs import STEP

pytestmark = pytest.mark.django_db(transaction=True)

ITEMS = 20
LACKS = "“paid” failed: Not enough credits: this needs 7, and {left} can be spent."
TOO_DEAR = (
    "“paid” failed: The run may cost {most} credits (max_cost): it has cost or holds {cost}, and this needs 7 more."
)


@pytest.fixture(autouse=True, params=[1, 100], ids=["held back", "opened"])
def window(request: pytest.FixtureRequest, settings: Settings) -> None:
    """What comes several at a time is held back, or opened as claimed."""
    settings.RUN_WINDOW = {"cpu": request.param, "io": request.param}


def fan_out(user: User, *, refuses: bool = False, **asked: Any) -> Execution:
    """A run of many node executions that cost 7 credits each, unless they fail."""
    nodes = {"step": (STEP, {"items": list(range(ITEMS))}), "paid": (PAID, {"refuses": refuses})}
    return start(user, nodes, ["step.item -> paid.value"], **asked)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[UUID, bool]]:
    """The claims that have run, and whether what they cost was set aside."""
    seen: list[tuple[UUID, bool]] = []

    def prepare_seen(claimed: Claimed) -> Prepared:
        seen.append((claimed.id, not claimed.is_paid or Hold.objects.filter(key=claimed.id).exists()))
        return prepare(claimed)

    monkeypatch.setattr("execution.runner.prepare", prepare_seen)
    return seen


def recover(drain: Drain) -> None:
    """Do as recovery does later: send what became ready with a commit of which nobody heard."""
    sweep_until_quiet(drain)
    lost = NodeExecution.objects.filter(status=Status.QUEUED, held_back=False)
    drain.send([Ready(id=each.pk, queue=each.queue, name="") for each in lost])
    sweep_until_quiet(drain)


def test_each_is_held_before_it_runs_and_charged_once(
    user: User, together: list[int], drain: Drain, ran: list[tuple[UUID, bool]]
) -> None:
    set_balance(user.pk, 1000)
    run = fan_out(user)

    drain.run()

    run.refresh_from_db()
    assert (run.status, run.cost, charges(user)) == (Status.COMPLETED, 7 * ITEMS, [7] * ITEMS)
    assert (len(ran), len({key for key, _ in ran}), all(is_held for _, is_held in ran)) == (ITEMS + 1, ITEMS + 1, True)
    assert (Hold.objects.count(), standing(user.pk), find_faults()) == (0, (1000 - 7 * ITEMS, 0, 0), ())
    assert max(together, default=0) == 8


@pytest.mark.parametrize(("balance", "max_cost"), [(20, None), (75, None), (1000, 20), (1000, 75)])
def test_what_can_be_paid_is_run_and_paid_before_the_run_fails(
    user: User, together: list[int], drain: Drain, balance: int, max_cost: int | None
) -> None:
    set_balance(user.pk, balance)
    payable, left = divmod(max_cost or balance, 7)
    run = fan_out(user, max_cost=max_cost)

    drain.run()

    run.refresh_from_db()
    reason = TOO_DEAR.format(most=max_cost, cost=7 * payable) if max_cost else LACKS.format(left=left)
    assert (run.status, run.error, run.cost) == (Status.FAILED, reason, 7 * payable)
    assert statuses(run) == {"COMPLETED": 1 + payable, "FAILED": 1, "TERMINATED": ITEMS - payable - 1}
    assert (charges(user), Hold.objects.count()) == ([7] * payable, 0)
    assert (standing(user.pk), find_faults()) == ((balance - 7 * payable, 0, 0), ())
    assert max(together, default=0) > 1


def test_what_cannot_be_paid_yet_is_parked_and_goes_on_later(
    user: User, together: list[int], drain: Drain, ran: list[tuple[UUID, bool]]
) -> None:
    set_balance(user.pk, 75)
    run = fan_out(user, on_insufficient_credits=OnInsufficientCredits.PARK)

    sweep_until_quiet(drain)
    parked = (statuses(run), charges(user), Hold.objects.count(), standing(user.pk))
    give(user.pk, 1000)
    sweep_until_quiet(drain)

    run.refresh_from_db()
    assert parked == ({"COMPLETED": 11, "SUSPENDED": ITEMS - 10}, [7] * 10, 0, (5, 0, 0))
    assert (run.status, charges(user), standing(user.pk)) == (Status.COMPLETED, [7] * ITEMS, (1075 - 7 * ITEMS, 0, 0))
    assert (len(ran), Hold.objects.count(), find_faults()) == (ITEMS + 1, 0, ())
    assert not NodeExecution.objects.exclude(attempt=1).exists()
    assert max(together, default=0) > 1


@pytest.mark.parametrize("balance", [7, 20])
def test_a_run_does_not_fail_for_what_is_set_aside_for_others_and_costs_nothing(
    user: User, together: list[int], drain: Drain, balance: int
) -> None:
    set_balance(user.pk, balance)
    run = fan_out(user, refuses=True)

    drain.run()

    run.refresh_from_db()
    assert (run.status, statuses(run)) == (Status.COMPLETED, {"COMPLETED": 1, "FAILED": ITEMS})
    assert (charges(user), Hold.objects.count(), standing(user.pk)) == ([], 0, (balance, 0, 0))


def test_all_is_run_and_charged_once_although_connections_break_at_the_commit(
    user: User, together: list[int], drain: Drain, losses: list[Send]
) -> None:
    set_balance(user.pk, 1000)
    run = fan_out(user)

    recover(drain)

    run.refresh_from_db()
    assert len(losses) > 0
    assert (run.status, run.cost, charges(user)) == (Status.COMPLETED, 7 * ITEMS, [7] * ITEMS)
    assert (Hold.objects.count(), standing(user.pk), find_faults()) == (0, (1000 - 7 * ITEMS, 0, 0), ())
    assert not NodeExecution.objects.exclude(attempt=1, losses=0).exists()


@pytest.mark.parametrize("balance", [7, 20])
def test_nor_does_a_run_fail_for_that_if_connections_break(
    user: User, together: list[int], drain: Drain, losses: list[Send], balance: int
) -> None:
    set_balance(user.pk, balance)
    run = fan_out(user, refuses=True)

    recover(drain)

    run.refresh_from_db()
    assert len(losses) > 0
    assert (run.status, statuses(run)) == (Status.COMPLETED, {"COMPLETED": 1, "FAILED": ITEMS})
    assert (charges(user), Hold.objects.count(), standing(user.pk)) == ([], 0, (balance, 0, 0))
