"""A run is watched while it runs."""

import time

import pytest
from django.contrib.auth.models import User

from execution.models import Execution
from execution.progress import RunWatch
from execution.services import start_execution
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import ASK, CALCULATOR, INPUT, OUTPUT, draw

pytestmark = pytest.mark.django_db(transaction=True)

ADDING = draw(
    {
        "in": (INPUT, {"name": "Number"}),
        "add": (CALCULATOR, {"operation": "Add", "b": 1}),
        "out": (OUTPUT, {"name": "Sum"}),
    },
    ["in.result -> add.a", "add.result -> out.value"],
)


def start(user: User, **inputs: object) -> Execution:
    return start_execution(user=user, version=import_graph(owner=user, document=ADDING).version, input_data=inputs)


def test_each_look_tells_what_has_changed_since_the_last(user: User, drain: Drain) -> None:
    run = start(user, Number=1)
    with RunWatch(run.pk) as watch:
        assert watch.look().changes == ()
        drain.run_one(drain.waiting.pop())
        first = watch.look()
        drain.run()
        second = watch.look()
        third = watch.look()

    assert [(change.name, change.status) for change in first.changes] == [("in", "COMPLETED")]
    assert [(change.name, change.status) for change in second.changes] == [("add", "COMPLETED"), ("out", "COMPLETED")]
    assert third.changes == ()
    assert (first.has_ended, second.has_ended, second.ended, second.unfinished) == (False, True, 3, 0)


def test_an_error_is_told(user: User, drain: Drain) -> None:
    run = start(user, Number="one")
    drain.run()

    with RunWatch(run.pk) as watch:
        progress = watch.look()

    (failed,) = [change for change in progress.changes if change.status == "FAILED"]
    assert failed.name == "add"
    assert "Invalid inputs" in failed.error
    assert progress.errors == 1


def test_what_stands_still_is_told_once(user: User, drain: Drain) -> None:
    document = draw({"ask": (ASK, {"name": "Letter", "data": 1})})
    run = start_execution(user=user, version=import_graph(owner=user, document=document).version, input_data={})
    drain.run()

    with RunWatch(run.pk) as watch:
        looks = [watch.look() for _ in range(3)]

    assert [[change.status for change in look.changes] for look in looks] == [["REVIEW"], [], []]


def test_a_wait_ends_with_the_run(user: User, drain: Drain) -> None:
    run = start(user, Number=1)
    with RunWatch(run.pk) as watch:
        drain.run()
        before = time.monotonic()
        watch.wait(60)

    assert time.monotonic() - before < 30


def test_the_end_of_another_run_ends_no_wait(user: User, drain: Drain) -> None:
    run = start(user, Number=1)
    drain.waiting.clear()
    with RunWatch(run.pk) as watch:
        start(user, Number=2)
        drain.run()
        before = time.monotonic()
        watch.wait(0.2)

    assert time.monotonic() - before >= 0.2


def test_a_watch_is_used_in_a_with_block() -> None:
    with pytest.raises(RuntimeError):
        RunWatch(Execution().pk).wait(0)
