"""Node executions that wait: for a moment, for a person, for a run of another graph."""

import random
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from execution import waiting
from execution.engine.statuses import Status
from execution.exceptions import ReviewDecidedError
from execution.models import Execution, NodeExecution, Output, PastAttempt, Review
from execution.services import decide_review
from graphs.exceptions import GraphInvalidError
from graphs.services import import_graph
from tests.execution.blocks import VisitBlock
from tests.execution.drain import Drain
from tests.execution.families import make_family
from tests.execution.outages_of_sessions import break_connection
from tests.execution.small_graphs import ASK, INPUT, OUTPUT, STEP, TIMER, draw
from tests.execution.small_runs import ended, outputs_of, start

pytestmark = pytest.mark.django_db(transaction=True)

AGENT = "e189baac-8c20-45a1-94a7-55177ea42565"


def test_a_timer_emits_each_time_it_wakes_and_is_no_failed_attempt(user: User, drain: Drain) -> None:
    document = draw(
        {
            "timer": (TIMER, {"seconds": "1", "repeat": 2, "input_message": "tick"}),
            "out": (OUTPUT, {"name": "out"}),
        },
        ["timer.output_message -> out.value"],
    )

    run = start(user, document)
    drain.run()

    timer = NodeExecution.objects.order_by("opened_at")[0]
    assert outputs_of(ended(run)) == {"out": ["tick"] * 2}
    assert (timer.waits, timer.attempt) == (2, 1)
    assert list(
        Output.objects.filter(node_execution=timer).order_by("position").values_list("position", flat=True)
    ) == [0, 1]


@pytest.mark.parametrize(("approved", "expected"), [(True, {"yes": ["better"]}), (False, {"no": ["better"]})])
def test_a_person_decides_how_a_run_goes_on(user: User, drain: Drain, approved: bool, expected: dict[str, Any]) -> None:
    document = draw(
        {
            "in": (INPUT, {"name": "in", "value": "good"}),
            "ask": (ASK, {"name": "Is it good?"}),
            "yes": (OUTPUT, {"name": "yes"}),
            "no": (OUTPUT, {"name": "no"}),
        },
        ["in.result -> ask.data", "ask.approved_data -> yes.value", "ask.rejected_data -> no.value"],
    )
    run = start(user, document)
    drain.run()
    review = Review.objects.get()
    assert review.node_execution.status == Status.REVIEW

    decide_review(user=user, review=review, approved=approved, data="better")
    drain.run()

    assert outputs_of(ended(run)) == expected
    with pytest.raises(ReviewDecidedError):
        decide_review(user=user, review=review, approved=approved, data="best")


@pytest.mark.parametrize("seed", range(3))
def test_a_sub_graph_runs_as_a_run_of_its_own_and_its_outputs_come_in_order(
    user: User, drain: Drain, seed: int
) -> None:
    run = start(user, make_family(shows_errors=True))
    drain.run(order=random.Random(seed))

    assert outputs_of(ended(run)) == {"out": [2.0, 3.0, 4.0]}
    children = Execution.objects.filter(root=run)
    assert {child.status for child in children} == {Status.COMPLETED}
    assert {child.depth for child in children} == {1}


def test_a_sub_run_that_fails_fails_the_node_that_waits_for_it(user: User, drain: Drain) -> None:
    document = make_family(shows_errors=True)
    document["sub_graphs"][0]["settings"] = {"max_node_executions": 2}

    run = start(user, document)
    drain.run()

    assert ended(run).status == Status.COMPLETED
    assert run.node_error_count == 3
    assert all("more than 2 node executions" in error for error in outputs_of(run)["errors"])


def test_what_a_sub_run_emits_travels_while_it_still_runs(user: User, drain: Drain) -> None:
    document = make_family(asks=True, shows_errors=True)
    run = start(user, document)
    drain.run()

    assert outputs_of(run) == {"out": [2.0]}  # only the first travels: the others stand behind it
    for review in Review.objects.order_by("created_at"):
        decide_review(user=user, review=review, approved=True, data=1)
    drain.run()

    assert outputs_of(ended(run)) == {"out": [2.0, 3.0, 4.0]}


@pytest.mark.parametrize("read", ["load_decision", "find_sub_run", "load_run_outputs", "_find_version"])
def test_a_database_that_is_away_at_a_wait_is_no_failed_attempt(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    really_read, breaks = getattr(waiting, read), iter([break_connection])

    def be_away_once(*arguments: Any, **options: Any) -> Any:
        for fail in breaks:
            fail()
        return really_read(*arguments, **options)

    monkeypatch.setattr(waiting, read, be_away_once)
    run = start(user, make_family(asks=True))
    drain.run()
    for review in Review.objects.order_by("created_at"):
        decide_review(user=user, review=review, approved=True, data=1)
    drain.run()

    assert outputs_of(ended(run)) == {"out": [2.0, 3.0, 4.0]}
    assert next(breaks, None) is None
    assert not PastAttempt.objects.exists()


def test_sub_graphs_nested_too_deeply_are_an_error_of_the_node(user: User, drain: Drain, settings: Settings) -> None:
    run = start(user, make_family(shows_errors=True))

    settings.MAX_SUB_RUN_DEPTH = 0  # known before a run starts as well; but which graph runs, a block may say
    drain.run()

    assert ended(run).status == Status.COMPLETED
    assert outputs_of(run)["errors"] == ["Sub-graphs are nested more than 0 deep: does a graph run itself?"] * 3


def test_a_graph_that_runs_itself_is_refused(user: User, drain: Drain) -> None:
    document = make_family(shows_errors=True)
    document["nodes"][2]["input_default"]["graph_id"] = document["id"]

    with pytest.raises(GraphInvalidError):
        start(user, document)


def test_a_block_may_wait_in_several_ways_and_nothing_is_emitted_twice(
    user: User, drain: Drain, settings: Settings
) -> None:
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.blocks"]
    visited = import_graph(
        owner=user,
        document=draw(
            {
                "three": (INPUT, {"name": "n", "value": [1, 2, 3]}),
                "each": (STEP, {}),
                "out": (OUTPUT, {"name": "item"}),
            },
            ["three.result -> each.items", "each.item -> out.value"],
        ),
    ).version
    pins = ("item", "between", "last")
    document = draw(
        {"visit": (VisitBlock.id, {"graph_id": str(visited.graph_id)})}
        | {pin: (OUTPUT, {"name": pin}) for pin in pins},
        [f"visit.{pin} -> {pin}.value" for pin in pins],
    )

    run = start(user, document, simulate=False)
    drain.run()

    assert outputs_of(ended(run)) == {"item": [1, 2, 3], "between": ["sub-run over"], "last": ["slept"]}
