"""A run and all runs below it share one window: a tree of many small runs floods nothing."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.examination import examine
from execution.models import Execution, NodeExecution
from execution.services import resume_execution, stop_execution
from execution.store.window import release
from tests.execution.drain import Drain
from tests.execution.families import AGENT
from tests.execution.small_graphs import INPUT, OUTPUT, STEP, draw, node_id
from tests.execution.small_runs import ended, outputs_of, start

# Whoever examines the broker, too, must not find what others have left there.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]

CHILDREN = 40
WINDOW = 8


@pytest.fixture(autouse=True)
def small_window(settings: Settings) -> None:
    settings.RUN_WINDOW = {"cpu": WINDOW, "io": WINDOW}


def make_wide_tree() -> dict[str, Any]:
    """Return a graph that runs another one for each of many items; that one emits each of two items twice."""
    sub = draw(
        {
            "n": (INPUT, {"name": "n"}),
            "one": (STEP, {"items": [1, 2]}),
            "two": (STEP, {"items": [1, 2]}),
            "m": (OUTPUT, {"name": "m"}),
        },
        ["one.item -> m.value", "two.item -> m.value"],
    )
    sub["id"] = node_id("sub")
    schemas: dict[str, Any] = {"input_schema": {"properties": {"n": {}}}, "output_schema": {"properties": {"m": {}}}}
    document = draw(
        {
            "each": (STEP, {"items": list(range(CHILDREN))}),
            "agent": (AGENT, {"graph_id": sub["id"], "graph_version": 1, "inputs": {}, **schemas}),
            "out": (OUTPUT, {"name": "out"}),
        },
        ["each.item -> agent.n", "agent.m -> out.value"],
    )
    return {**document, "sub_graphs": [sub]}


def sent() -> int:
    return NodeExecution.objects.filter(status=Status.QUEUED, held_back=False).count()


def test_a_tree_of_many_small_runs_never_has_more_messages_than_one_window(user: User, drain: Drain) -> None:
    run = start(user, make_wide_tree())
    most = most_runs = 0

    while drain.waiting:
        drain.run_one(drain.waiting.pop(0))
        most = max(most, sent())
        most_runs = max(most_runs, Execution.objects.filter(root=run, ended_at=None).count())

    assert ended(run).status == Status.COMPLETED
    assert sorted(outputs_of(run)["out"]) == sorted([1, 2] * 2 * CHILDREN)
    # What wakes a node that waits for its sub-run is sent at once, beside what the window lets through.
    assert most <= WINDOW + 1
    assert most_runs >= WINDOW
    assert examine() == []


def test_a_tree_that_is_resumed_waits_for_its_turn_as_a_whole(user: User, drain: Drain, settings: Settings) -> None:
    settings.MAX_CONCURRENT_RUNS_PER_USER = 1
    tree = start(user, make_wide_tree())
    while NodeExecution.objects.exclude(execution=tree).filter(status=Status.COMPLETED).count() < CHILDREN // 4:
        drain.run_one(drain.waiting.pop(0))
    stop_execution(execution_id=tree.pk)
    drain.waiting.clear()
    small = start(user, draw({"out": (OUTPUT, {"name": "out", "value": 1})}))
    messages_of_small, drain.waiting = drain.waiting, []

    resume_execution(execution_id=tree.pk)

    assert (drain.waiting, release([tree.pk])) == ([], [])
    assert Execution.objects.filter(root=tree, ended_at=None).exists()
    drain.waiting = messages_of_small
    drain.run()
    assert ended(small).status == ended(tree).status == Status.COMPLETED
    assert sorted(outputs_of(tree)["out"]) == sorted([1, 2] * 2 * CHILDREN)


def test_what_a_window_has_room_for_is_counted_once(user: User) -> None:
    release([tree_id := uuid4()])
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN EXECUTE release_next(%s, '{cpu,io}', '{8,8}', '{2,8}', true)", [tree_id])
        plan = "\n".join(line for (line,) in cursor.fetchall())

    # Else it is a part of each place that reads it.
    assert "CTE free" in plan
