"""What is lost goes on: workers, messages, time. In this process; for real deaths see `test_deaths`."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, connections
from django.utils import timezone
from pytest_django import Settings

from execution import recovery
from execution.engine.statuses import Status
from execution.leader_watch import LeaderWatch
from execution.models import Execution, NodeExecution, PastAttempt, QueueProbe, RunOutput
from execution.places import Running
from execution.queues import CPU_QUEUE
from execution.recovery import lead, sweep
from execution.store.claims import Claimed, claim, renew_leases
from execution.store.losses import hand_back
from execution.store.messages import due_probes, note_passed
from execution.store.parts import End
from execution.store.ready import Ready
from execution.store.recording import record
from execution.store.window import release
from tests.config.processes import wait_until
from tests.execution.drain import Drain
from tests.execution.lock_waits import session_beside
from tests.execution.losing import ECHO, LONG_AGO, queued_ago, start
from tests.execution.small_graphs import CALCULATOR, INPUT, OUTPUT, TIMER, draw

pytestmark = pytest.mark.django_db(transaction=True)

COMPLETED = End(status=Status.COMPLETED)

WITH_ERROR = draw(
    {
        "in": (INPUT, {"name": "in", "value": 1}),
        "add": (CALCULATOR, {"operation": "Add", "b": 1}),
        "out": (OUTPUT, {"name": "out"}),
        "error": (OUTPUT, {"name": "error"}),
    },
    ["in.result -> add.a", "add.result -> out.value", "add.error -> error.value"],
)


@pytest.fixture(autouse=True)
def quick_recovery(settings: Settings) -> None:
    settings.LEASE_SECONDS = 0.002  # a session must be half as old before it calls anybody lost
    settings.MESSAGE_PATIENCE_SECONDS = 3


def take(ready: Ready) -> Claimed:
    claimed = claim(ready.id, lease_seconds=1000)
    assert claimed is not None
    return claimed


def lose_workers() -> int:
    return NodeExecution.objects.filter(status=Status.RUNNING).update(lease_until=timezone.now() - LONG_AGO)


def outputs(run: Execution) -> list[tuple[str, Any]]:
    return list(RunOutput.objects.filter(execution=run).order_by("position").values_list("name", "value"))


def test_what_a_lost_worker_ran_is_queued_again_and_sent(user: User, drain: Drain) -> None:
    run = start(user, ECHO)
    late = take(drain.waiting.pop())
    lose_workers()

    sweep(drain.send)

    node = NodeExecution.objects.get(pk=late.id)
    assert (node.status, node.losses) == (Status.QUEUED, 1)
    assert [each.id for each in drain.waiting] == [late.id]
    past = PastAttempt.objects.get()
    assert (past.node_execution_id, past.number, past.outcome) == (late.id, 1, "LOST")
    assert not record(late, outputs=[("result", "late")], position=0, end=COMPLETED).accepted
    drain.run()
    assert outputs(run) == [("out", 1)]


def test_who_renews_is_not_lost(user: User, drain: Drain) -> None:
    start(user, ECHO)
    claimed = claim(drain.waiting.pop().id, lease_seconds=-1)
    assert claimed is not None

    renew_leases([claimed.token], lease_seconds=10)
    sweep(drain.send)

    assert NodeExecution.objects.get().status == Status.RUNNING
    assert not drain.waiting


def test_at_the_third_loss_the_node_fails_and_the_run_goes_on(user: User, drain: Drain) -> None:
    run = start(user, WITH_ERROR)
    drain.run_one(drain.waiting.pop())
    for _ in range(3):
        take(drain.waiting.pop())
        lose_workers()
        sweep(drain.send)
    drain.run()

    run.refresh_from_db()
    assert run.status == Status.COMPLETED
    assert run.node_error_count == 1
    ((name, error),) = outputs(run)
    assert name == "error"
    assert error.startswith("Its worker died 3 times")
    assert PastAttempt.objects.filter(outcome="LOST").count() == 3
    assert run.unfinished == 0


def test_after_the_database_was_away_everybody_gets_time_to_say_that_they_live(
    user: User, drain: Drain, settings: Settings
) -> None:
    start(user, ECHO)
    take(drain.waiting.pop())
    lose_workers()
    settings.LEASE_SECONDS = 100
    connection.close()

    sweep(drain.send)

    assert NodeExecution.objects.get().status == Status.RUNNING


def test_two_sweepers_at_once_act_once(user: User, drain: Drain, settings: Settings) -> None:
    settings.RUN_WINDOW = {"cpu": 40, "io": 40}
    names = [f"in {number}" for number in range(40)]
    run = start(user, draw({name: (INPUT, {"name": name, "value": 1}) for name in names}))
    drain.send(release([run.pk]))
    for ready in drain.waiting:
        take(ready)
    drain.waiting.clear()
    lose_workers()
    barrier = threading.Barrier(4)

    def sweep_at_once(_number: int) -> list[UUID]:
        sent: list[UUID] = []
        try:
            lead()
            barrier.wait()
            for _ in range(3):
                sweep(lambda ready: sent.extend(each.id for each in ready))
            return sent
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        sent = [key for keys in threads.map(sweep_at_once, range(4)) for key in keys]

    assert len(sent) == len(set(sent)) == 40
    assert set(NodeExecution.objects.values_list("losses", flat=True)) == {1}
    assert PastAttempt.objects.count() == 40


def test_one_of_many_leads_until_its_session_ends(db: None) -> None:
    def ask() -> bool:
        try:
            return lead()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        assert lead()
        assert lead()
        assert not thread.submit(ask).result()
        connection.close()
        assert thread.submit(ask).result()


def test_a_leader_that_asks_nothing_loses_its_session_whatever_the_clock_says(db: None) -> None:
    """A time of the database's clock that lies ahead has not been long ago for an hour."""
    ahead = timezone.now() + timedelta(hours=1)
    sessions, ousted = [(7, ahead)], []

    def ask(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        if "pg_terminate_backend" not in statement:
            return list(sessions)
        ousted.append(parameters)
        return [(True,)]

    patient, watch = LeaderWatch(1, frozen_seconds=1000), LeaderWatch(1, frozen_seconds=0)
    assert not any(patient.oust_frozen(ask) for _ in range(3))
    assert watch.oust_frozen(ask)
    assert ousted == [(7, ahead)]


def test_a_leader_that_asks_something_at_the_last_moment_keeps_its_session(db: None) -> None:
    watch = LeaderWatch(1, frozen_seconds=0)
    with session_beside() as leader, session_beside() as other:
        for session in (leader, other):
            session.execute("COMMIT")
        leader.execute("SELECT pg_advisory_lock(1)")

        def ask(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
            if "pg_terminate_backend" in statement:
                leader.execute("SELECT 1")
            return other.execute(statement, parameters).fetchall()

        assert not watch.oust_frozen(ask)
        assert leader.execute("SELECT 1").fetchone() == (1,)


def test_a_leader_that_is_frozen_loses_its_session(db: None) -> None:
    watch = LeaderWatch(recovery.LEADER_LOCK, frozen_seconds=0)

    def ask() -> bool:
        try:
            return lead(watch)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        assert lead()
        assert wait_until(lambda: thread.submit(ask).result())
    connection.close()


def test_a_step_that_fails_keeps_no_other_from_being_done(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_options: Any) -> None:
        raise DatabaseError("no")

    start(user, draw({"timer": (TIMER, {"seconds": 0})}))
    drain.run_one(drain.waiting.pop())
    start(user, ECHO)
    take(drain.waiting.pop())
    lose_workers()
    monkeypatch.setattr(recovery, "wake_due", fail)

    sweep(drain.send, also=[fail])

    assert len(drain.waiting) == 1


def test_a_clock_that_was_set_back_delays_nothing(user: User, drain: Drain, settings: Settings) -> None:
    settings.LEASE_SECONDS = 10
    start(user, WITH_ERROR)
    start(user, ECHO)
    take(drain.waiting[0])
    NodeExecution.objects.filter(status=Status.RUNNING).update(lease_until=timezone.now() + LONG_AGO)
    NodeExecution.objects.filter(status=Status.QUEUED).update(queued_at=timezone.now() + LONG_AGO)
    QueueProbe.objects.create(queue=CPU_QUEUE, passed=timezone.now() + LONG_AGO, sent_at=timezone.now() + LONG_AGO)

    sweep(drain.send)

    soon = timezone.now() + timedelta(seconds=15)
    assert all(each.lease_until and each.lease_until < soon for each in NodeExecution.objects.filter(status="RUNNING"))
    assert all(each.queued_at and each.queued_at < soon for each in NodeExecution.objects.filter(status="QUEUED"))
    queued_ago(timedelta(seconds=5))
    assert due_probes([CPU_QUEUE], patience=3, interval=1000)
    note_passed([CPU_QUEUE])
    assert QueueProbe.objects.get().passed < soon  # type: ignore[operator]


def test_what_is_handed_back_is_queued_without_a_loss_or_an_attempt(user: User, drain: Drain) -> None:
    run = start(user, ECHO)
    claimed = take(drain.waiting.pop())

    running = Running(node_execution_id=claimed.id, execution_id=run.pk, token=claimed.token)

    drain.send(hand_back(running))

    node = NodeExecution.objects.get()
    assert (node.status, node.losses, node.attempt) == (Status.QUEUED, 0, 0)
    assert [(each.number, each.outcome) for each in PastAttempt.objects.all()] == [(1, "HANDED_BACK")]
    assert not record(claimed, outputs=[], position=0, end=COMPLETED).accepted
    assert hand_back(running) == []
    drain.run()
    assert outputs(run) == [("out", 1)]
