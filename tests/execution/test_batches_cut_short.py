"""Several claims of one run that don't go together, or not to their end: nobody waits for a lease, or the sweeper."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from execution import runner
from execution.attempts import Attempt
from execution.beginning import begin_next
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.outcomes import fail
from execution.runner import run_plain
from execution.store.claims import claim, new_tokens
from execution.store.holding import claim_held_back_and_hold
from execution.store.parts import End
from execution.store.ready import Ready
from execution.store.taking import Taker
from graphs.exceptions import BlockError
from tests.execution.drain import Drain
from tests.execution.going_on import COMPLETED, always, begin_first
from tests.execution.keepers import CountingKeeper
from tests.execution.small_graphs import CONVERTER, INPUT, STEP, draw
from tests.execution.small_runs import start

pytestmark = pytest.mark.django_db(transaction=True)

STREAM = draw(
    {"step": (STEP, {"items": list(range(6))}), "to": (CONVERTER, {"type": "string"})}, ["step.item -> to.value"]
)
TWO = draw(
    {
        "a": (INPUT, {"name": "a", "value": 1}),
        "b": (INPUT, {"name": "b", "value": 2}),
        **{f"to {pin}": (CONVERTER, {"type": "string"}) for pin in "ab"},
    },
    [f"{pin}.result -> to {pin}.value" for pin in "ab"],
)


@pytest.fixture
def held_back(user: User, drain: Drain, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Execution:
    """A run that holds back six node executions of a block that isn't known to be quick."""
    settings.RUN_WINDOW = {"cpu": 2, "io": 2}
    run = start(user, STREAM)
    first = begin_first(drain)
    for item in range(6):
        first.emit("item", item)
    with monkeypatch.context() as patch:
        patch.setattr(Taker, "has_room_for", lambda *_: False)
        first.end(COMPLETED, taker=Taker(first.claimed, lease_seconds=1000))
    return run


def begin_both(user: User, drain: Drain, **metadata: Any) -> list[Attempt]:
    start(user, TWO, **metadata)
    return [begin_first(drain) for _ in range(2)]


def end_second(monkeypatch: pytest.MonkeyPatch, second: Attempt, error: BaseException) -> None:
    """Let something come out of the second attempt that no block's error should be."""
    outcome = runner._outcome

    def raise_in_second(attempt: Attempt, times: Any) -> End | None:
        if attempt is second:
            raise error
        return outcome(attempt, times)

    monkeypatch.setattr(runner, "_outcome", raise_in_second)


def count(status: Status) -> int:
    return NodeExecution.objects.filter(status=status).count()


def test_of_what_is_given_back_others_are_told(held_back: Execution, drain: Drain) -> None:
    (claimed,) = claim_held_back_and_hold(held_back.pk, run_id=held_back.pk, tokens=new_tokens(8), lease_seconds=1000)

    assert count(Status.QUEUED) == 5
    assert (claimed.run_holds_back, claimed.may_send_next) == (True, True)
    assert set(NodeExecution.objects.filter(status=Status.QUEUED).values_list("attempt", "token", "started_at")) == {
        (0, None, None)
    }


def test_they_are_sent_before_the_one_that_was_kept_is_run(
    held_back: Execution, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Taker, "most", 3)
    for sent in NodeExecution.objects.filter(status=Status.QUEUED, held_back=False):
        claim(sent.pk, lease_seconds=1000)
    (before,) = claim_held_back_and_hold(held_back.pk, run_id=held_back.pk, tokens=new_tokens(1), lease_seconds=1000)
    taker = Taker(before, lease_seconds=1000)
    taker.run_holds_back = True

    (attempt,) = begin_next(taker, publish=drain.send)

    assert len(attempt.unsent) == 2


def test_what_comes_out_of_one_is_no_reason_to_lose_the_others(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = begin_both(user, drain)
    end_second(monkeypatch, second, SystemExit(1))

    with pytest.raises(SystemExit):
        run_plain([first, second], goes_on=always)

    # Nobody goes on, so nothing was taken; of the second one nobody knows anything.
    assert (count(Status.COMPLETED), count(Status.QUEUED), count(Status.RUNNING)) == (1, 1, 1)
    assert len(drain.waiting) == 1


def test_what_has_not_begun_is_given_back(user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = begin_both(user, drain)
    end_second(monkeypatch, first, SystemExit(1))

    with pytest.raises(SystemExit):
        run_plain([first, second], goes_on=always)

    assert NodeExecution.objects.get(pk=second.claimed.id).status == Status.QUEUED
    assert [ready.id for ready in drain.waiting] == [second.claimed.id]


def test_nothing_is_taken_of_a_run_that_one_of_them_fails(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = begin_both(user, drain)
    Execution.objects.update(on_error="fail_run")
    outcome = runner._outcome

    def fail_second(attempt: Attempt, times: Any) -> End | None:
        if attempt is second:
            return fail(attempt, times, BlockError("no"))
        return outcome(attempt, times)

    monkeypatch.setattr(runner, "_outcome", fail_second)

    taker = run_plain([first, second], goes_on=always)

    assert (taker.claimed, taker.to_claim) == ([], [])
    assert not begin_next(taker, publish=drain.send)
    assert (count(Status.COMPLETED), count(Status.FAILED), count(Status.RUNNING)) == (1, 1, 0)


def test_nothing_stays_with_the_keeper_that_nobody_will_run(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = begin_both(user, drain)
    keeper = CountingKeeper()
    monkeypatch.setattr("execution.beginning.keeper", keeper)
    taker = Taker(first.claimed, lease_seconds=1000)
    taker.claimed = [first.claimed]
    taker.to_claim = [(Ready(id=second.claimed.id, queue="cpu", name=""), second.claimed.token)]

    def go_wrong(*_arguments: Any, **_options: Any) -> None:
        raise ValueError("anything")

    monkeypatch.setattr("execution.beginning.claim_and_hold", go_wrong)
    assert begin_next(taker, publish=drain.send) == []

    assert keeper.held == set()
