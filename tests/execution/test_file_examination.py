"""Files that no run owns any more are found and removed, others stay."""

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from execution.context import RunFiles
from execution.retention import clean_up_files
from execution.run_files import FilesOfRun
from execution.store.pruning import SLACK, first_id_of
from graphs.models import new_id
from tests.execution.damage import ECHO, assert_found_and_mended, doctor, found, run_all
from tests.execution.drain import Drain

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


def test_a_storage_that_can_not_be_read_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: str) -> tuple[list[str], list[str]]:
        raise PermissionError("no")

    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "listdir", fail)
        code, report = doctor("--repair")

    assert (code, found(report)) == (1, {"orphaned_files"})
