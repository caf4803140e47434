"""Files that no run owns any more are found and removed, others stay."""

import json
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone

from execution import file_examination
from execution.context import RunFiles
from execution.file_examination import find_lost_values, find_orphaned_files
from execution.models import DeletedRun
from execution.retention import clean_up_files
from execution.run_files import FilesOfRun
from execution.store import references
from execution.store.pruning import SLACK, first_id_of
from execution.store.references import find_references
from graphs.models import new_id
from tests.execution.damage import ECHO, assert_found_and_mended, doctor, found, run_all
from tests.execution.drain import Drain
from tests.execution.small_graphs import ASK, CALCULATOR, INPUT, OUTPUT, draw

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_doctor")]


def test_files_whose_run_is_gone_are_removed(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ECHO)
    kept = RunFiles(user.pk, run.pk).save(b"kept", name="a.txt", media_type="text/plain").removeprefix("file:")
    gone = FilesOfRun(user_id=str(user.pk), execution_id=first_id_of(timezone.now() - 2 * SLACK))
    default_storage.save(f"{gone.folder}/a.txt", ContentFile(b"gone"))
    default_storage.save(f"runs/{user.pk}/not-a-run/a.txt", ContentFile(b"somebody else's"))

    assert_found_and_mended({"orphaned_files"}, subject=gone.folder)

    assert not gone.exist()
    assert default_storage.exists(kept)
    assert default_storage.exists(f"runs/{user.pk}/not-a-run/a.txt")


def test_files_of_a_run_that_begins_are_left_alone(user: User) -> None:
    """They are written before its row is committed."""
    begins = FilesOfRun(user_id=str(user.pk), execution_id=new_id())
    default_storage.save(f"{begins.folder}/a.txt", ContentFile(b"an input"))

    assert clean_up_files() == 0
    assert begins.exist()


def test_files_of_a_run_that_is_being_cleared_away_are_left_to_who_does_that(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = first_id_of(timezone.now() - 2 * SLACK)
    deleted, cleared = (FilesOfRun(user_id=str(user.pk), execution_id=UUID(int=old.int + n)) for n in range(2))
    DeletedRun.objects.create(execution_id=deleted.execution_id, user_id=user.pk, deleted_at=timezone.now())
    default_storage.save(f"{deleted.folder}/a.txt", ContentFile(b"goes after its rows"))
    # One was seen in the storage, and is gone and forgotten by now.
    monkeypatch.setattr(file_examination, "find_files_of_runs", lambda: iter([deleted, cleared]))

    assert find_orphaned_files() == []


def test_a_storage_that_can_not_be_read_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: str) -> tuple[list[str], list[str]]:
        raise PermissionError("no")

    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "listdir", fail)
        code, report = doctor("--repair")

    assert (code, found(report)) == (1, {"orphaned_files"})


LARGE = "ä" * 30_000
PLACES = (
    ("execution_execution", "input_data", '{"in": %s}'),
    ("execution_execution", "nodes_input_masks", '{"a": {"b": %s}}'),
    ("execution_execution", "mocks", '{"a": %s}'),
    ("execution_nodeexecution", "inputs", '{"value": %s}'),
    *((f"execution_{table}", "value", "%s") for table in ("nodeinput", "output", "runoutput", "staticvalue")),
    ("execution_review", "data", "%s"),
    ("execution_review", "decided_data", "%s"),
)


def test_a_large_value_whose_file_is_gone_is_found(user: User, drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "PAGES_AT_ONCE", 1)
    document = draw(
        {"in": (INPUT, {"name": "in", "value": LARGE}), "out": (OUTPUT, {"name": "out"})}, ["in.result -> out.value"]
    )
    run = run_all(user, drain, document)
    folder = f"{FilesOfRun(user_id=str(user.pk), execution_id=run.pk).folder}/values"
    files = {f"{folder}/{name}" for name in default_storage.listdir(folder)[1]}
    assert files
    assert {each.path for each in find_references()} == files
    assert doctor()[0] == 0

    lost = files.pop()
    default_storage.delete(lost)

    assert_found_and_mended({"lost_values"}, subject=lost, mended=False)


def test_wherever_a_row_refers_to_it(user: User, drain: Drain) -> None:
    document = draw(
        {
            "in": (INPUT, {"name": "in", "value": 1}),
            "add": (CALCULATOR, {"operation": "Add"}),
            "also": (INPUT, {"name": "also", "value": 2}),
            "ask": (ASK, {"name": "Yes?"}),
            "out": (OUTPUT, {"name": "out"}),
        },
        ["in.result -> add.a", "also.result -> add.b", "add.result -> out.value", "in.result -> ask.data"],
    )
    run_all(user, drain, document)
    with connection.cursor() as cursor:
        for table, column, form in PLACES:
            reference = json.dumps({"$stored": {"path": f"runs/{table}/{column}", "bytes": 1}}, separators=(",", ":"))
            cursor.execute(f"UPDATE {table} SET {column} = %s::json", [form % reference])  # noqa: S608
            assert cursor.rowcount, table

    assert {hit.subject for hit in find_lost_values()} == {f"runs/{table}/{column}" for table, column, _ in PLACES}


def test_what_only_looks_like_a_reference_is_none(user: User, drain: Drain) -> None:
    value = {"$stored": {"path": "runs/nowhere", "bytes": 1}}
    document = draw(
        {"in": (INPUT, {"name": "in", "value": [value]}), "out": (OUTPUT, {"name": "out"})}, ["in.result -> out.value"]
    )
    run_all(user, drain, document)

    assert find_lost_values() == []
