"""Files that no run owns any more are found and removed, others stay."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from execution.context import RunFiles
from execution.run_files import FilesOfRun
from tests.execution.damage import ECHO, assert_found_and_mended, doctor, found, run_all
from tests.execution.drain import Drain

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_doctor")]


def test_files_whose_run_is_gone_are_removed(user: User, drain: Drain) -> None:
    run = run_all(user, drain, ECHO)
    kept = RunFiles(user.pk, run.pk).save(b"kept", name="a.txt", media_type="text/plain").removeprefix("file:")
    gone = FilesOfRun(user_id=str(user.pk), execution_id=uuid4())
    default_storage.save(f"{gone.folder}/a.txt", ContentFile(b"gone"))
    default_storage.save(f"runs/{user.pk}/not-a-run/a.txt", ContentFile(b"somebody else's"))

    assert_found_and_mended({"orphaned_files"}, subject=gone.folder)

    assert not gone.exist()
    assert default_storage.exists(kept)
    assert default_storage.exists(f"runs/{user.pk}/not-a-run/a.txt")


def test_a_storage_that_can_not_be_read_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: str) -> tuple[list[str], list[str]]:
        raise PermissionError("no")

    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "listdir", fail)
        code, report = doctor("--repair")

    assert (code, found(report)) == (1, {"orphaned_files"})
