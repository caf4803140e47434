"""What is run ahead while something goes wrong: the run is stopped, the database goes away, a block is slow."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DataError, OperationalError
from pytest_django import Settings

from credits.auditing import find_faults
from credits.models import Hold
from execution import attempts as attempts_module
from execution import beginning, outlook, runner
from execution.engine.statuses import Status
from execution.interruptions import AttemptStoppedError
from execution.keeping import Keeper
from execution.large_values import ValueWriter
from execution.models import Execution, NodeExecution, Output
from execution.places import Running
from execution.runner import run_plain
from execution.services import stop_execution
from execution.store.losses import hand_back
from execution.store.opening import open_claim
from tests.config.processes import wait_until
from tests.credits.booking import set_balance, standing
from tests.execution.charging.paid_runs import charges
from tests.execution.drain import Drain
from tests.execution.failing_blocks import GATE
from tests.execution.going_on import always, begin_first, sweep_until_quiet
from tests.execution.keepers import working_keeper
from tests.execution.lock_waits import do_beside
from tests.execution.outages_of_sessions import Send, break_commits, lose_answer, lose_commit
from tests.execution.paid_blocks import MODULES, PAID
from tests.execution.running_ahead import Ahead, has_orphans
from tests.execution.small_graphs import CONVERTER, OUTPUT, draw
from tests.execution.small_runs import ended, outputs_of, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("paid_blocks")]

NAMES = [f"p{number}" for number in range(5)]
CHAIN = draw(
    {**dict.fromkeys(NAMES, (PAID, {"value": 1})), "out": (OUTPUT, {"name": "out"})},
    [*(f"{one}.value -> {other}.value" for one, other in pairwise(NAMES)), "p4.value -> out.value"],
)


@pytest.fixture
def payer(user: User) -> User:
    set_balance(user.pk, 100)
    return user


def all_is_paid_once(run: Execution, payer: User) -> bool:
    found = (ended(run).status, run.cost, run.node_count, charges(payer), standing(payer.pk), outputs_of(run))
    assert found == (Status.COMPLETED, 35, 6, [7] * 5, (65, 0, 0), {"out": [1]})
    assert not NodeExecution.objects.exclude(attempt=1, losses=0).exists()
    return not (Hold.objects.exists() or find_faults() or has_orphans())


def nothing_is_left_of(run: Execution, payer: User) -> bool:
    statuses = list(NodeExecution.objects.filter(execution=ended(run)).values_list("status", flat=True))
    assert (run.status, statuses, run.cost) == (Status.TERMINATED, [Status.TERMINATED], 0)
    assert (charges(payer), standing(payer.pk)) == ([], (100, 0, 0))
    return not (Hold.objects.exists() or Output.objects.exists() or find_faults())


def test_nothing_is_recorded_of_a_run_that_is_stopped(payer: User, drain: Drain, ahead: Ahead) -> None:
    """Who runs ahead may not hear of it."""
    run = start(payer, CHAIN)
    ahead.happen["p2"] = lambda: stop_execution(execution_id=run.pk)

    sweep_until_quiet(drain)

    assert (ahead.claimed, ahead.unclaimed, ahead.records) == (["p0"], [*NAMES[1:], "out"], [])
    assert nothing_is_left_of(run, payer)


def test_nothing_more_is_run_ahead_by_who_hears_of_it(payer: User, drain: Drain, ahead: Ahead) -> None:
    run = start(payer, CHAIN)

    def stop() -> None:
        stop_execution(execution_id=run.pk)
        raise AttemptStoppedError

    ahead.happen["p2"] = stop

    sweep_until_quiet(drain)

    assert (ahead.claimed, ahead.unclaimed, ahead.records) == (["p0"], ["p1", "p2"], [])
    assert nothing_is_left_of(run, payer)


@pytest.mark.parametrize("hears", [True, False])
def test_nothing_is_recorded_by_who_has_lost_the_claim(payer: User, drain: Drain, ahead: Ahead, *, hears: bool) -> None:
    run = start(payer, CHAIN)
    attempt = begin_first(drain)

    def take_away() -> None:
        claimed = attempt.claimed
        running = Running(node_execution_id=claimed.id, execution_id=claimed.execution_id, token=claimed.token)
        drain.send(hand_back(running))
        if hears:
            raise AttemptStoppedError

    ahead.happen["p2"] = take_away
    run_plain([attempt], goes_on=always)
    meanwhile = (attempt.is_lost, run.node_executions.count(), charges(payer))
    sweep_until_quiet(drain)

    assert meanwhile == (True, 1, [])
    assert all_is_paid_once(run, payer)


@pytest.fixture
def breaks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Send]:
    """How connections broke so far: whenever what was run ahead is recorded, instead of the commit or after it."""
    return break_commits(request.param, of=lambda names: "open_done" in names, monkeypatch=monkeypatch)


@pytest.mark.parametrize("breaks", [lose_commit, lose_answer], indirect=True)
def test_all_is_recorded_and_charged_once_although_the_connection_breaks(
    payer: User, drain: Drain, ahead: Ahead, breaks: list[Send]
) -> None:
    run = start(payer, CHAIN)

    drain.run()  # no sweep

    # Nobody heard of what was recorded with it, so it is no matter whether it was.
    is_lost = breaks[0] is lose_commit
    assert len(breaks) == (5 if is_lost else 1)
    assert ahead.claimed == ([*NAMES, "out"] if is_lost else ["p0"])
    assert all_is_paid_once(run, payer)


@pytest.mark.parametrize("error", [ValueError, DataError])
def test_a_result_that_cannot_be_recorded_fails_its_node_only(
    payer: User, drain: Drain, ahead: Ahead, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    run = start(
        payer, draw({"in": (CONVERTER, {"type": "number", "value": "1"}), "a": (PAID, {})}, ["in.value -> a.value"])
    )
    write = ValueWriter.write

    def write_badly(writer: ValueWriter, value: Any) -> str:
        if value == 1 and isinstance(value, int):
            if error is ValueError:
                raise ValueError("It has no JSON form.")
            return "no JSON"
        return write(writer, value)

    monkeypatch.setattr(ValueWriter, "write", write_badly)

    drain.run()

    statuses = list(NodeExecution.objects.order_by("opened_at").values_list("status", flat=True))
    assert (ended(run).status, statuses) == (Status.COMPLETED, ["COMPLETED", "FAILED"])
    assert ahead.records == [["in"], ["a"]]
    assert (run.node_error_count, charges(payer), Hold.objects.count(), has_orphans()) == (1, [], 0, False)


def test_the_first_one_is_recorded_although_the_next_cannot_be_foreseen(
    payer: User, drain: Drain, ahead: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The price of what comes is asked for in the database, which may be away."""
    run = start(payer, CHAIN)

    def be_away(*_arguments: Any, **_options: Any) -> None:
        monkeypatch.setattr(outlook, "open_claim", open_claim)
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(outlook, "open_claim", be_away)

    with suppress(OperationalError):
        drain.run()
    assert ahead.records[0] == ["p0"]
    sweep_until_quiet(drain)

    assert all_is_paid_once(run, payer)


