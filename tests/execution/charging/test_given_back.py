"""Claims of which it can't be told whether they may run: whatever goes wrong, they are given back, and run once."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, ProgrammingError
from pytest_django import Settings
from structlog.testing import capture_logs

from credits.models import Hold
from execution import beginning
from execution.attempts import Attempt
from execution.beginning import begin_next, begin_with_others
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.store import holding
from execution.store.claims import Claimed, claim, claim_held_back
from execution.store.holding import InputsAwayError
from execution.store.ready import Ready
from execution.store.taking import Taker
from tests.credits.booking import set_balance
from tests.execution.charging.paid_runs import charges, start
from tests.execution.drain import Drain
from tests.execution.going_on import COMPLETED, begin_first, sweep_until_quiet
from tests.execution.keepers import CountingKeeper
from tests.execution.outages_of_sessions import break_connection
from tests.execution.paid_blocks import PAID
from tests.execution.small_runs import ended

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("paid_blocks", "quick_blocks")]

COUNT = 4
Break = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture
def run(user: User, drain: Drain) -> Execution:
    """A run that can be paid, and of which nothing has begun."""
    set_balance(user.pk, 100)
    return start(user, {f"n{number}": (PAID, {}) for number in range(COUNT)})


@pytest.fixture
def taker(run: Execution, drain: Drain) -> Taker:
    """Who has recorded the end of the run's first node execution; the others are held back."""
    attempt = begin_first(drain)
    drain.waiting.clear()
    NodeExecution.objects.filter(status=Status.QUEUED).update(held_back=True)
    taker = Taker(attempt.claimed, lease_seconds=1000)
    attempt.end(COMPLETED, taker=taker)
    taker.run_holds_back = True
    return taker


def run_nothing(*_arguments: Any, **_options: Any) -> Any:
    raise RuntimeError("anything")


def once(error: BaseException, function: Callable[..., Any], *, after: bool = False) -> Callable[..., Any]:
    """Return a function that goes wrong the first time: at once, or after its work was done."""
    failures: Iterator[BaseException] = iter([error])

    def work(*arguments: Any, **options: Any) -> Any:
        failure = next(failures, None)
        if failure and not after:
            raise failure
        found = function(*arguments, **options)
        if failure:
            raise failure
        return found

    return work


def lose_the_answer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(holding, "claim_held_back", once(OperationalError("lost"), claim_held_back, after=True))


def break_the_connection(patch: pytest.MonkeyPatch) -> None:
    hold_all, failures = holding._hold_all, iter(["once"])

    def hold_or_break(claims: Any) -> Any:
        if next(failures, None):
            break_connection()
        return hold_all(claims)

    patch.setattr(holding, "_hold_all", hold_or_break)


def hold_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(holding, "_hold_all", once(OperationalError("deadlock detected"), holding._hold_all))


