"""What root's servers may do as another user: pass closed folders and read there, nothing else."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config.embedded.privileges import Account, find_account, is_open_to_all, prepare_child

pytestmark = pytest.mark.skipif(
    not (sys.platform == "linux" and os.geteuid() == 0), reason="only root can become another user"
)

CAP_DAC_READ_SEARCH = 1 << 2


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder that only root may enter, with a file that only root may read."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    (folder / "file").write_text("content")
    (folder / "file").chmod(0o600)
    return folder


@pytest.fixture
def account(tmp_path: Path) -> Account:
    found = find_account(tmp_path)
    assert found is not None and found.uid != 0
    return found


def run_as(account: Account, *command: str, may_pass: bool) -> subprocess.CompletedProcess[str]:
    prepare = prepare_child(account=account, may_pass=may_pass, death_signal=signal.SIGTERM)
    return subprocess.run(command, preexec_fn=prepare, cwd="/", capture_output=True, text=True, check=False)


def capabilities_of(account: Account, *, may_pass: bool) -> set[int]:
    status = run_as(account, "cat", "/proc/self/status", may_pass=may_pass).stdout
    held = dict(line.split(":\t", 1) for line in status.splitlines() if line.startswith("Cap"))
    return {int(held[name], base=16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}


def test_only_who_may_pass_reads_in_a_closed_folder(closed: Path, account: Account) -> None:
    assert not is_open_to_all(closed)

    assert run_as(account, "cat", str(closed / "file"), may_pass=True).stdout == "content"
    assert run_as(account, "cat", str(closed / "file"), may_pass=False).returncode != 0


def test_who_may_pass_can_neither_change_nor_make_anything_there(closed: Path, account: Account) -> None:
    changed = run_as(account, "sh", "-c", f"echo other > '{closed}/file'", may_pass=True)
    made = run_as(account, "touch", str(closed / "new"), may_pass=True)

    assert changed.returncode != 0 and made.returncode != 0
    assert [path.name for path in closed.iterdir()] == ["file"]
    assert (closed / "file").read_text() == "content"


def test_nothing_else_is_left_of_roots_privileges(account: Account) -> None:
    assert capabilities_of(account, may_pass=True) == {CAP_DAC_READ_SEARCH}
    assert capabilities_of(account, may_pass=False) == {0}
