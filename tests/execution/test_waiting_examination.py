"""The doctor finds who waits without need, and lets all be who wait for their turn or for their tree's window."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.examination import examine
from execution.models import Execution, NodeExecution, QueueProbe
from execution.queue_examination import look_at_queues
from execution.queues import CPU_QUEUE, IO_QUEUE
from tests.execution.damage import (
    AN_HOUR_AGO,
    ASKING,
    ECHO,
    assert_found_and_mended,
    change_node,
    change_run,
    run_all,
    start,
)
from tests.execution.drain import Drain
from tests.execution.small_graphs import OUTPUT, STEP, draw

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_doctor")]

ITEMS = 20
FAN_OUT = draw(
    {"step": (STEP, {"items": list(range(ITEMS))}), "out": (OUTPUT, {"name": "out"})}, ["step.item -> out.value"]
)


@pytest.fixture(autouse=True)
def one_at_a_time(settings: Settings) -> None:
    settings.MAX_CONCURRENT_RUNS_PER_USER = 1


@pytest.fixture
def waits_for_its_turn(user: User, drain: Drain) -> Execution:
    """A run that has waited for an hour, behind one that waits for a person."""
    run_all(user, drain, ASKING)
    run = start(user, ECHO)
    change_node(run, "in", f"queued_at = {AN_HOUR_AGO}")
    assert (run.status, run.admitted) == (Status.QUEUED, False)
    return run


@pytest.fixture(params=[False, True], ids=["without workers", "with workers"])
def perhaps_listeners(request: pytest.FixtureRequest) -> None:
    if request.param:
        request.getfixturevalue("listeners")


@pytest.mark.usefixtures("waits_for_its_turn", "perhaps_listeners")
def test_a_queue_in_which_runs_only_wait_for_their_turn_is_healthy() -> None:
    assert examine() == []
    assert [(each.rows.queued, each.rows.held_back) for each in look_at_queues()] == [(0, 1), (0, 0)]


@pytest.mark.usefixtures("waits_for_its_turn")
def test_what_waits_for_its_turn_has_lost_no_message() -> None:
    now = timezone.now()
    QueueProbe.objects.create(queue=CPU_QUEUE, sent_at=now, passed=now, passed_at=now)
    QueueProbe.objects.update(passed_at=now - timedelta(minutes=30))

    assert examine() == []


def test_a_run_that_has_begun_before_its_turn_is_counted(waits_for_its_turn: Execution, drain: Drain) -> None:
    change_run(waits_for_its_turn, "status = 'RUNNING', started_at = clock_timestamp()")

    assert_found_and_mended({"begun_too_soon"}, subject=waits_for_its_turn.pk)

    drain.run()
    waits_for_its_turn.refresh_from_db()
    assert waits_for_its_turn.status == Status.COMPLETED


def test_a_run_whose_turn_nobody_saw_gets_it(waits_for_its_turn: Execution, drain: Drain, settings: Settings) -> None:
    settings.MAX_CONCURRENT_RUNS_PER_USER = 2

    assert_found_and_mended({"turn_missed"}, subject=waits_for_its_turn.pk)

    drain.run()
    waits_for_its_turn.refresh_from_db()
    assert waits_for_its_turn.status == Status.COMPLETED


def test_what_a_tree_holds_back_in_vain_is_sent(user: User, drain: Drain, settings: Settings) -> None:
    settings.RUN_WINDOW = {CPU_QUEUE: 8, IO_QUEUE: 8}
    run = start(user, FAN_OUT)
    drain.run_one(drain.waiting.pop(0))
    queued = NodeExecution.objects.filter(execution=run, status=Status.QUEUED)
    queued.update(queued_at=timezone.now() - timedelta(hours=1))
    assert {each.check.name for each in examine()} == {"queue_without_workers"}
    queued.update(held_back=True)
    drain.waiting.clear()

    assert_found_and_mended({"held_back_in_vain"}, subject=run.pk)

    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED
