"""Resumed runs end as if nobody had stopped them, and nothing is done twice that was done."""

import random
from collections import Counter
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from execution.engine.statuses import ENDED, Status
from execution.exceptions import ExecutionNotResumableError
from execution.models import Execution, NodeExecution, Output, PastAttempt, Review, RunOutput
from execution.planning import load_plan
from execution.services import decide_review, resume_execution, start_execution, stop_execution
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.execution.blocks import FailsOnceBlock
from tests.execution.drain import Drain
from tests.execution.families import make_family
from tests.execution.random_graphs import make_document
from tests.execution.reference import outputs_by_name, run_in_memory
from tests.execution.small_graphs import ASK, CALCULATOR, INPUT, OUTPUT, STEP, TIMER, draw

pytestmark = pytest.mark.django_db(transaction=True)


def save(user: User, document: dict[str, Any]) -> GraphVersion:
    return import_graph(owner=user, document=document).version


def start(user: User, version: GraphVersion, **inputs: Any) -> Execution:
    return start_execution(user=user, version=version, input_data=inputs)


def outputs_of(run: Execution) -> dict[str, list[Any]]:
    return outputs_by_name(RunOutput.objects.filter(execution=run).order_by("position").values_list("name", "value"))


def ended(run: Execution) -> Execution:
    run.refresh_from_db()
    assert run.ended_at is not None
    assert run.unfinished == 0
    return run


@pytest.mark.parametrize("seed", range(10))
def test_a_run_stopped_and_resumed_again_and_again_ends_as_one_that_was_not(
    user: User, drain: Drain, seed: int
) -> None:
    version, chance = save(user, make_document(seed)), random.Random(seed)
    machine = run_in_memory(load_plan(version.pk), {})
    run = start(user, version)

    while drain.waiting:
        for _ in range(chance.randrange(1, 6)):
            if drain.waiting:
                drain.run_one(drain.waiting.pop(chance.randrange(len(drain.waiting))))
        run.refresh_from_db()
        if run.status not in ENDED:
            stop_execution(execution_id=run.pk)
            lost, drain.waiting = drain.waiting, []
            resume_execution(execution_id=run.pk)
            drain.waiting += lost

    assert ended(run).status == Status.COMPLETED
    assert outputs_of(run) == outputs_by_name(machine.outputs)
    assert run.opened == len(machine.steps)
    assert run.node_count == NodeExecution.objects.filter(execution=run, status__in=ENDED).count()
    assert len(run.warnings) == len(machine.warnings())


@pytest.mark.parametrize("steps", range(1, 22, 3))
def test_a_tree_goes_on_with_the_sub_runs_that_it_had(user: User, drain: Drain, steps: int) -> None:
    run = start(user, save(user, make_family()))
    for _ in range(steps):
        drain.run_one(drain.waiting.pop(0))
    before = set(Execution.objects.filter(root=run).values_list("pk", flat=True))
    done = Counter(NodeExecution.objects.filter(status=Status.COMPLETED).values_list("pk", "claimed_at"))

    stop_execution(execution_id=run.pk)
    drain.waiting = []
    resume_execution(execution_id=run.pk)
    drain.run()

    assert ended(run).status == Status.COMPLETED
    assert outputs_of(run) == {"out": [2.0, 3.0, 4.0]}
    children = Execution.objects.filter(root=run)
    assert before <= set(children.values_list("pk", flat=True))
    assert [child.status for child in children] == [Status.COMPLETED] * 3
    assert done <= Counter(NodeExecution.objects.values_list("pk", "claimed_at"))


