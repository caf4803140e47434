"""A process goes on with a run in place: for its time in any case, and for longer while nobody else waits for one."""

import time
from types import SimpleNamespace
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.models import NodeExecution
from execution.stay import LONGEST, Stay
from execution.tasks import execute_node
from tests.execution.drain import Drain
from tests.execution.going_on import begin_first
from tests.execution.small_graphs import CONVERTER, INPUT, OUTPUT, draw
from tests.execution.small_runs import ended, outputs_of, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("long_time")]

SECONDS = 1000.0
TEXT = (CONVERTER, {"type": "string"})
OUT = (OUTPUT, {"name": "out"})
ONE = draw({"in": (INPUT, {"name": "in", "value": 1})})


@pytest.fixture
def long_time(settings: Settings) -> None:
    """The time that a process has doesn't run out while a test lasts."""
    settings.RUN_IN_PLACE_SECONDS = SECONDS


@pytest.fixture
def tree_id(user: User, drain: Drain) -> UUID:
    """A run of which a process has claimed all there is."""
    start(user, ONE)
    return begin_first(drain).claimed.tree_id


def has_been_in(tree_id: UUID, *, times: float) -> Stay:
    """A process has been in this tree of runs for so many times its time."""
    return Stay(tree_id, since=time.monotonic() - times * SECONDS)


def test_nobody_is_asked_while_it_has_time(user: User, tree_id: UUID) -> None:
    start(user, ONE)

    with CaptureQueriesContext(connection) as asked:
        assert has_been_in(tree_id, times=0.9).goes_on()

    assert not asked.captured_queries


def test_it_goes_on_while_nobody_waits_and_asks_once_each_time(tree_id: UUID) -> None:
    stay = has_been_in(tree_id, times=1.1)

    with CaptureQueriesContext(connection) as asked:
        assert stay.goes_on()
        assert stay.goes_on()

    assert len(asked.captured_queries) == 1


def test_it_leaves_if_another_run_waits(user: User, tree_id: UUID) -> None:
    start(user, ONE)

    stay = has_been_in(tree_id, times=1.1)

    assert not stay.goes_on()
    # Nor does it come back when that has found a process.
    NodeExecution.objects.filter(status=Status.QUEUED).delete()
    assert not stay.goes_on()


def test_it_leaves_if_another_run_waits_in_the_backlog(user: User, tree_id: UUID) -> None:
    start(user, ONE)
    NodeExecution.objects.filter(status=Status.QUEUED).update(is_backlog=True)

    assert not has_been_in(tree_id, times=1.1).goes_on()


def test_what_waits_for_other_processes_is_no_reason_to_leave(user: User, tree_id: UUID) -> None:
    start(user, ONE)
    NodeExecution.objects.filter(status=Status.QUEUED).update(queue="io")

    assert has_been_in(tree_id, times=1.1).goes_on()


def test_what_is_held_back_elsewhere_is_no_reason_to_leave(user: User, tree_id: UUID) -> None:
    start(user, ONE)
    NodeExecution.objects.filter(status=Status.QUEUED).update(held_back=True)

    assert has_been_in(tree_id, times=1.1).goes_on()


def test_what_waits_in_its_own_tree_is_no_reason_to_leave(user: User, drain: Drain) -> None:
    """Who leaves may come back for that."""
    start(user, draw({name: (INPUT, {"name": name, "value": 1}) for name in "ab"}))
    tree_id = begin_first(drain).claimed.tree_id
    assert NodeExecution.objects.filter(status=Status.QUEUED, held_back=False).exists()

    assert has_been_in(tree_id, times=1.1).goes_on()


def test_it_leaves_in_the_end(tree_id: UUID) -> None:
    assert has_been_in(tree_id, times=LONGEST - 0.1).goes_on()
    assert not has_been_in(tree_id, times=LONGEST).goes_on()


def test_the_time_that_is_added_ends_with_the_longest(tree_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    stay = Stay(tree_id, since=now)
    clock = iter([(LONGEST - 0.1) * SECONDS, (LONGEST + 0.1) * SECONDS])
    monkeypatch.setattr("execution.stay.time", SimpleNamespace(monotonic=lambda: now + next(clock)))

    assert stay.goes_on()
    assert not stay.goes_on()


def test_a_message_leads_on_as_long_as_there_is_time(user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("execution.tasks.send", drain.send)
    arrows = ["in.result -> b.value", "b.value -> out.value"]
    run = start(user, draw({"in": (INPUT, {"name": "in", "value": 1}), "b": TEXT, "out": OUT}, arrows))
    (message,) = drain.waiting

    execute_node(str(message.id))

    assert outputs_of(ended(run)) == {"out": ["1"]}
    assert drain.waiting == [message]


def test_without_time_all_comes_by_messages(tree_id: UUID, settings: Settings) -> None:
    settings.RUN_IN_PLACE_SECONDS = 0

    assert not Stay(tree_id, since=time.monotonic()).goes_on()


@pytest.mark.parametrize("error", [OperationalError("the connection is lost"), RuntimeError("anything")])
def test_it_leaves_if_it_can_not_see_who_waits(
    tree_id: UUID, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def raise_error(*_: object, **__: object) -> bool:
        raise error

    monkeypatch.setattr("execution.stay.do_others_wait", raise_error)

    assert not has_been_in(tree_id, times=1.1).goes_on()
