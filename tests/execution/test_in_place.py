"""A process that goes on with what it made ready itself: the same answers and the same promises, without messages."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from pytest_django import Settings

from execution import attempts
from execution.beginning import begin_next
from execution.engine.statuses import Status
from execution.models import NodeExecution
from execution.planning import load_plan
from execution.queues import IO_QUEUE
from execution.runner import never, run_plain
from execution.services import start_execution, stop_execution
from execution.store.ready import Ready
from execution.store.recording import Recorded, record
from execution.task_events import TaskEvents
from execution.tasks import execute_node
from graphs.services import import_graph
from tests.credits.booking import set_balance
from tests.execution.drain import Drain
from tests.execution.going_on import always, begin_first, take_next
from tests.execution.paid_blocks import PAID_ASYNC
from tests.execution.random_graphs import make_document
from tests.execution.reference import outputs_by_name, run_in_memory
from tests.execution.small_graphs import CALCULATOR, CONVERTER, INPUT, OUTPUT, STEP, draw
from tests.execution.small_runs import outputs_of, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("paid_blocks", "goes_on")]

CHAIN = draw(
    {
        "in": (INPUT, {"name": "in", "value": 1}),
        **{f"add {number}": (CALCULATOR, {"operation": "Add", "b": 1}) for number in range(8)},
        "out": (OUTPUT, {"name": "out"}),
    },
    ["in.result -> add 0.a", *(f"add {n}.result -> add {n + 1}.a" for n in range(7)), "add 7.result -> out.value"],
)
FORK = draw(
    {"in": (INPUT, {"name": "in", "value": 1}), **{f"to {n}": (CONVERTER, {"type": "string"}) for n in range(2)}},
    [f"in.result -> to {n}.value" for n in range(2)],
)
AGENT = "e189baac-8c20-45a1-94a7-55177ea42565"
FAN_OUT = draw(
    {"step": (STEP, {"items": list(range(60))}), "out": (OUTPUT, {"name": "out"})}, ["step.item -> out.value"]
)


def test_a_chain_takes_one_message(user: User, drain: Drain) -> None:
    run = start(user, CHAIN)

    assert drain.run() == 1

    run.refresh_from_db()
    assert run.status == Status.COMPLETED
    assert outputs_of(run) == {"out": [9]}
    assert run.node_count == run.opened == 10
    assert not NodeExecution.objects.exclude(attempt=1, losses=0).exists()
    assert not NodeExecution.objects.filter(claimed_at=None).exists()


@pytest.mark.parametrize("seed", range(12))
def test_the_answer_is_that_of_the_machine_in_memory(user: User, drain: Drain, settings: Settings, seed: int) -> None:
    settings.RUN_WINDOW = {"cpu": 3, "io": 3}
    version = import_graph(owner=user, document=make_document(seed)).version
    expected = run_in_memory(load_plan(version.pk), {})

    run = start_execution(user=user, version=version, input_data={})
    drain.run(order=random.Random(seed))

    run.refresh_from_db()
    assert run.status == Status.COMPLETED
    assert outputs_of(run) == outputs_by_name(expected.outputs)
    assert run.opened == len(expected.steps)


def test_what_is_held_back_is_gone_on_with_first_in_first_out(user: User, drain: Drain, settings: Settings) -> None:
    settings.RUN_WINDOW = {"cpu": 8, "io": 8}
    run = start(user, FAN_OUT)

    messages = drain.run()

    run.refresh_from_db()
    assert run.status == Status.COMPLETED
    assert outputs_of(run) == {"out": list(range(60))}
    # The first message's process goes on until nothing is held back; the window's other messages find their own.
    assert messages <= 1 + 2 * 8


def test_who_has_had_its_message_for_too_long_sends_instead(user: User, drain: Drain) -> None:
    start(user, CHAIN)

    taker = run_plain([begin_first(drain)], goes_on=never)

    assert not begin_next(taker, publish=drain.send)
    assert len(drain.waiting) == 1
    assert NodeExecution.objects.filter(status=Status.QUEUED).count() == 1


def test_one_is_taken_and_the_others_are_sent(user: User, drain: Drain) -> None:
    document = draw(
        {"in": (INPUT, {"name": "in", "value": 1}), **{f"to {n}": (CONVERTER, {"type": "string"}) for n in range(3)}},
        [f"in.result -> to {n}.value" for n in range(3)],
    )
    start(user, document)

    taker = take_next(begin_first(drain))
    drain.send(taker.unsent)

    (claimed,) = taker.claimed
    assert NodeExecution.objects.get(status=Status.RUNNING).pk == claimed.id
    assert {ready.id for ready in drain.waiting} == {
        key for (key,) in NodeExecution.objects.filter(status=Status.QUEUED).values_list("id")
    }
    assert len(drain.waiting) == 2


def test_it_is_claimed_with_its_mask_and_inputs(user: User, drain: Drain) -> None:
    document = draw(
        {"in": (INPUT, {"name": "in", "value": 1}), "add": (CALCULATOR, {"operation": "Add"})}, ["in.result -> add.a"]
    )
    version = import_graph(owner=user, document=document).version
    add = str(version.nodes.get(block_id=CALCULATOR).node_id)
    start_execution(user=user, version=version, input_data={}, nodes_input_masks={add: {"b": 5}})

    taker = take_next(begin_first(drain))

    (claimed,) = taker.claimed
    assert claimed.inputs == {"a": 1}
    assert claimed.mask == {"b": 5}


def test_it_is_taken_although_nobody_heard_of_the_commit(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter(["once"])

    def record_unheard(*arguments: Any, **options: Any) -> Recorded:
        recorded = record(*arguments, **options)
        if next(failures, None):
            connection.close()
            raise OperationalError("server closed the connection unexpectedly")
        return recorded

    monkeypatch.setattr(attempts, "record", record_unheard)
    run = start(user, CHAIN)

    assert drain.run() == 1

    run.refresh_from_db()
    assert outputs_of(run) == {"out": [9]}
    assert not NodeExecution.objects.exclude(attempt=1).exists()


def test_nothing_is_taken_by_a_record_that_is_refused(user: User, drain: Drain) -> None:
    run = start(user, CHAIN)
    attempt = begin_first(drain)
    stop_execution(execution_id=run.pk)

    taker = run_plain([attempt], goes_on=always)

    assert not begin_next(taker, publish=drain.send)
    assert not NodeExecution.objects.exclude(status=Status.TERMINATED).exists()


def test_what_was_taken_can_be_stopped_like_everything_else(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(user, FORK)
    (attempt,) = begin_next(take_next(begin_first(drain)), publish=drain.send)
    ran: list[UUID] = []
    monkeypatch.setattr("execution.runner.prepare", lambda claimed: ran.append(claimed.id))

    def stop_meanwhile(_ready: Sequence[Ready]) -> None:
        # Whoever renews the lease finds that out; here nobody does.
        stop_execution(execution_id=run.pk)
        attempt.is_lost = True

    monkeypatch.setattr(attempt, "_publish", stop_meanwhile)
    assert not begin_next(run_plain([attempt], goes_on=always), publish=drain.send)

    run.refresh_from_db()
    assert run.status == Status.TERMINATED
    assert not ran


def test_messages_go_out_when_the_next_attempt_is_looked_after_and_has_its_place(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    @contextmanager
    def note_place(_running: Any) -> Iterator[None]:
        seen.append("place")
        yield

    monkeypatch.setattr("execution.beginning.keeper.hold", lambda _attempt: seen.append("held"))
    monkeypatch.setattr("execution.runner.stoppable", note_place)
    start(user, FORK)
    taker = take_next(begin_first(drain))
    seen.clear()

    run_plain(begin_next(taker, publish=lambda _ready: seen.append("sent")))

    assert seen[:3] == ["held", "place", "sent"]


def test_nobody_who_is_told_of_a_task_can_keep_it_from_running(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_version_id: UUID) -> None:
        raise OperationalError("the database is away")

    start(user, FORK)
    (claimed,) = take_next(begin_first(drain)).claimed
    monkeypatch.setattr("execution.task_events.load_plan", fail)
    execute_node.push_request(hostname="cpu-1@here")  # type: ignore[call-arg] # the stubs know no fields
    try:
        with TaskEvents().of(claimed, within=execute_node):
            ran = True
    finally:
        execute_node.pop_request()
    assert ran


def test_nothing_in_a_sub_run_waits_for_the_sweeper(user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    """An io node ends before its sibling opens another one: nobody but the sibling's process can send that."""
    set_balance(user.pk, 1000)
    inner = draw(
        {
            "in": (INPUT, {"name": "in", "value": 1}),
            "a": (CONVERTER, {"type": "number"}),
            "b": (PAID_ASYNC, {}),
            "c": (PAID_ASYNC, {}),
            "out": (OUTPUT, {"name": "out"}),
        },
        ["in.result -> a.value", "in.result -> b.value", "a.value -> c.value", "c.value -> out.value"],
    )
    below = import_graph(owner=user, document=inner).version
    agent = {"graph_id": str(below.graph_id), "graph_version": 1, "inputs": {}, "input_schema": {}, "output_schema": {}}

    def run_io_at_once(ready: Sequence[Ready]) -> None:
        for each in ready:
            if each.queue == IO_QUEUE:
                drain.run_one(each)
            else:
                drain.waiting.append(each)

    monkeypatch.setattr(drain, "send", run_io_at_once)
    run = start(user, draw({"agent": (AGENT, agent)}))
    drain.waiting.sort(key=lambda ready: ready.id)
    while drain.waiting:
        drain.run_one(drain.waiting.pop(0))  # no sweep

    run.refresh_from_db()
    assert run.status == Status.COMPLETED


def test_nothing_is_taken_from_a_run_that_ends_with_the_record(user: User, drain: Drain, settings: Settings) -> None:
    settings.MAX_NODE_EXECUTIONS_PER_RUN = 1
    run = start(user, CHAIN)

    taker = take_next(begin_first(drain))

    run.refresh_from_db()
    assert run.status == Status.FAILED
    assert not taker.claimed
    assert not taker.to_claim
    assert not NodeExecution.objects.filter(status=Status.RUNNING).exists()
