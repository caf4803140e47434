"""Attempts that wait for others: for their turn, or with their ends. What takes too long is seen to meanwhile."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DataError, OperationalError, connection
from pytest_django import Settings

from credits.models import Hold
from execution import attempts as attempts_module
from execution import beginning, runner
from execution.attempts import PATIENCE_WITH_OTHERS, Attempt
from execution.engine.statuses import Status
from execution.joint_records import record_ends
from execution.keeping import ClaimLostError, Keeper
from execution.models import Execution, NodeExecution, Output
from execution.runner import run_plain
from execution.store.recording import Recorded, record
from tests.config.processes import wait_until
from tests.credits.booking import set_balance, standing
from tests.execution.charging.paid_runs import charges
from tests.execution.drain import Drain
from tests.execution.failing_blocks import GATE
from tests.execution.failing_blocks import MODULES as FAILING_BLOCKS
from tests.execution.going_on import COMPLETED, begin_several, run_on
from tests.execution.keepers import working_keeper
from tests.execution.lock_waits import do_beside
from tests.execution.paid_blocks import PAID
from tests.execution.small_graphs import CONVERTER, OUTPUT, STEP, draw
from tests.execution.small_runs import ended, outputs_of, start

pytestmark = pytest.mark.django_db(transaction=True)

FAN = draw(
    {"step": (STEP, {"items": []}), "to": (CONVERTER, {"type": "string"}), "out": (OUTPUT, {"name": "out"})},
    ["step.item -> to.value", "to.value -> out.value"],
)


@pytest.fixture
def run(user: User, drain: Drain) -> Execution:
    return start(user, FAN)


@pytest.fixture
def several(run: Execution, together: list[int], drain: Drain) -> list[Attempt]:
    """Three attempts that were claimed at once."""
    return begin_several(drain, ["0", "1", "2"])


def row_of(attempt: Attempt) -> NodeExecution:
    return NodeExecution.objects.get(pk=attempt.claimed.id)


def emitted(attempt: Attempt) -> list[Any]:
    outputs = Output.objects.filter(node_execution=attempt.claimed.id).order_by("position")
    return list(outputs.values_list("value", flat=True))


def test_what_waits_is_due_after_a_while(several: list[Attempt], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = several
    before, expected = time.monotonic(), list[float]()
    monkeypatch.setattr("execution.attempts.keeper.expect", expected.append)

    second.wait_for_turn()
    first.emit("value", "0")
    first.keep_end(COMPLETED)

    for waiting in (first, second):
        assert waiting.due_at is not None
        assert before < waiting.due_at - PATIENCE_WITH_OTHERS < time.monotonic()
        assert waiting.due_at in expected
    assert third.due_at is None
    second.take_turn()
    assert second.due_at is None


def test_who_waits_for_its_turn_too_long_is_given_back_as_if_nobody_had_claimed_it(
    several: list[Attempt], drain: Drain, run: Execution
) -> None:
    first, second, third = several
    second.wait_for_turn()
    third.wait_for_turn()

    second.see_to_what_waits()

    row = row_of(second)
    assert (row.status, row.attempt, row.token, row.lease_until, row.started_at) == (Status.QUEUED, 0, None, None, None)
    assert (second.is_lost, second.due_at) == (True, None)
    with pytest.raises(ClaimLostError):
        second.take_turn()
    # The window has room for it.
    assert ([ready.id for ready in drain.waiting], row.held_back) == ([row.pk], False)
    run_on([first, third], drain)
    drain.run()  # no sweep
    assert outputs_of(ended(run)) == {"out": ["0", "1", "2"]}
    assert not NodeExecution.objects.exclude(attempt=1, losses=0).exists()


def test_what_is_given_back_waits_for_the_window_like_everything_else(
    several: list[Attempt], drain: Drain, run: Execution, settings: Settings
) -> None:
    settings.RUN_WINDOW = {"cpu": 1, "io": 1}
    first, second, third = several
    for attempt in (second, third):
        attempt.wait_for_turn()

    second.see_to_what_waits()
    third.see_to_what_waits()

    assert (row_of(second).held_back, row_of(third).held_back) == (False, True)
    assert [ready.id for ready in drain.waiting] == [second.claimed.id]
    run_on([first], drain)
    drain.run()  # no sweep
    assert outputs_of(ended(run)) == {"out": ["0", "1", "2"]}


def test_nothing_stays_set_aside_for_what_is_given_back(
    user: User, paid_blocks: None, together: list[int], drain: Drain
) -> None:
    set_balance(user.pk, 100)
    run = start(user, draw({"step": (STEP, {"items": []}), "paid": (PAID, {})}, ["step.item -> paid.value"]))
    first, second, third = begin_several(drain, [0, 1, 2])
    second.wait_for_turn()
    before = standing(user.pk)

    second.see_to_what_waits()

    assert (before, standing(user.pk)) == ((100, 21, 0), (100, 14, 0))
    assert set(Hold.objects.values_list("key", flat=True)) == {first.claimed.id, third.claimed.id}
    run_on([first, third], drain)
    drain.run()
    assert (ended(run).cost, charges(user), standing(user.pk)) == (21, [7] * 3, (79, 0, 0))


def test_who_has_begun_is_not_given_back(several: list[Attempt]) -> None:
    _, second, _ = several
    second.wait_for_turn()
    second.take_turn()

    second.give_back()
    second.see_to_what_waits()

    assert (row_of(second).status, second.is_lost) == (Status.RUNNING, False)


def test_who_was_lost_while_it_waited_does_not_begin(several: list[Attempt]) -> None:
    _, second, _ = several
    second.wait_for_turn()
    second.is_lost = True

    second.give_back()

    with pytest.raises(ClaimLostError):
        second.take_turn()
    assert row_of(second).status == Status.RUNNING


def test_an_end_that_has_waited_too_long_is_recorded_once(
    several: list[Attempt], together: list[int], drain: Drain
) -> None:
    first, second, _ = several
    for number, attempt in enumerate((first, second)):
        attempt.emit("value", str(number))
        attempt.keep_end(COMPLETED)

    first.see_to_what_waits()
    seen_to = (row_of(first).status, row_of(second).status, first.is_done, second.is_done, first.due_at)
    first.see_to_what_waits()
    record_ends([first, second], taker=None)

    assert seen_to == (Status.COMPLETED, Status.RUNNING, True, False, None)
    assert (row_of(second).status, together) == (Status.COMPLETED, [1])
    assert [emitted(attempt) for attempt in (first, second)] == [["0"], ["1"]]
    assert (first.is_lost, second.is_lost) == (False, False)
    # What became ready with each was sent once.
    assert len({ready.id for ready in drain.waiting}) == len(drain.waiting) == 2


def test_an_end_that_is_kept_while_outputs_are_recorded_waits_on(
    several: list[Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = several

    def end_meanwhile(*arguments: Any, **options: Any) -> Recorded:
        monkeypatch.setattr(attempts_module, "record", record)
        recorded = record(*arguments, **options)
        first.emit("value", "b")
        first.keep_end(COMPLETED)
        return recorded

    monkeypatch.setattr(attempts_module, "record", end_meanwhile)
    first.emit("value", "a")

    first.see_to_what_waits()
    waits_on = (row_of(first).status, first.is_done, first.due_at is not None)
    record_ends([first], taker=None)

    assert waits_on == (Status.RUNNING, False, True)
    assert (row_of(first).status, emitted(first)) == (Status.COMPLETED, ["a", "b"])


def test_an_end_is_not_recorded_before_the_outputs_that_came_before_it(
    several: list[Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = several

    @contextmanager
    def end_at_this_moment() -> Iterator[None]:
        monkeypatch.undo()
        first.emit("value", "b")
        first.keep_end(COMPLETED)
        yield

    first.emit("value", "a")
    # What is to be recorded has been taken by then.
    monkeypatch.setattr(attempts_module, "alarm_held_back", end_at_this_moment)
    with suppress(ClaimLostError):
        first.see_to_what_waits()
    record_ends([first], taker=None)

    assert (row_of(first).status, emitted(first)) == (Status.COMPLETED, ["a", "b"])


def test_who_sees_to_an_end_while_it_is_recorded_finds_nothing_left_to_do(several: list[Attempt]) -> None:
    first, *_ = several
    first.emit("value", "a")
    first.keep_end(COMPLETED)
    first.end(COMPLETED)

    first.see_to_what_waits()

    assert (first.is_lost, first.due_at, emitted(first)) == (False, None, ["a"])


def test_an_end_of_whose_commit_nobody_heard_is_recorded_once(
    several: list[Attempt], together: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = several

    def record_unheard(*arguments: Any, **options: Any) -> Recorded:
        monkeypatch.setattr(attempts_module, "record", record)
        record(*arguments, **options)
        connection.close()
        raise OperationalError("server closed the connection unexpectedly")

    for attempt in (first, second):
        attempt.emit("value", "a")
        attempt.keep_end(COMPLETED)
    monkeypatch.setattr(attempts_module, "record", record_unheard)
    with pytest.raises(OperationalError):
        first.see_to_what_waits()

    record_ends([first, second], taker=None)
    left_out = first.is_done
    first.see_to_what_waits()
    record_ends([first, second], taker=None)

    # It was in doubt, so the others were recorded without it.
    assert (left_out, first.is_done, first.is_lost) == (False, True, False)
    assert (together, emitted(first), emitted(second)) == ([1], ["a"], ["a"])


def test_what_the_database_refuses_is_forgotten_although_somebody_tries_to_record_it_just_now(
    several: list[Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = several
    forgets = threading.Thread(target=first.drop_gathered)

    def refuse(*_arguments: Any, **_options: Any) -> Recorded:
        forgets.start()
        forgets.join(timeout=0.2)  # it has to wait, which can only be seen by waiting
        raise DataError("invalid input syntax for type json")

    monkeypatch.setattr(attempts_module, "record", refuse)
    first.emit("value", "a")

    with pytest.raises(DataError):
        first.see_to_what_waits()

    forgets.join(timeout=20)
    assert first.due_at is None


@pytest.fixture
def keeper(together: list[int], settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    """A keeper with its threads, which have no database session and nothing to do once the test is over."""
    settings.LEASE_SECONDS = 0.3
    # Who is to begin before this is over does.
    monkeypatch.setattr(attempts_module, "PATIENCE_WITH_OTHERS", 1.0)
    with working_keeper([attempts_module, beginning, runner], monkeypatch) as keeper:
        yield keeper


def test_nobody_waits_behind_a_block_that_is_not_as_quick_as_it_should_be(
    user: User, drain: Drain, keeper: Keeper, settings: Settings, tmp_path: Path
) -> None:
    settings.BLOCK_MODULES = FAILING_BLOCKS
    marks, closed, gates = tmp_path / "marks", tmp_path / "closed", [tmp_path / name for name in ("a", "closed", "b")]
    for gate in gates:
        gate.touch()
    closed.unlink()
    nodes: dict[str, Any] = {
        "step": (STEP, {"items": []}),
        "gate": (GATE, {"value": 1, "mark": str(marks)}),
        "out": (OUTPUT, {"name": "out"}),
    }
    run = start(user, draw(nodes, ["step.item -> gate.gate", "gate.after -> out.value"]))
    attempts = begin_several(drain, [str(gate) for gate in gates])
    done, slow, waiting = attempts

    with do_beside(lambda: run_plain(attempts)):
        try:
            assert wait_until(lambda: (row_of(done).status, row_of(waiting).status) == ("COMPLETED", "QUEUED"))
            meanwhile = (row_of(slow).status, marks.read_text().count("\n"))
        finally:
            closed.touch()
    drain.run()  # no sweep

    assert meanwhile == (Status.RUNNING, 2)
    assert (row_of(done).attempt, row_of(waiting).attempt) == (1, 1)
    assert outputs_of(ended(run)) == {"out": [1, 1, 1]}
    assert marks.read_text().count("\n") == 3
