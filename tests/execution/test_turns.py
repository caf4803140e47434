"""Runs beyond a user's limit wait for their turn, whatever comes late or at once."""

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.services import resume_execution, stop_execution
from execution.store.claims import claim
from execution.store.ready import Ready
from tests.execution.damage import ECHO, run_until_a_sub_run_waits, start
from tests.execution.drain import Drain

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def one_at_a_time(settings: Settings) -> None:
    settings.MAX_CONCURRENT_RUNS_PER_USER = 1


def stands(run: Execution) -> tuple[str, bool]:
    run.refresh_from_db()
    return run.status, run.admitted


def let_wait(user: User, drain: Drain, run: Execution) -> tuple[Execution, list[Ready]]:
    """Stop a run, start another and resume the first, which then waits; return the other and the first's messages."""
    late, drain.waiting = drain.waiting, []
    stop_execution(execution_id=run.pk)
    other = start(user, ECHO)
    resume_execution(execution_id=run.pk)
    assert stands(run) == (Status.QUEUED, False)
    return other, late


def test_a_late_message_begins_no_run_that_waits_for_its_turn(user: User, drain: Drain) -> None:
    run = start(user, ECHO)
    other, (late,) = let_wait(user, drain, run)

    drain.run_one(late)

    assert stands(run) == (Status.QUEUED, False)
    assert NodeExecution.objects.get(execution=run).attempt == 0
    drain.run()
    assert [stands(each) for each in (other, run)] == [(Status.COMPLETED, True)] * 2


def test_a_late_message_of_its_sub_run_does_not_either(user: User, drain: Drain) -> None:
    run = run_until_a_sub_run_waits(user, drain)
    sub_run = Execution.objects.filter(root=run, status=Status.QUEUED).latest("pk")
    other, late = let_wait(user, drain, run)
    assert sub_run.node_executions.filter(pk__in=[each.id for each in late]).exists()

    for each in late:
        drain.run_one(each)

    assert stands(run) == (Status.QUEUED, False)
    assert not NodeExecution.objects.filter(execution__in=[run, sub_run], status=Status.RUNNING).exists()
    drain.run()
    assert [stands(each) for each in (other, run)] == [(Status.COMPLETED, True)] * 2


def test_a_late_message_may_take_what_is_held_back_in_a_run_whose_turn_has_come(user: User, drain: Drain) -> None:
    run = start(user, ECHO)
    NodeExecution.objects.update(held_back=True)

    assert claim(drain.waiting.pop().id, lease_seconds=10) is not None

    assert not NodeExecution.objects.get(execution=run).held_back
