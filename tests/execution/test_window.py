"""The window of messages per run, and the limit on a user's concurrent runs."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.recovery import sweep
from execution.services import resume_execution, start_execution, stop_execution
from execution.store.messages import due_probes, note_passed, take_lost
from execution.store.window import FEW_MESSAGES
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import INPUT, OUTPUT, STEP, draw

pytestmark = pytest.mark.django_db(transaction=True)

ITEMS = 60
FAN_OUT = draw(
    {"step": (STEP, {"items": list(range(ITEMS))}), "out": (OUTPUT, {"name": "out"})}, ["step.item -> out.value"]
)
ECHO = draw({"in": (INPUT, {"name": "in", "value": 1}), "out": (OUTPUT, {"name": "out"})}, ["in.result -> out.value"])


@pytest.fixture(autouse=True)
def small_window(settings: Settings) -> None:
    settings.RUN_WINDOW = {"cpu": 8, "io": 8}


def start(user: User, document: dict[str, Any]) -> Execution:
    version = import_graph(owner=user, document=document).version
    return start_execution(user=user, version=version, input_data={})


def held_back() -> int:
    return NodeExecution.objects.filter(status=Status.QUEUED, held_back=True).count()


def sent() -> int:
    return NodeExecution.objects.filter(status=Status.QUEUED, held_back=False).count()


def test_a_large_run_never_has_more_messages_than_its_window(user: User, drain: Drain) -> None:
    run = start(user, FAN_OUT)
    most = 0

    while drain.waiting:
        drain.run_one(drain.waiting.pop(0))
        most = max(most, len(drain.waiting))
        assert len(drain.waiting) == sent() <= 8

    run.refresh_from_db()
    assert most == 8
    assert run.status == Status.COMPLETED
    assert run.output_count == ITEMS


def test_what_is_held_back_goes_in_the_order_in_which_it_was_opened(user: User, drain: Drain) -> None:
    start(user, FAN_OUT)

    drain.run()

    ordinals = NodeExecution.objects.order_by("claimed_at").values_list("ordinal", flat=True)
    assert list(ordinals)[1:] == list(range(ITEMS))


def test_another_run_waits_behind_one_window_only(user: User, drain: Drain) -> None:
    start(user, FAN_OUT)
    drain.run_one(drain.waiting.pop(0))
    small = start(user, ECHO)

    messages = 0
    while small.status != Status.COMPLETED:
        drain.run_one(drain.waiting.pop(0))
        small.refresh_from_db()
        messages += 1

    # Both of its nodes, each behind the other run's messages that were there before.
    assert messages <= 2 * (8 + 1)


def test_what_is_held_back_is_not_taken_for_lost(user: User, drain: Drain) -> None:
    start(user, FAN_OUT)
    drain.run_one(drain.waiting.pop(0))
    NodeExecution.objects.filter(held_back=False, status=Status.QUEUED).delete()
    note_passed(["cpu"])

    assert held_back() == ITEMS - 8
    assert due_probes(["cpu"], patience=0, interval=0) == []
    assert take_lost(patience=0, limit=100) == []


def test_the_sweeper_sends_what_everybody_forgot(user: User, drain: Drain) -> None:
    start(user, FAN_OUT)
    drain.run_one(drain.waiting.pop(0))
    for ready in list(drain.waiting):
        NodeExecution.objects.filter(pk=ready.id).update(held_back=True)
    drain.waiting.clear()

    sweep(drain.send)

    assert len(drain.waiting) == sent() == FEW_MESSAGES
    drain.run_one(drain.waiting.pop(0))
    assert len(drain.waiting) == sent() == 8


def test_a_run_that_is_resumed_keeps_to_its_window(user: User, drain: Drain) -> None:
    run = start(user, FAN_OUT)
    drain.run_one(drain.waiting.pop(0))
    stop_execution(execution_id=run.pk)
    drain.waiting.clear()

    resume_execution(execution_id=run.pk)

    assert len(drain.waiting) == sent() == 8
    drain.run()
    run.refresh_from_db()
    assert (run.status, run.output_count) == (Status.COMPLETED, ITEMS)


def test_runs_beyond_a_users_limit_wait_for_their_turn_and_come_in_order(
    user: User, drain: Drain, settings: Settings
) -> None:
    settings.MAX_CONCURRENT_RUNS_PER_USER = 2
    other = User.objects.create_user("other")

    runs = [start(user, ECHO) for _ in range(5)]
    of_other = start(other, ECHO)

    assert [run.admitted for run in runs] == [True, True, False, False, False]
    assert of_other.admitted
    assert len(drain.waiting) == 3
    drain.run()
    ended = list(Execution.objects.filter(user=user, status=Status.COMPLETED).order_by("started_at"))
    assert ended == runs


def test_a_run_that_is_stopped_makes_room_for_the_next(user: User, drain: Drain, settings: Settings) -> None:
    settings.MAX_CONCURRENT_RUNS_PER_USER = 1
    first, second, third = (start(user, ECHO) for _ in range(3))
    drain.waiting.clear()

    stop_execution(execution_id=second.pk)
    assert drain.waiting == []
    stop_execution(execution_id=first.pk)

    assert len(drain.waiting) == 1
    drain.run()
    third.refresh_from_db()
    assert third.status == Status.COMPLETED


def test_the_sweeper_admits_whom_everybody_forgot(user: User, drain: Drain, settings: Settings) -> None:
    settings.MAX_CONCURRENT_RUNS_PER_USER = 1
    start(user, ECHO)
    second = start(user, ECHO)
    drain.waiting.clear()
    settings.MAX_CONCURRENT_RUNS_PER_USER = 2

    sweep(drain.send)

    second.refresh_from_db()
    assert second.admitted
    assert len(drain.waiting) == 1


def test_runs_started_at_once_don_t_exceed_the_limit(user: User, drain: Drain, settings: Settings) -> None:
    settings.MAX_CONCURRENT_RUNS_PER_USER = 3
    version = import_graph(owner=user, document=ECHO).version

    def start_one(_number: int) -> bool:
        try:
            return start_execution(user=user, version=version, input_data={}).admitted
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        admitted = list(threads.map(start_one, range(16)))

    assert sum(admitted) == 3
    drain.run()
    assert Execution.objects.filter(status=Status.COMPLETED).count() == 16
