"""Something is deleted and used at the same time: it is refused, or a run is stopped and its history kept."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from psycopg import Connection
from pytest_django import Settings

from execution.exceptions import ExecutionNotFoundError, PresetNotFoundError
from execution.models import DeletedRun, Execution, NodeExecution, Preset, StaticValue
from execution.presets import change_preset, create_preset
from execution.services import replay_execution, start_execution
from execution.sharing import share_execution
from graphs.exceptions import GraphNotFoundError
from graphs.lifecycle import delete_graph, fork_graph
from graphs.models import Graph, GraphVersion
from graphs.services import create_version, import_graph
from tests.execution.drain import Drain
from tests.execution.families import nest
from tests.execution.lock_waits import DEADLINE_SECONDS, do_beside, running_into, session_beside
from tests.execution.small_graphs import ADDING, node_id

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def other() -> Iterator["Connection[Any]"]:
    with session_beside() as session:
        yield session


@pytest.fixture
def version(user: User) -> GraphVersion:
    return import_graph(owner=user, document=ADDING).version


@pytest.fixture
def ended(user: User, version: GraphVersion, drain: Drain) -> Execution:
    """A run that has ended, whose row can be deleted by itself."""
    run = start_execution(user=user, version=version, input_data={"Number": 1})
    drain.run()
    StaticValue.objects.all().delete()
    return run


def hold_up_starts(session: "Connection[Any]", user: User) -> None:
    """Do as somebody who starts a run of the user's."""
    session.execute("SELECT pg_advisory_xact_lock(%s, %s)", [0x0AD3, user.pk])


def begin_to_delete(session: "Connection[Any]", version: GraphVersion) -> None:
    """Delete a graph as one is that runs tell of."""
    session.execute("SELECT FROM graphs_graph WHERE id = %s FOR UPDATE", [version.graph_id])
    session.execute("UPDATE graphs_graph SET deleted_at = now() WHERE id = %s", [version.graph_id])


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
    begin_to_delete(other, version)

    with (
        pytest.raises(GraphNotFoundError),
        running_into(other, lambda: start_execution(user=user, version=version, input_data={"Number": 1})),
    ):
        other.execute("COMMIT")

    assert not Execution.objects.exists()


def test_a_run_of_a_graph_that_is_being_deleted_is_not_replayed(
    user: User, version: GraphVersion, drain: Drain, other: "Connection[Any]", settings: Settings
) -> None:
    settings.LARGE_VALUE_BYTES = 1
    run = start_execution(user=user, version=version, input_data={"Number": "1"})
    drain.run()
    last = NodeExecution.objects.latest("id")
    begin_to_delete(other, version)

    with (
        pytest.raises(GraphNotFoundError),
        running_into(other, lambda: replay_execution(execution_id=run.pk, node_execution_id=last.pk)),
    ):
        # It keeps nobody from starting runs of other graphs meanwhile.
        free = other.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [0x0AD3, user.pk]).fetchone()
        other.execute("COMMIT")

    assert free == (True,)
    assert default_storage.listdir(f"runs/{user.pk}")[0] == [str(run.pk)]


@pytest.mark.parametrize("has_been", [False, True])
def test_a_graph_that_is_or_was_deleted_is_not_run_by_another(
    user: User, drain: Drain, other: "Connection[Any]", has_been: bool
) -> None:
    above = import_graph(owner=user, document=nest(ADDING | {"id": node_id("below"), "sub_graphs": []})).version
    below = GraphVersion.objects.exclude(pk=above.pk).get()
    start_execution(user=user, version=above, input_data={})
    begin_to_delete(other, below)
    if has_been:
        other.execute("COMMIT")

    drain.run()

    node = NodeExecution.objects.get()
    assert (node.status, node.outputs.get().value) == (
        "FAILED",
        f"You have no graph {below.graph_id} with a version 1.",
    )


def test_a_graph_that_is_being_deleted_is_not_copied(version: GraphVersion, other: "Connection[Any]") -> None:
    begin_to_delete(other, version)

    with pytest.raises(GraphNotFoundError), running_into(other, lambda: fork_graph(version=version)):
        other.execute("COMMIT")

    assert Graph.objects.get().pk == version.graph_id


def test_nothing_is_kept_for_a_graph_that_is_being_deleted(
    user: User, version: GraphVersion, other: "Connection[Any]"
) -> None:
    begin_to_delete(other, version)
    preset = Preset(graph_id=version.graph_id, name="Usual")

    with pytest.raises(GraphNotFoundError), running_into(other, lambda: create_preset(user=user, preset=preset)):
        other.execute("COMMIT")

    assert not Preset.objects.exists()


def test_a_preset_that_was_deleted_does_not_come_back(user: User, version: GraphVersion) -> None:
    preset = create_preset(user=user, preset=Preset(graph_id=version.graph_id, name="Usual"))
    Preset.objects.all().delete()

    with pytest.raises(PresetNotFoundError):
        change_preset(user=user, preset=preset, changes={"name": "Rare"})

    assert not Preset.objects.exists()


def test_a_run_that_is_being_deleted_is_not_shared(ended: Execution, other: "Connection[Any]") -> None:
    other.execute("DELETE FROM execution_execution WHERE id = %s", [ended.pk])

    with pytest.raises(ExecutionNotFoundError), running_into(other, lambda: share_execution(run=ended)):
        other.execute("COMMIT")


def test_a_run_that_is_being_deleted_keeps_nobody_from_deleting_its_user(
    user: User, ended: Execution, other: "Connection[Any]"
) -> None:
    other.execute("INSERT INTO execution_deletedrun VALUES (%s, %s, now())", [ended.pk, user.pk])
    other.execute("DELETE FROM execution_execution WHERE id = %s", [ended.pk])

    with running_into(other, user.delete):
        other.execute("COMMIT")

    assert DeletedRun.objects.get().execution_id == ended.pk


def test_no_run_is_started_for_a_user_who_is_being_deleted(
    user: User, version: GraphVersion, drain: Drain, other: "Connection[Any]"
) -> None:
    create_preset(user=user, preset=Preset(graph_id=version.graph_id, name="Usual"))
    # Which goes after the runs.
    other.execute("SELECT FROM execution_preset FOR UPDATE")

    with (
        running_into(other, User.objects.get(pk=user.pk).delete),
        pytest.raises(GraphNotFoundError),
        do_beside(lambda: start_execution(user=user, version=version, input_data={"Number": 1})) as started,
    ):
        wait_until_it_waits(other, started)
        other.execute("ROLLBACK")

    assert not (User.objects.exists() or Execution.objects.exists())


def test_a_run_is_started_while_a_version_is_saved(user: User, version: GraphVersion, drain: Drain) -> None:
    with session_beside() as other:
        hold_up_starts(other, user)
        with running_into(other, lambda: start_execution(user=user, version=version, input_data={"Number": 1})):
            # Whoever saves a version holds the graph, too; neither waits for the other.
            create_version(graph=version.graph, document=version.document())

    assert Execution.objects.get().graph_version == version
