"""Recording while the database comes and goes: nothing is lost, nothing is written twice."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db import InterfaceError, OperationalError, connection
from pytest_django import Settings

from execution import attempts, keeping
from execution.attempts import Attempt
from execution.beginning import begin
from execution.engine.statuses import Status
from execution.keeping import ClaimLostError, Keeper
from execution.models import Execution, NodeExecution, Output, RunOutput
from execution.places import Running
from execution.run_files import FilesOfRun
from execution.services import start_execution
from execution.store import holding
from execution.store.claims import claim, renew_leases
from execution.store.losses import hand_back
from execution.store.parts import End
from execution.store.ready import Ready
from execution.store.recording import Recorded, record
from graphs.services import import_graph
from tests.config.processes import wait_until
from tests.execution.drain import Drain
from tests.execution.keepers import working_keeper
from tests.execution.outages_of_sessions import break_connection
from tests.execution.small_graphs import INPUT, OUTPUT, draw

pytestmark = pytest.mark.django_db(transaction=True)

COMPLETED = End(status=Status.COMPLETED)
Failure = Callable[..., Recorded]


def before_commit(times: int) -> Failure:
    """Record, but lose the connection before anything is written, so often."""
    left = iter(range(times))

    def fail(*arguments: Any, **options: Any) -> Recorded:
        if next(left, None) is not None:
            break_connection()
        return record(*arguments, **options)

    return fail


def after_commit(times: int) -> Failure:
    """Record, but never hear of the commit, so often."""
    left = iter(range(times))

    def fail(*arguments: Any, **options: Any) -> Recorded:
        recorded = record(*arguments, **options)
        if next(left, None) is not None:
            connection.close()
            raise OperationalError("server closed the connection unexpectedly")
        return recorded

    return fail


@pytest.fixture
def sent() -> list[Ready]:
    return []


@pytest.fixture
def attempt(user: User, drain: Drain, sent: list[Ready]) -> Iterator[Attempt]:
    """An attempt at an INPUT node that leads to an output."""
    document = draw({"in": (INPUT, {"name": "in"}), "out": (OUTPUT, {"name": "out"})}, ["in.result -> out.value"])
    version = import_graph(owner=user, document=document).version
    start_execution(user=user, version=version, input_data={"in": 1})
    claimed = claim(drain.waiting.pop().id, lease_seconds=1000)
    assert claimed is not None
    yield Attempt(claimed, sent.extend)
    connection.close()


def emitted() -> list[Any]:
    return list(Output.objects.order_by("position").values_list("value", flat=True))


@pytest.mark.parametrize("failure", [before_commit(3), after_commit(1)])
def test_outputs_are_recorded_once_although_the_connection_breaks(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, failure: Failure
) -> None:
    monkeypatch.setattr(attempts, "record", failure)

    attempt.emit("result", "a")
    attempt.flush()
    attempt.emit("result", "b")
    attempt.end(COMPLETED)

    assert emitted() == ["a", "b"]
    assert NodeExecution.objects.filter(status=Status.QUEUED).count() == 2
    assert NodeExecution.objects.get(pk=attempt.claimed.id).status == Status.COMPLETED


@pytest.mark.parametrize("failure", [before_commit(2), after_commit(1)])
def test_an_end_is_recorded_once_although_the_connection_breaks(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, failure: Failure
) -> None:
    monkeypatch.setattr(attempts, "record", failure)

    attempt.emit("result", "a")
    attempt.end(COMPLETED)

    assert emitted() == ["a"]
    assert Execution.objects.get().node_count == 1
    assert Execution.objects.get().unfinished == 1


def test_what_was_emitted_while_a_commit_was_in_doubt_is_recorded_after_it(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "record", after_commit(1))
    attempt.emit("result", "a")
    with pytest.raises(OperationalError):
        attempt.see_to_what_waits()

    attempt.emit("result", "b")
    attempt.end(COMPLETED)

    assert emitted() == ["a", "b"]


def test_who_flushes_while_the_end_is_recorded_finds_nothing_left_to_do(attempt: Attempt) -> None:
    attempt.emit("result", "a")
    attempt.end(COMPLETED)

    attempt.see_to_what_waits()

    assert not attempt.is_lost
    assert emitted() == ["a"]


def test_whose_claim_was_taken_over_while_a_commit_was_in_doubt_records_nothing_more(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any, **_options: Any) -> Recorded:
        claimed = attempt.claimed
        hand_back(Running(node_execution_id=claimed.id, execution_id=claimed.execution_id, token=claimed.token))
        raise InterfaceError("connection already closed")

    monkeypatch.setattr(attempts, "record", fail)
    attempt.emit("result", "a")

    with pytest.raises(ClaimLostError):
        attempt.end(COMPLETED)

    assert emitted() == []
    assert NodeExecution.objects.get().status == Status.QUEUED


def test_who_waits_too_long_for_the_database_gives_up_quietly(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.RECORD_PATIENCE_SECONDS = 0.3
    monkeypatch.setattr(attempts, "record", before_commit(1000))
    attempt.emit("result", "a")

    with pytest.raises(ClaimLostError):
        attempt.end(COMPLETED)

    assert attempt.is_lost


def test_a_claim_of_which_nobody_heard_is_ours_and_counts_once(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_answer(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr("execution.beginning.claim_and_hold", holding.claim_and_hold)
        holding.claim_and_hold(*arguments, **options)
        connection.close()
        raise OperationalError("server closed the connection unexpectedly")

    document = draw({"in": (INPUT, {"name": "in"}), "out": (OUTPUT, {"name": "out"})}, ["in.result -> out.value"])
    version = import_graph(owner=user, document=document).version
    start_execution(user=user, version=version, input_data={"in": 1})
    monkeypatch.setattr("execution.beginning.claim_and_hold", lose_answer)

    begun = begin(drain.waiting.pop().id, publish=lambda _ready: None)

    assert begun is not None
    assert begun.claimed.attempt == NodeExecution.objects.get().attempt == 1
    begun.end(COMPLETED)
    assert NodeExecution.objects.get().status == Status.COMPLETED


def test_a_run_is_undisturbed_by_connections_that_break_all_the_time(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(1000))

    def fail(*arguments: Any, **options: Any) -> Recorded:
        return (record, before_commit(1), after_commit(1))[next(calls) % 3](*arguments, **options)

    monkeypatch.setattr(attempts, "record", fail)
    names = [f"in {number}" for number in range(6)]
    document = draw(
        {name: (INPUT, {"name": name, "value": name}) for name in names} | {"out": (OUTPUT, {"name": "out"})},
        [f"{name}.result -> out.value" for name in names],
    )
    version = import_graph(owner=user, document=document).version
    run = start_execution(user=user, version=version, input_data={})

    while not Execution.objects.filter(ended_at__isnull=False).exists():
        drain.run()
        # What became ready in a commit of which nobody heard is sent by recovery.
        _send_queued(drain, run)

    assert sorted(str(each.value) for each in RunOutput.objects.all()) == names
    # An OUTPUT node emits its value and its name.
    assert (NodeExecution.objects.count(), Output.objects.count()) == (12, 18)


def _send_queued(drain: Drain, run: Execution) -> None:
    queued = NodeExecution.objects.filter(execution=run, status=Status.QUEUED)
    drain.send([Ready(id=each.pk, queue=each.queue, name="") for each in queued])


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    """A keeper with its threads, which have no database session and nothing to do once the test is over."""
    with working_keeper([attempts], monkeypatch) as keeper:
        yield keeper


def test_leases_are_renewed_while_the_broker_does_not_answer(
    attempt: Attempt, keeper: Keeper, settings: Settings
) -> None:
    settings.LEASE_SECONDS = 0.3
    is_sending, may_go_on = threading.Event(), threading.Event()

    def send(_ready: Sequence[Ready]) -> None:
        is_sending.set()
        may_go_on.wait(60)

    def lease() -> datetime | None:
        return NodeExecution.objects.get(pk=attempt.claimed.id).lease_until

    sending = Attempt(attempt.claimed, send)
    keeper.hold(sending)
    sending.emit("result", "a")

    assert is_sending.wait(20)
    lease_before = lease()
    try:
        assert wait_until(lambda: lease() != lease_before)
    finally:
        keeper.let_go(sending)
        may_go_on.set()


def test_leases_are_renewed_after_what_nobody_expects(
    attempt: Attempt, keeper: Keeper, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LEASE_SECONDS = 0.3
    failures = iter([ValueError("unexpected")])
    is_renewed = threading.Event()

    def fail_once(tokens: Collection[UUID], *, lease_seconds: float) -> set[UUID]:
        for error in failures:
            raise error
        held = renew_leases(tokens, lease_seconds=lease_seconds)
        is_renewed.set()
        return held

    monkeypatch.setattr(keeping, "renew_leases", fail_once)
    keeper.hold(attempt)
    try:
        assert is_renewed.wait(20)
    finally:
        keeper.let_go(attempt)


@pytest.mark.parametrize("ends", [False, True])
def test_a_large_value_is_written_once_however_often_it_is_tried(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    breaks = iter(range(3))

    def be_away(*arguments: Any, **options: Any) -> Recorded:
        if next(breaks, None) is not None:
            with suppress(OperationalError):
                break_connection()
        return record(*arguments, **options)

    monkeypatch.setattr(attempts, "record", be_away)
    attempt.emit("result", "a" * 2 * settings.LARGE_VALUE_BYTES)

    if ends:
        attempt.end(COMPLETED)
    else:
        attempt.flush()

    files = FilesOfRun(user_id=str(attempt.claimed.user_id), execution_id=attempt.claimed.execution_id)
    assert len(default_storage.listdir(f"{files.folder}/values")[1]) == 1
