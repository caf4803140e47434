"""Whoever waits for a run or a node execution holds nothing that comes after it: no account, no run with a higher id.

Each test holds one row, lets somebody run into it, and then takes what they must not have taken yet.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from psycopg import Connection
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.recovery import sweep
from execution.services import start_execution, stop_execution, stop_executions
from execution.store.claims import claim
from execution.store.runs import wake
from graphs.lifecycle import delete_graph
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.families import make_family
from tests.execution.lock_waits import lock_account, lock_run, running_into, session_beside
from tests.execution.small_graphs import ASK, INPUT, OUTPUT, draw

pytestmark = pytest.mark.django_db(transaction=True)

ASKING = draw(
    {
        "in": (INPUT, {"name": "in", "value": 1}),
        "out": (OUTPUT, {"name": "out"}),
        "ask": (ASK, {"name": "wait", "data": 1}),
    },
    ["in.result -> out.value"],
)


@pytest.fixture
def other() -> Iterator["Connection[Any]"]:
    with session_beside() as session:
        yield session


def start_some(user: User, drain: Drain, count: int) -> tuple[GraphVersion, list[Execution]]:
    """Start runs of one graph that wait for a person, and of which node executions have ended, to be paid for."""
    version = import_graph(owner=user, document=ASKING).version
    runs = [start_execution(user=user, version=version, input_data={}) for _ in range(count)]
    drain.run()
    return version, runs


def statuses(*keys: UUID) -> set[str]:
    return set(Execution.objects.filter(pk__in=keys).values_list("status", flat=True))


@pytest.mark.parametrize("held", [0, 1])
def test_a_graph_s_runs_are_stopped_together(user: User, drain: Drain, other: "Connection[Any]", held: int) -> None:
    version, runs = start_some(user, drain, 2)
    lock_run(other, runs[held])

    with running_into(other, lambda: delete_graph(graph=version.graph)):
        lock_account(other, user)

    assert statuses(*(run.pk for run in runs)) == {Status.TERMINATED}


def test_runs_are_stopped_in_the_order_of_their_ids(user: User, drain: Drain, other: "Connection[Any]") -> None:
    _, runs = start_some(user, drain, 2)
    lock_run(other, runs[0])

    with running_into(other, lambda: stop_executions(execution_ids=[runs[1].pk, runs[0].pk])):
        lock_run(other, runs[1])

    assert statuses(*(run.pk for run in runs)) == {Status.TERMINATED}


def test_what_waits_for_a_stopped_sub_run_is_woken_before_anybody_pays(
    user: User, drain: Drain, other: "Connection[Any]"
) -> None:
    version = import_graph(owner=user, document=make_family(asks=True)).version
    run = start_execution(user=user, version=version, input_data={})
    drain.run()
    child = Execution.objects.filter(root=run).earliest("pk")
    other.execute("SELECT FROM execution_nodeexecution WHERE id = %s FOR NO KEY UPDATE", [child.parent_id])

    with running_into(other, lambda: stop_execution(execution_id=child.pk)):
        lock_account(other, user)

    assert statuses(child.pk) == {Status.TERMINATED}


def test_a_failing_node_ends_its_sub_run_and_its_run_before_anybody_pays(
    user: User, drain: Drain, other: "Connection[Any]", settings: Settings
) -> None:
    settings.LEASE_SECONDS = 0.002
    document = make_family(asks=True)
    document["settings"] = {"on_error": "fail_run"}
    run = start_execution(user=user, version=import_graph(owner=user, document=document).version, input_data={})
    drain.run()
    first, second, third = Execution.objects.filter(root=run).order_by("pk")
    agent = NodeExecution.objects.get(children=first)
    NodeExecution.objects.filter(pk=agent.pk).update(losses=settings.MAX_LOSSES - 1)
    wake([agent.pk])
    assert claim(agent.pk, lease_seconds=-1) is not None
    lock_run(other, third)

    with running_into(other, lambda: sweep(drain.send)):
        lock_account(other, user)

    assert statuses(run.pk) == {Status.FAILED}
    assert statuses(first.pk, second.pk, third.pk) == {Status.TERMINATED}
