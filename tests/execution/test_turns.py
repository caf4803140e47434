"""Runs beyond a user's limit wait for their turn, whatever comes late or at once."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from psycopg import Connection
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.recovery import sweep
from execution.services import resume_execution, stop_execution
from execution.store.admission import _ADMISSION_LOCK, _LOCK
from execution.store.claims import claim
from execution.store.ready import Ready
from tests.execution.damage import ECHO, change_run, run_until_a_sub_run_waits, start
from tests.execution.drain import Drain
from tests.execution.lock_waits import session_beside

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def one_at_a_time(settings: Settings) -> None:
    settings.MAX_CONCURRENT_RUNS_PER_USER = 1


@pytest.fixture
def other() -> Iterator["Connection[Any]"]:
    with session_beside() as session:
        yield session


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


def test_a_run_that_was_begun_before_its_turn_gets_it(user: User, drain: Drain) -> None:
    run = start(user, ECHO)
    other, _ = let_wait(user, drain, run)
    change_run(run, "status = 'RUNNING', started_at = clock_timestamp()")

    drain.run()

    assert [stands(each) for each in (other, run)] == [(Status.COMPLETED, True)] * 2


def test_the_sweeper_gives_it_its_turn_too(user: User, drain: Drain, settings: Settings) -> None:
    run = start(user, ECHO)
    let_wait(user, drain, run)
    change_run(run, "status = 'RUNNING', started_at = clock_timestamp()")
    settings.MAX_CONCURRENT_RUNS_PER_USER = 2

    sweep(drain.send)

    assert stands(run) == (Status.RUNNING, True)


def test_runs_admitted_at_once_don_t_exceed_the_limit(
    user: User, drain: Drain, settings: Settings, other: "Connection[Any]"
) -> None:
    """One is just being started in the place that became free; nobody can see it yet."""
    ended, waiting = start(user, ECHO), start(user, ECHO)
    change_run(ended, "status = 'COMPLETED', ended_at = clock_timestamp()")
    other.execute(_LOCK.definition)
    other.execute(_LOCK.call, {"lock": _ADMISSION_LOCK, "users": [user.pk]})

    sweep(drain.send)
    assert stands(waiting) == (Status.QUEUED, False)

    other.execute("ROLLBACK")
    sweep(drain.send)
    assert stands(waiting) == (Status.QUEUED, True)


def test_who_ends_a_run_waits_for_nobody_who_starts_one(user: User, drain: Drain, other: "Connection[Any]") -> None:
    ended, waiting = start(user, ECHO), start(user, ECHO)
    other.execute(_LOCK.definition)
    other.execute(_LOCK.call, {"lock": _ADMISSION_LOCK, "users": [user.pk]})

    stop_execution(execution_id=ended.pk)

    assert stands(ended) == (Status.TERMINATED, True)
    assert stands(waiting) == (Status.QUEUED, False)
    other.execute("ROLLBACK")
    sweep(drain.send)
    assert stands(waiting) == (Status.QUEUED, True)


def test_who_ends_a_run_keeps_nobody_from_starting_one_if_none_waits(
    user: User, drain: Drain, other: "Connection[Any]"
) -> None:
    run = start(user, ECHO)

    with transaction.atomic():
        stop_execution(execution_id=run.pk)
        assert other.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_ADMISSION_LOCK, user.pk]).fetchone() == (
            True,
        )