@pytest.fixture
def keeper(drain: Drain, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    """A keeper with its threads, which have no database session and nothing to do once the test is over."""
    with working_keeper([attempts_module, beginning, runner], monkeypatch) as keeper:
        yield keeper


def test_an_end_does_not_wait_for_a_slow_one_that_is_run_ahead(  # noqa: PLR0917 - fixtures
    payer: User, drain: Drain, ahead: Ahead, keeper: Keeper, settings: Settings, tmp_path: Path
) -> None:
    settings.BLOCK_MODULES = [*MODULES, "tests.execution.failing_blocks"]
    marks, gate = tmp_path / "marks", tmp_path / "gate"
    nodes: dict[str, Any] = {
        "in": (PAID, {"value": 1}),
        "a": (PAID, {}),
        "gate": (GATE, {"mark": str(marks), "gate": str(gate)}),
        "out": (OUTPUT, {"name": "out"}),
    }
    run = start(payer, draw(nodes, ["in.value -> a.value", "a.value -> gate.value", "gate.after -> out.value"]))
    attempt = begin_first(drain)

    with do_beside(lambda: run_plain([attempt], goes_on=always)):
        try:
            assert wait_until(lambda: marks.exists() and run.node_executions.filter(status="COMPLETED").exists())
            meanwhile = (
                sorted(run.node_executions.values_list("status", flat=True)),
                charges(payer),
                [ready.name for ready in drain.waiting],
            )
        finally:
            gate.touch()
    drain.run()  # no sweep

    assert meanwhile == (["COMPLETED", "QUEUED"], [7], ["PaidBlock"])
    assert ahead.records[0] == ["in"]
    assert ahead.claimed.count("a") == 1
    assert outputs_of(ended(run)) == {"out": [1]}
    assert (run.node_count, charges(payer), standing(payer.pk)) == (4, [7, 7], (86, 0, 0))
    assert not NodeExecution.objects.exclude(attempt=1, losses=0).exists()
    assert not has_orphans()
