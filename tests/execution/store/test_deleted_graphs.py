"""A graph is deleted and run at the same time: either the run is refused, or it is stopped and its history kept."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from django.contrib.auth.models import User
from psycopg import Connection

from execution.models import Execution
from execution.services import start_execution
from graphs.exceptions import GraphNotFoundError
from graphs.lifecycle import delete_graph
from graphs.models import Graph, GraphVersion
from graphs.services import create_version, import_graph
from tests.execution.drain import Drain
from tests.execution.lock_waits import DEADLINE_SECONDS, do_beside, running_into, session_beside
from tests.execution.small_graphs import ADDING

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def other() -> Iterator["Connection[Any]"]:
    with session_beside() as session:
        yield session


@pytest.fixture
def version(user: User) -> GraphVersion:
    return import_graph(owner=user, document=ADDING).version


def hold_up_starts(session: "Connection[Any]", user: User) -> None:
    """Do as somebody who starts a run of the user's."""
    session.execute("SELECT pg_advisory_xact_lock(%s, %s)", [0x0AD3, user.pk])


def wait_until_it_waits(session: "Connection[Any]", work: "Future[Any]") -> None:
    """Wait until two wait for locks, of which `work` is the second, or `work` is done."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not work.done() and session.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() != (2,):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_that_is_being_started_is_stopped(
    user: User, version: GraphVersion, drain: Drain, other: "Connection[Any]"
) -> None:
    hold_up_starts(other, user)

    with (
        running_into(other, lambda: start_execution(user=user, version=version, input_data={"Number": 1})),
        do_beside(lambda: delete_graph(graph=version.graph)) as deleted,
    ):
        wait_until_it_waits(other, deleted)
        other.execute("ROLLBACK")

    assert Execution.objects.get().status == "TERMINATED"
    assert Graph.objects.get(pk=version.graph_id).deleted_at


def test_a_graph_that_is_being_deleted_is_not_started(
    user: User, version: GraphVersion, drain: Drain, other: "Connection[Any]"
) -> None:
    other.execute("SELECT FROM graphs_graph WHERE id = %s FOR UPDATE", [version.graph_id])
    other.execute("UPDATE graphs_graph SET deleted_at = now() WHERE id = %s", [version.graph_id])

    with (
        pytest.raises(GraphNotFoundError),
        running_into(other, lambda: start_execution(user=user, version=version, input_data={"Number": 1})),
    ):
        other.execute("COMMIT")

    assert not Execution.objects.exists()


def test_a_run_is_started_while_a_version_is_saved(user: User, version: GraphVersion, drain: Drain) -> None:
    with session_beside() as other:
        hold_up_starts(other, user)
        with running_into(other, lambda: start_execution(user=user, version=version, input_data={"Number": 1})):
            # Whoever saves a version holds the graph, too; neither waits for the other.
            create_version(graph=version.graph, document=version.document())

    assert Execution.objects.get().graph_version == version
