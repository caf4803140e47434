"""Fixtures for tests of runs."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from kombu import Connection
from pytest_django import Settings

from credits.history import forget_history
from credits.price_list import forget_prices
from execution import examination, joint_records, recovery
from execution.presence import Presence, find_listened
from execution.queues import CPU_QUEUE, IO_QUEUE
from execution.store.parts import Part
from execution.store.recording import JointlyRecorded, record_jointly
from tests.config.processes import wait_until
from tests.execution.agents_folder import AGENTS_FOLDER
from tests.execution.drain import Drain
from tests.execution.paid_blocks import MODULES
from tests.execution.running_ahead import Ahead

# Who has no real agents has no tests of them.
collect_ignore = [] if any(AGENTS_FOLDER.glob("*.json")) else ["test_agents.py"]


@pytest.fixture
def paid_blocks(settings: Settings) -> None:
    """Blocks of the tests that cost something, and node executions that cost nothing beside."""
    settings.BLOCK_MODULES = MODULES
    settings.NODE_EXECUTIONS_PER_CREDIT = 0
    forget_prices()
    forget_history()


@pytest.fixture
def goes_on(drain: Drain) -> None:
    """Let who runs something go on with what that has made ready, as a worker's process does."""
    drain.goes_on = True


@pytest.fixture
def together(quick_blocks: None, goes_on: None, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many ends each joint record has recorded so far, of blocks that are all quick."""
    counts: list[int] = []

    def count(parts: Sequence[Part], **options: Any) -> JointlyRecorded:
        recorded = record_jointly(parts, **options)
        counts.append(len(recorded.accepted))
        return recorded

    monkeypatch.setattr(joint_records, "record_jointly", count)
    return counts


@pytest.fixture
def ahead(quick_blocks: None, goes_on: None, monkeypatch: pytest.MonkeyPatch) -> Ahead:
    """What is run ahead, and recorded together, of blocks that are all quick."""
    return Ahead(monkeypatch)


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., str]:
    """Write JSON to a file and return its path."""

    def write(value: Any, name: str = "graph.json") -> str:
        path = tmp_path / name
        path.write_text(json.dumps(value))
        return str(path)

    return write


@pytest.fixture
def quick_doctor(drain: Drain, broker: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the doctor look again at once and send to the drain; the broker is empty before, the storage afterwards."""
    monkeypatch.setattr(examination, "send", drain.send)
    monkeypatch.setattr(examination, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(examination, "PATIENCE_OF_LEASE", 0)
    monkeypatch.setattr(recovery, "PATIENCE_OF_LEASE", 0)
    yield
    _empty("")


@pytest.fixture
def listeners(broker: Connection) -> Iterator[None]:
    """Somebody who says that they listen to all queues."""
    queues = {CPU_QUEUE, IO_QUEUE}
    presence = Presence(queues)
    presence.start()
    assert wait_until(lambda: find_listened(queues) == queues)
    yield
    presence.stop()


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