def test_a_timer_and_a_question_are_where_they_were(user: User, drain: Drain) -> None:
    nodes = {
        "timer": (TIMER, {"input_message": "late", "seconds": 3600, "repeat": 1}),
        "ask": (ASK, {"name": "wait", "data": 1}),
    }
    run = start(user, save(user, draw(nodes)))
    for _ in range(2):
        drain.run_one(drain.waiting.pop(0))
    wake_at = NodeExecution.objects.get(status=Status.SUSPENDED).wake_at

    stop_execution(execution_id=run.pk)
    resume_execution(execution_id=run.pk)
    while drain.waiting:
        drain.run_one(drain.waiting.pop(0))

    assert NodeExecution.objects.get(status=Status.SUSPENDED).wake_at == wake_at
    review = Review.objects.get()
    decide_review(user=user, review=review, approved=True, data=1)
    run.refresh_from_db()
    assert run.unfinished == 2


@pytest.mark.parametrize("is_first", [True, False])
def test_what_failed_the_run_is_tried_again_and_its_error_is_taken_back(
    user: User, drain: Drain, settings: Settings, is_first: bool
) -> None:
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.blocks"]
    document = draw(
        {
            "in": (INPUT, {"name": "in", "value": [1, 2, 3]}),
            "each": (STEP, {}),
            "try": (FailsOnceBlock.id, {"fails_at": 1 if is_first else 3}),
            "before": (OUTPUT, {"name": "before"}),
            "after": (OUTPUT, {"name": "after"}),
            "errors": (OUTPUT, {"name": "errors"}),
        },
        [
            *("in.result -> each.items", "each.item -> try.value", "try.before -> before.value"),
            *("try.after -> after.value", "try.error -> errors.value"),
        ],
        on_error="fail_run",
    )
    run = start(user, save(user, document))
    while drain.waiting:
        drain.run_one(drain.waiting.pop())  # the last first: what fails as the first has others held behind it
    assert ended(run).status == Status.FAILED
    assert (run.node_error_count, outputs_of(run).get("errors")) == (1, None)

    resume_execution(execution_id=run.pk)
    drain.run()

    assert ended(run).status == Status.COMPLETED
    assert outputs_of(run) == {"before": [1, 2, 3], "after": [1, 2, 3]}
    assert (run.node_error_count, run.error) == (0, "")
    assert run.node_count == NodeExecution.objects.filter(execution=run).count()
    failed = PastAttempt.objects.get(outcome=PastAttempt.Outcome.FAILED)
    assert failed.error == "Not yet."
    assert not Output.objects.filter(pin="error").exists()


def test_a_failure_that_the_run_has_dealt_with_stays(user: User, drain: Drain) -> None:
    document = draw(
        {
            "in": (INPUT, {"name": "in", "value": "many"}),
            "sum": (CALCULATOR, {"operation": "Add", "b": 1}),
            "errors": (OUTPUT, {"name": "errors"}),
            "ask": (ASK, {"name": "wait", "data": 1}),
        },
        ["in.result -> sum.a", "sum.error -> errors.value"],
    )
    run = start(user, save(user, document))
    drain.run()

    stop_execution(execution_id=run.pk)
    resume_execution(execution_id=run.pk)
    drain.run()
    decide_review(user=user, review=Review.objects.get(), approved=True, data=1)
    drain.run()

    assert ended(run).status == Status.COMPLETED
    assert run.node_error_count == 1
    assert len(outputs_of(run)["errors"]) == 1


def test_a_run_that_goes_on_is_left_alone_and_one_that_completed_is_refused(user: User, drain: Drain) -> None:
    run = start(user, save(user, draw({"out": (OUTPUT, {"name": "out", "value": 1})})))

    assert resume_execution(execution_id=run.pk).resumptions == 0
    drain.run()

    assert outputs_of(ended(run)) == {"out": [1]}
    with pytest.raises(ExecutionNotResumableError):
        resume_execution(execution_id=run.pk)


def test_a_sub_run_is_resumed_with_its_tree_only(user: User, drain: Drain) -> None:
    run = start(user, save(user, make_family(asks=True)))
    drain.run()
    child = Execution.objects.filter(root=run).earliest("pk")
    stop_execution(execution_id=run.pk)

    with pytest.raises(ExecutionNotResumableError):
        resume_execution(execution_id=child.pk)
