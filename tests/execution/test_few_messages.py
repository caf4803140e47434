"""Runs of quick blocks: few messages call processes, and who comes takes what there is, in the end what is shared."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from execution.beginning import begin_next, begin_with_others
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.queues import CPU_QUEUE
from execution.recovery import sweep
from execution.services import stop_execution
from execution.store.claims import claim, claim_held_back, new_tokens
from execution.store.taking import Taker
from execution.store.window import FEW_MESSAGES, release
from tests.execution.drain import Drain
from tests.execution.families import make_family
from tests.execution.going_on import COMPLETED, begin_first, run_on
from tests.execution.small_graphs import CALCULATOR, CONVERTER, INPUT, OUTPUT, STEP, draw
from tests.execution.small_runs import ended, outputs_of, start

pytestmark = pytest.mark.django_db(transaction=True)

WINDOW = 8
TEXT: tuple[str, dict[str, Any]] = (CONVERTER, {"type": "string"})


def draw_inputs(count: int) -> dict[str, Any]:
    return draw({f"in {number}": (INPUT, {"name": f"in {number}", "value": number}) for number in range(count)})


def draw_fan(count: int) -> dict[str, Any]:
    nodes: dict[str, Any] = {"step": (STEP, {"items": list(range(count))}), "to": TEXT}
    return draw(nodes | {"out": (OUTPUT, {"name": "out"})}, ["step.item -> to.value", "to.value -> out.value"])


def queued(**asked: Any) -> list[NodeExecution]:
    return list(NodeExecution.objects.filter(status=Status.QUEUED, **asked))


@pytest.fixture(autouse=True)
def window(settings: Settings) -> None:
    settings.RUN_WINDOW = {"cpu": WINDOW, "io": WINDOW}


@pytest.fixture
def shared(user: User, drain: Drain, quick_blocks: None) -> Execution:
    """A run that has nothing left but what a message is on its way for."""
    run = start(user, draw_inputs(FEW_MESSAGES + 1))
    assert claim_held_back(run.pk, run_id=run.pk, tokens=new_tokens(1), lease_seconds=1000)
    return run


@pytest.mark.parametrize("count", [FEW_MESSAGES, FEW_MESSAGES + 1, WINDOW - 1])
def test_a_run_begins_with_few_messages_and_goes_to_nobodys_backlog(user: User, drain: Drain, count: int) -> None:
    start(user, draw_inputs(count))

    assert len(drain.waiting) == FEW_MESSAGES
    assert len(queued(held_back=True)) == count - FEW_MESSAGES
    assert not any(ready.is_backlog for ready in drain.waiting)


def test_what_begins_a_large_run_is_of_the_backlog(user: User, drain: Drain) -> None:
    start(user, draw_inputs(WINDOW + 1))

    assert [ready.is_backlog for ready in drain.waiting] == [True] * FEW_MESSAGES


def test_where_blocks_are_not_known_to_be_quick_the_first_claim_sends_what_the_window_has_room_for(
    user: User, drain: Drain
) -> None:
    start(user, draw_inputs(20))

    (attempt,) = begin_with_others(drain.waiting[0].id, publish=drain.send)

    assert len(attempt.unsent) == WINDOW - (FEW_MESSAGES - 1)
    assert not any(node.is_shared for node in queued(pk__in=[ready.id for ready in attempt.unsent]))


@pytest.mark.parametrize("goes_on", [False, True])
def test_quick_ones_take_fewer_messages_than_there_are(
    user: User, drain: Drain, quick_blocks: None, goes_on: bool
) -> None:
    drain.goes_on = goes_on
    run = start(user, draw_fan(60))

    messages = drain.run()

    assert outputs_of(ended(run)) == {"out": [str(number) for number in range(60)]}
    assert messages <= (1 + 2 * FEW_MESSAGES if goes_on else 60)
    assert not NodeExecution.objects.exclude(attempt=1).exists()


def test_who_comes_by_a_message_takes_others_of_the_run(user: User, drain: Drain, quick_blocks: None) -> None:
    start(user, draw_inputs(5))
    sent = drain.waiting[0].id

    attempts = begin_with_others(sent, publish=drain.send)

    # What the other message is on its way for is taken last.
    assert [attempt.claimed.id for attempt in attempts][0] == sent
    assert len({attempt.claimed.token for attempt in attempts}) == 5
    assert not queued()
    run_on(attempts, drain)
    assert begin_with_others(drain.waiting[1].id, publish=drain.send) == []


def test_one_that_was_tried_before_takes_no_others_with_it(user: User, drain: Drain, quick_blocks: None) -> None:
    start(user, draw_inputs(5))
    sent = drain.waiting[0].id
    NodeExecution.objects.filter(pk=sent).update(attempt=1, losses=1)

    assert len(begin_with_others(sent, publish=drain.send)) == 1


def test_what_is_not_quick_is_given_back_by_who_comes(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes: dict[str, Any] = {f"in {number}": (INPUT, {"name": f"in {number}", "value": 1}) for number in range(3)}
    start(user, draw(nodes | {f"sum {number}": (CALCULATOR, {"operation": "Add", "a": 1, "b": 2}) for number in "ab"}))
    monkeypatch.setattr("execution.paces.Paces.is_quick", lambda _paces, spec: spec.plan.block_id == INPUT)
    sent = NodeExecution.objects.filter(inputs__isnull=False).earliest("id").pk

    attempts = begin_with_others(sent, publish=drain.send)

    ran = {attempt.claimed.spec.plan.block_id for attempt in attempts}
    assert ran == {INPUT}
    assert {(node.attempt, node.token) for node in queued()} == {(0, None)}
    run_on(attempts, drain)
    drain.run()
    assert NodeExecution.objects.filter(status=Status.COMPLETED, attempt=1).count() == 5


def test_what_is_shared_is_taken_by_who_goes_on_in_the_run(shared: Execution, drain: Drain) -> None:
    taken = claim_held_back(shared.pk, run_id=shared.pk, tokens=new_tokens(8), shares=True, lease_seconds=1000)

    assert {claimed.id for claimed in taken} == {ready.id for ready in drain.waiting}
    assert [claim(ready.id, lease_seconds=1000) for ready in drain.waiting] == [None] * FEW_MESSAGES


def test_nobody_else_takes_it(shared: Execution, drain: Drain, user: User) -> None:
    other = start(user, draw_inputs(1))
    NodeExecution.objects.filter(execution=other).update(tree_id=shared.pk, held_back=True)

    assert not claim_held_back(shared.pk, run_id=shared.pk, tokens=new_tokens(8), shares=False, lease_seconds=1000)[1:]
    assert not claim_held_back(shared.pk, run_id=other.pk, tokens=new_tokens(8), shares=True, lease_seconds=1000)
    assert {node.pk for node in queued(execution=shared)} <= {ready.id for ready in drain.waiting}


def test_what_a_full_window_has_sent_is_not_shared(user: User, drain: Drain, quick_blocks: None) -> None:
    run = start(user, draw_inputs(20))
    drain.send(release([run.pk]))

    assert len(drain.waiting) == len(queued(held_back=False)) == WINDOW
    assert len(queued(is_shared=True)) == FEW_MESSAGES


def test_who_goes_on_looks_for_what_is_shared(shared: Execution, drain: Drain) -> None:
    claimed = claim(drain.waiting[0].id, lease_seconds=1000)
    assert claimed is not None and claimed.run_holds_back and not claimed.may_send_next
    taker = Taker(claimed, lease_seconds=1000)
    taker.run_holds_back = True

    attempts = begin_next(taker, publish=drain.send)

    assert [attempt.claimed.id for attempt in attempts] == [drain.waiting[1].id]


def test_what_a_process_has_taken_before_it_died_is_run_by_another(
    shared: Execution, drain: Drain, settings: Settings
) -> None:
    settings.LEASE_SECONDS = 0.002  # a session must be half as old before it calls anybody lost
    claim_held_back(shared.pk, run_id=shared.pk, tokens=new_tokens(8), shares=True, lease_seconds=-1000)
    NodeExecution.objects.filter(status=Status.RUNNING).update(lease_until="2000-01-01T00:00:00Z")
    drain.waiting.clear()

    sweep(drain.send)
    drain.run()

    assert ended(shared).status == Status.COMPLETED
    assert set(NodeExecution.objects.values_list("losses", flat=True)) == {1}


def test_a_run_that_is_stopped_leaves_nothing_to_share(shared: Execution, drain: Drain) -> None:
    stop_execution(execution_id=shared.pk)

    assert not claim_held_back(shared.pk, run_id=shared.pk, tokens=new_tokens(8), shares=True, lease_seconds=1000)


def test_a_tree_of_runs_of_quick_blocks_comes_to_its_end(user: User, drain: Drain, together: list[int]) -> None:
    run = start(user, make_family())

    drain.run()

    assert sorted(outputs_of(ended(run))["out"]) == [2, 3, 4]


@pytest.mark.parametrize("taken", [False, True])
def test_what_becomes_ready_beside_what_is_taken_is_held_back_and_few_are_called(
    user: User, drain: Drain, quick_blocks: None, taken: bool
) -> None:
    start(user, draw_fan(20))
    attempt = begin_first(drain)
    for number in range(20):
        attempt.emit("item", number)
    taker = Taker(attempt.claimed, lease_seconds=1000) if taken else None

    attempt.end(COMPLETED, taker=taker)

    called = taker.unsent if taker else drain.waiting
    assert len(called) == FEW_MESSAGES and {ready.queue for ready in called} == {CPU_QUEUE}
    assert len(queued(is_shared=True)) == FEW_MESSAGES
    assert len(queued(held_back=True)) == 20 - FEW_MESSAGES - (8 if taken else 0)
