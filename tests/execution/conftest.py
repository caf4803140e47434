"""Fixtures for tests of runs."""

from collections.abc import Iterator

import pytest
from django.core.files.storage import default_storage
from kombu import Connection
from pytest_django import Settings

from execution import examination, recovery
from tests.execution.agents_folder import AGENTS_FOLDER
from tests.execution.drain import Drain

# Who has no real agents has no tests of them.
collect_ignore = [] if any(AGENTS_FOLDER.glob("*.json")) else ["test_agents.py"]


@pytest.fixture
def goes_on(drain: Drain) -> None:
    """Let who runs something go on with what that has made ready, as a worker's process does."""
    drain.goes_on = True


@pytest.fixture
def quick_doctor(drain: Drain, broker: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the doctor look again at once and send to the drain; the broker is empty before, the storage afterwards."""
    monkeypatch.setattr(examination, "send", drain.send)
    monkeypatch.setattr(examination, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(examination, "PATIENCE_OF_LEASE", 0)
    monkeypatch.setattr(recovery, "PATIENCE_OF_LEASE", 0)
    yield
    _empty("")


def _empty(folder: str) -> None:
    folders, files = default_storage.listdir(folder)
    for name in folders:
        _empty(f"{folder}/{name}".removeprefix("/"))
    for name in (*files, *folders):
        default_storage.delete(f"{folder}/{name}".removeprefix("/"))


@pytest.fixture(autouse=True)
def storage_of_its_own(settings: Settings) -> None:
    """Let no test find the files of another: the storage in memory lasts as long as its setting."""
    settings.STORAGES = {**settings.STORAGES}