def take_the_storage_away(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(holding, "_hold_all", once(InputsAwayError("not now"), holding._hold_all))


def keep_too_many(patch: pytest.MonkeyPatch) -> None:
    """Those that don't go together with the first one can't be given back at once."""
    patch.setattr(holding, "_count_that_go_together", lambda _claims: 1)
    patch.setattr(holding, "unclaim", once(OperationalError("lost"), holding.unclaim))


def interrupt(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(holding, "_hold_all", once(SystemExit(), holding._hold_all))


BREAKS = [lose_the_answer, break_the_connection, hold_nothing, take_the_storage_away, keep_too_many]


def lose_the_first_answer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(holding, "claim", once(OperationalError("lost"), claim, after=True))


def queued() -> list[tuple[bool, int, Any]]:
    found = NodeExecution.objects.filter(status=Status.QUEUED)
    return list(found.values_list("held_back", "attempt", "token"))


def charged_once(run: Execution, drain: Drain) -> bool:
    """Whether all of the run is run once, in the end, and charged once."""
    sweep_until_quiet(drain)
    assert ended(run).status == Status.COMPLETED
    assert not NodeExecution.objects.exclude(attempt=1, losses=0).exists()
    return charges(run.user) == [7] * COUNT and not Hold.objects.exists()


@pytest.mark.parametrize("go_wrong", BREAKS)
def test_what_was_held_back_is_held_back_again(
    run: Execution, taker: Taker, drain: Drain, monkeypatch: pytest.MonkeyPatch, go_wrong: Break
) -> None:
    go_wrong(monkeypatch)

    assert begin_next(taker, publish=drain.send) == []

    assert NodeExecution.objects.filter(status=Status.RUNNING).count() == 0
    assert Hold.objects.count() == 0
    # Others are called at once, without the sweeper.
    assert drain.waiting
    assert charged_once(run, drain)


@pytest.mark.parametrize("go_wrong", [*BREAKS, lose_the_first_answer])
def test_one_that_comes_by_a_message_is_run_alone_then(
    run: Execution, drain: Drain, monkeypatch: pytest.MonkeyPatch, go_wrong: Break
) -> None:
    message = drain.waiting.pop(0)
    go_wrong(monkeypatch)

    (attempt,) = begin_with_others(message.id, publish=drain.send)

    assert attempt.claimed.id == message.id
    assert [each[1:] for each in queued()] == [(0, None)] * (COUNT - 1)
    assert Hold.objects.count() == 1
    attempt.end(COMPLETED)
    assert charged_once(run, drain)


def test_they_are_given_back_as_soon_as_the_database_can_be_reached(
    run: Execution, taker: Taker, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_nothing(monkeypatch)
    away = once(OperationalError("away"), once(OperationalError("still away"), holding.unclaim_held))
    monkeypatch.setattr(beginning, "unclaim_held", away)

    assert begin_next(taker, publish=drain.send) == []

    assert [each[1:] for each in queued()] == [(0, None)] * (COUNT - 1)
    assert charged_once(run, drain)


def test_if_that_takes_too_long_their_leases_run_out(
    taker: Taker, drain: Drain, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    hold_nothing(monkeypatch)
    settings.LEASE_SECONDS = 0.1

    def be_away(_tokens: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(beginning, "unclaim_held", be_away)
    with capture_logs() as logs:
        assert begin_next(taker, publish=drain.send) == []

    assert "can't tell whether there are claims; their leases would run out" in [line["event"] for line in logs]
    assert NodeExecution.objects.filter(status=Status.RUNNING).count() == COUNT - 1


def test_they_are_given_back_if_nothing_can_be_released(
    run: Execution, taker: Taker, drain: Drain, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.MOST_AT_ONCE = 2
    monkeypatch.setattr(beginning, "_release", once(ProgrammingError("no such thing"), beginning._release))

    taker.unsent = (Ready(id=uuid4(), queue="cpu", name=""),)
    with pytest.raises(ProgrammingError):
        begin_next(taker, publish=drain.send)

    assert len(queued()) == COUNT - 1
    assert drain.waiting == [*taker.unsent]
    assert charged_once(run, drain)


def test_nobody_looks_after_what_is_given_back(
    run: Execution, taker: Taker, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = CountingKeeper()
    monkeypatch.setattr(beginning, "keeper", keeper)
    monkeypatch.setattr(beginning, "_is_refused", once(SystemExit(), beginning._is_refused))

    with pytest.raises(SystemExit):
        begin_next(taker, publish=drain.send)

    assert keeper.held == set()
    assert charged_once(run, drain)


def test_who_finds_nothing_of_what_it_was_to_claim_sees_to_the_window(taker: Taker, drain: Drain) -> None:
    taker.to_claim = [(Ready(id=uuid4(), queue="cpu", name=""), uuid4())]

    assert begin_next(taker, publish=drain.send) == []

    assert drain.waiting


def test_what_is_given_back_is_given_back_however_the_process_ends(
    run: Execution, taker: Taker, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch)

    with pytest.raises(SystemExit):
        begin_next(taker, publish=drain.send)

    assert [each[1:] for each in queued()] == [(0, None)] * (COUNT - 1)
    assert charged_once(run, drain)


def test_what_was_claimed_with_a_record_is_given_back_if_another_claim_goes_wrong(
    run: Execution, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (claim(message.id, lease_seconds=1000) for message in drain.waiting[:2])
    assert first and second
    drain.waiting.clear()
    taker = Taker(first, lease_seconds=1000)
    taker.to_claim = [(Ready(id=each.id, queue="cpu", name=""), each.token) for each in (first, second)]
    monkeypatch.setattr(beginning, "_put_off_unpaid", run_nothing)

    assert begin_next(taker, publish=drain.send) == []

    assert [each[1:] for each in queued()] == [(0, None)] * COUNT
    assert drain.waiting
    monkeypatch.undo()


def test_a_refusal_that_can_never_be_recorded_does_not_keep_others_from_running(
    run: Execution, taker: Taker, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, refused = Attempt.end, NodeExecution.objects.filter(status=Status.QUEUED).earliest("id").pk

    def end_but_for_one(attempt: Attempt, *arguments: Any, **options: Any) -> None:
        if attempt.claimed.id == refused:
            raise RuntimeError("anything")
        end(attempt, *arguments, **options)

    def find_price(claimed: Claimed) -> Claimed:
        return replace(claimed, refusal="no") if claimed.id == refused else find(claimed)

    find = holding._find_price
    monkeypatch.setattr(holding, "_find_price", find_price)
    monkeypatch.setattr(Attempt, "end", end_but_for_one)

    attempts = begin_next(taker, publish=drain.send)

    assert len(attempts) == COUNT - 2
    # Its lease runs out, and that counts: it doesn't go round for ever.
    assert NodeExecution.objects.get(status=Status.RUNNING, pk=refused).attempt == 1
    assert refused not in {attempt.claimed.id for attempt in attempts}
