"""Retention: what ended long ago goes, with all that belongs to it, and nothing else does."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from execution import pruning
from execution.context import RunFiles
from execution.engine.statuses import Status
from execution.models import (
    DeletedRun,
    Execution,
    NodeExecution,
    NodeInput,
    Output,
    PastAttempt,
    Review,
    RunOutput,
    SimulatedValue,
    StaticValue,
)
from execution.pruning import Retention, prune
from execution.retention import clean_up_files
from execution.run_files import FilesOfRun
from execution.services import replay_execution, stop_execution
from execution.store.clearing import AFTER_RUNS, OF_NODE_EXECUTIONS
from execution.store.pruning import (
    NO_ID,
    SLACK,
    WITH_RUNS,
    OldRuns,
    first_id_of,
    lock_prunable,
)
from execution.store.sessions import open_session
from tests.execution.drain import Drain
from tests.execution.old_runs import (
    ECHO,
    MONTH,
    OLD,
    age,
    example,
    exists,
    folders_of_runs,
    prune_by_command,
    run_to_its_end,
)
from tests.execution.small_graphs import ASK, INPUT, draw

pytestmark = pytest.mark.django_db(transaction=True)

WAITING = draw({"in": (INPUT, {"name": "in", "value": 1}), "ask": (ASK, {"name": "Yes?"})}, ["in.result -> ask.data"])

TABLES: list[Any] = [
    NodeExecution,
    NodeInput,
    Output,
    PastAttempt,
    Review,
    RunOutput,
    SimulatedValue,
    StaticValue,
    Execution,
]


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    yield
    for files in list(folders_of_runs()):
        files.remove()


def save_file(run: Execution) -> str:
    reference = RunFiles(run.user_id, run.pk).save(b"content", name="a.txt", media_type="text/plain")
    return reference.removeprefix("file:")


def test_a_run_that_ended_long_ago_goes_with_everything_of_it(user: User, drain: Drain) -> None:
    old = run_to_its_end(user, drain, example("doubling"))
    new = run_to_its_end(user, drain, example("doubling"))
    age(old)
    path = save_file(old)
    kept = {model: model.objects.filter(**_of(model, new)).count() for model in TABLES}

    pruned = prune(OLD)

    assert (pruned.runs, pruned.node_executions, pruned.files, pruned.failed) == (1, new.opened, 1, 0)
    assert {model: model.objects.count() for model in TABLES} == kept
    assert exists(new)
    assert not exists(old)
    assert not default_storage.exists(path)
    assert not default_storage.exists(FilesOfRun(user_id=str(user.pk), execution_id=old.pk).folder)


def _of(model: Any, run: Execution) -> dict[str, Any]:
    if model is Execution:
        return {"pk": run.pk}
    by_run = {field.name for field in model._meta.fields} & {"execution"}
    return {"execution": run} if by_run else {"node_execution__execution": run}


def test_no_kind_of_row_is_left_behind(user: User, drain: Drain) -> None:
    run = run_to_its_end(user, drain, WAITING)
    stop_execution(execution_id=run.pk)
    node = NodeExecution.objects.filter(execution=run).order_by("-id")[0]
    now = timezone.now()
    PastAttempt.objects.create(node_execution=node, number=1, outcome="LOST", began_at=now, ended_at=now)
    SimulatedValue.objects.create(execution=run, key="a", value=1)
    StaticValue.objects.create(execution=run, node_id=node.node_id, pin="a", value=1)
    RunOutput.objects.create(execution=run, position=0, name="a", value=1)
    NodeInput.objects.create(node_execution=node, pin="late", value=1)
    assert all(model.objects.exists() for model in TABLES)
    age(run)

    prune(OLD)

    assert [model.__name__ for model in TABLES if model.objects.exists()] == []


def test_a_replay_stays_when_its_origin_goes(user: User, drain: Drain) -> None:
    origin = run_to_its_end(user, drain, ECHO)
    chosen = NodeExecution.objects.filter(execution=origin).order_by("-id")[0]
    replay = replay_execution(execution_id=origin.pk, node_execution_id=chosen.pk)
    drain.run()
    assert (replay.origin_id, replay.origin_node_execution_id) == (origin.pk, chosen.pk)
    age(origin)

    pruned = prune(OLD)

    assert (pruned.runs, exists(origin)) == (1, False)
    replay.refresh_from_db()
    assert (replay.status, replay.origin_id, replay.origin_node_execution_id) == (Status.COMPLETED, None, None)
    assert RunOutput.objects.filter(execution=replay).count() == 1


def test_every_table_that_hangs_on_runs_is_known() -> None:
    """A new model that refers to runs must be deleted with them, or say that it stays."""
    hanging = {
        relation.related_model._meta.db_table
        for model in (Execution, NodeExecution)
        for relation in model._meta.related_objects
    }

    assert hanging == {*WITH_RUNS, *AFTER_RUNS, *OF_NODE_EXECUTIONS, "execution_execution"}


def test_what_has_not_ended_or_is_new_stays(user: User, drain: Drain) -> None:
    waiting = run_to_its_end(user, drain, WAITING)
    new = run_to_its_end(user, drain)
    age(waiting)

    pruned = prune(OLD)

    assert pruned.runs == 0
    assert exists(waiting)
    assert exists(new)


def test_a_sub_run_goes_only_with_its_root(user: User, drain: Drain) -> None:
    old = run_to_its_end(user, drain, example("triangles"))
    new = run_to_its_end(user, drain, example("triangles"))
    age(old)
    Execution.objects.filter(root=new).update(ended_at=timezone.now() - 2 * MONTH)
    of_new = Execution.objects.filter(root=new).count()
    assert of_new > 1

    pruned = prune(OLD)

    assert (pruned.runs, pruned.sub_runs) == (1, of_new)
    assert Execution.objects.count() == 1 + of_new
    assert exists(new)


@pytest.mark.parametrize("change", [{"status": Status.RUNNING, "ended_at": None}, {"ended_at": timezone.now()}])
def test_a_run_stays_while_something_below_it_must(user: User, drain: Drain, change: dict[str, Any]) -> None:
    run = run_to_its_end(user, drain, example("triangles"))
    age(run)
    below = Execution.objects.filter(root=run)
    below.filter(pk=below[0].pk).update(**change)

    assert prune(OLD).runs == 0
    assert below.count() > 1


def test_only_runs_with_the_wanted_status_go_and_no_more_than_wanted(user: User, drain: Drain) -> None:
    completed = [run_to_its_end(user, drain) for _ in range(3)]
    stopped = run_to_its_end(user, drain, WAITING)
    stop_execution(execution_id=stopped.pk)
    age(*completed, stopped)

    assert prune(Retention(age=MONTH, statuses=[Status.TERMINATED])).runs == 1
    assert not exists(stopped)
    assert prune(Retention(age=MONTH, limit=2, batch=1)).runs == 2
    assert [exists(run) for run in completed] == [False, False, True]


def test_batches_are_small_and_what_is_large_goes_alone(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [run_to_its_end(user, drain) for _ in range(5)]
    age(*runs)
    by_batch: list[int] = []

    prune(Retention(age=MONTH, batch=2, limit=3), report=lambda pruned: by_batch.append(pruned.runs))
    monkeypatch.setattr(pruning, "SUB_RUNS_PER_BATCH", 1)
    prune(OLD, report=lambda pruned: by_batch.append(pruned.runs))

    assert by_batch == [2, 3, 1, 2]
    assert not Execution.objects.exists()


def test_whoever_holds_a_run_is_not_waited_for(user: User, drain: Drain) -> None:
    held, free = run_to_its_end(user, drain), run_to_its_end(user, drain)
    age(held, free)
    # A session that is only closed may keep its locks for a while.
    with closing(open_session()) as session, session.transaction():
        session.execute("SELECT FROM execution_execution WHERE id = %s FOR NO KEY UPDATE", [held.pk])
        pruned = prune(OLD)

    assert pruned.runs == 1
    assert exists(held)
    assert prune(OLD).runs == 1


def test_the_oldest_go_first_and_ids_of_the_present_are_not_even_looked_at(user: User, drain: Drain) -> None:
    older, old, new = (run_to_its_end(user, drain) for _ in range(3))
    age(older, by=3 * MONTH)
    age(old)
    Execution.objects.filter(pk=new.pk).update(ended_at=timezone.now() - 2 * MONTH)
    moment: datetime = timezone.now() - MONTH

    with transaction.atomic():
        batch = lock_prunable(OldRuns(before=moment), after=NO_ID, limit=10, most_runs=1000)

    assert [tree.root_id for tree in batch.trees] == [older.pk, old.pk]


def test_files_that_can_not_be_removed_are_removed_the_next_time(
    user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, free = run_to_its_end(user, drain), run_to_its_end(user, drain)
    age(stuck, free)
    paths = [save_file(stuck), save_file(free)]
    really_delete = default_storage.delete

    def delete(name: str) -> None:
        if str(stuck.pk) in name:
            raise PermissionError("the disk is read-only")
        really_delete(name)

    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "delete", delete)
        code, out, err = prune_by_command("--older-than", "30")

    assert code == 1
    assert "Deleted 2 runs" in out
    assert "read-only" in err
    assert str(stuck.pk) in err
    assert not exists(stuck)
    assert [default_storage.exists(path) for path in paths] == [True, False]
    assert prune_by_command("--older-than", "30")[0] == 0
    assert not DeletedRun.objects.exists()
    assert not default_storage.exists(paths[0])


def test_files_in_folders_go_too_and_removing_twice_does_no_harm(user: User, drain: Drain) -> None:
    run = run_to_its_end(user, drain)
    files = FilesOfRun(user_id=str(user.pk), execution_id=run.pk)
    save_file(run)
    default_storage.save(f"{files.folder}/values/large.json", ContentFile(b"[]"))

    assert files.exist()
    assert files.remove() == 2
    assert not files.exist()
    assert files.remove() == 0


def test_files_whose_run_is_gone_are_removed_and_no_others(user: User, drain: Drain) -> None:
    ids = run_to_its_end(user, drain).pk, first_id_of(timezone.now() - 2 * SLACK)
    kept, orphaned = (FilesOfRun(user_id=str(user.pk), execution_id=key) for key in ids)
    for files in (kept, orphaned):
        default_storage.save(f"{files.folder}/letter.txt", ContentFile(b"Dear Ada"))

    assert clean_up_files() == 1
    assert kept.exist()
    assert not orphaned.exist()
    assert clean_up_files() == 0
