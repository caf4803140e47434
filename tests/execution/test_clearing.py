"""A run is gone at once; what hung on it is cleared away in steps, and nobody sees that it was cut off."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from execution import clearing, pruning
from execution.deletion import delete_execution
from execution.models import DeletedRun, Execution, NodeExecution, Output, Review, RunOutput
from execution.pruning import Retention, prune
from execution.reporting import find_outputs
from execution.retention import clean_up_files
from execution.services import stop_execution
from execution.store import clearing as steps
from execution.store.pruning import Tree, delete_trees
from tests.execution.damage import ECHO, assert_found_and_mended, doctor, found, run_all
from tests.execution.drain import Drain
from tests.execution.small_graphs import ASK, INPUT, OUTPUT, STEP, draw

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_doctor")]

LARGE = "ä" * 30_000
MANY = draw(
    {
        "step": (STEP, {"items": list(range(20))}),
        "out": (OUTPUT, {"name": "Items"}),
        "in": (INPUT, {"name": "in", "value": LARGE}),
        "large": (OUTPUT, {"name": "Large"}),
        "ask": (ASK, {"name": "Yes?"}),
    },
    ["step.item -> out.value", "in.result -> large.value", "in.result -> ask.data"],
)
EVERYTHING = Retention(age=timedelta(0))


@pytest.fixture
def run(user: User, drain: Drain) -> Execution:
    """A run that has ended: it has rows of many kinds, and files."""
    run = run_all(user, drain, MANY)
    stop_execution(execution_id=run.pk)
    run.refresh_from_db()
    return run


@pytest.fixture
def is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database goes away after the first step; a step is small."""
    monkeypatch.setattr(steps, "ROWS_PER_STEP", 5)
    monkeypatch.setattr(steps, "NODES_PER_STEP", 3)
    begun: list[int] = []

    def clear_rows(runs: list[UUID]) -> bool:
        if begun:
            raise OperationalError("terminating connection due to administrator command")
        begun.append(len(runs))
        return steps.clear_rows(runs)

    monkeypatch.setattr(clearing, "clear_rows", clear_rows)


def count_rows() -> int:
    return sum(model._default_manager.count() for model in (NodeExecution, Output, Review, RunOutput))


def assert_nothing_left() -> None:
    assert not (Execution.objects.exists() or DeletedRun.objects.exists())
    assert count_rows() == 0
    assert count_files("runs") == 0


def count_files(folder: str) -> int:
    if not default_storage.exists(folder):
        return 0
    folders, files = default_storage.listdir(folder)
    return len(files) + sum(count_files(f"{folder}/{name}") for name in folders)


def test_a_run_that_can_not_be_deleted_after_all_keeps_its_values(
    run: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_trees: object) -> None:
        raise OperationalError("terminating connection due to administrator command")

    monkeypatch.setattr(pruning, "delete_trees", crash)
    with pytest.raises(OperationalError):
        prune(EVERYTHING)

    assert find_outputs(run)["Large"] == [LARGE]
    assert doctor()[0] == 0


@pytest.mark.usefixtures("is_cut_off")
def test_what_is_left_when_pruning_is_cut_off_is_seen_by_nobody(
    run: Execution, user: User, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = APIClient()
    client.force_authenticate(user)
    graph = f"/v1/graphs/{run.graph_version.graph_id}/executions"
    (review,) = client.get("/v1/reviews").json()["results"]

    with pytest.raises(OperationalError):
        prune(EVERYTHING)

    left = list(NodeExecution.objects.values_list("pk", flat=True))
    assert left
    assert count_files("runs") > 0
    addresses = [f"{graph}/{run.pk}", f"{graph}/{run.pk}/share", f"{graph}/{run.pk}/node_executions/{left[0]}"]
    assert [client.get(address).status_code for address in addresses] == [404] * 3
    assert [client.get(address).json()["results"] for address in (graph, "/v1/reviews")] == [[], []]
    decision = client.post(f"/v1/reviews/{review['id']}/decide", {"approved": True}, format="json")
    assert decision.status_code == 404
    for page in ("nodeexecution", "review", "execution"):
        assert str(run.pk) not in admin_client.get(f"/admin/execution/{page}/").content.decode()
    assert admin_client.get(f"/admin/execution/nodeexecution/{left[0]}/change/").status_code == 302
    assert found(doctor()[1]) == set()

    monkeypatch.undo()
    prune(EVERYTHING)

    assert_nothing_left()


@pytest.mark.usefixtures("is_cut_off")
def test_what_its_owner_deleted_is_cleared_away_by_the_upkeep(run: Execution, monkeypatch: pytest.MonkeyPatch) -> None:
    delete_execution(run=run)

    assert not Execution.objects.exists()
    assert NodeExecution.objects.exists()
    monkeypatch.undo()
    clean_up_files()

    assert_nothing_left()


def test_no_step_deletes_more_than_its_share(run: Execution, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "ROWS_PER_STEP", 7)
    monkeypatch.setattr(steps, "NODES_PER_STEP", 4)
    deleted: list[int] = []

    def clear_rows(runs: list[UUID]) -> bool:
        before = count_rows()
        is_done = steps.clear_rows(runs)
        deleted.append(before - count_rows())
        assert not connection.in_atomic_block
        return is_done

    monkeypatch.setattr(clearing, "clear_rows", clear_rows)
    rows = count_rows()
    prune(EVERYTHING)

    assert sum(deleted) == rows
    assert max(deleted) <= 7 + 4
    assert_nothing_left()


def test_no_run_is_locked_while_files_are_removed(run: Execution, monkeypatch: pytest.MonkeyPatch) -> None:
    really_delete, in_transaction = default_storage.delete, []

    def delete(name: str) -> None:
        in_transaction.append(connection.in_atomic_block)
        really_delete(name)

    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "delete", delete)
        prune(EVERYTHING)

    assert set(in_transaction) == {False}
    assert_nothing_left()


def delete_rows_of_runs(run: Execution) -> None:
    """Do what is done of a deletion when it is cut off at once."""
    with transaction.atomic():
        delete_trees([Tree(root_id=run.pk, runs=((run.pk, run.user_id),), node_executions=0)])


def test_rows_without_a_run_are_found_and_cleared_away(user: User, drain: Drain, run: Execution) -> None:
    other = run_all(user, drain, ECHO)
    kept = NodeExecution.objects.filter(execution=other).count()
    delete_rows_of_runs(run)
    DeletedRun.objects.all().delete()

    assert_found_and_mended({"rows_without_run"}, subject=run.pk)

    assert NodeExecution.objects.count() == kept


def test_what_is_not_cleared_away_for_long_is_found(run: Execution) -> None:
    delete_rows_of_runs(run)
    DeletedRun.objects.update(deleted_at=timezone.now() - timedelta(days=2))

    assert_found_and_mended({"not_cleared_away"}, subject=run.pk)

    assert_nothing_left()


def test_a_run_that_is_there_is_never_cleared_away(run: Execution) -> None:
    rows = count_rows()

    steps.remember_deleted(run.pk)
    clean_up_files()

    assert count_rows() == rows
    assert not DeletedRun.objects.exists()


def test_a_deleted_run_is_remembered_until_nothing_is_left_of_it(run: Execution) -> None:
    delete_rows_of_runs(run)
    RunOutput.objects.all().delete()

    steps.forget_deleted([run.pk])

    assert DeletedRun.objects.exists()
