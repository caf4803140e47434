"""Fixtures for tests of runs."""

import pytest

from tests.execution.agents_folder import AGENTS_FOLDER
from tests.execution.drain import Drain, KeeperWithoutThread

# Who has no real agents has no tests of them.
collect_ignore = [] if any(AGENTS_FOLDER.glob("*.json")) else ["test_agents.py"]


@pytest.fixture
def drain(monkeypatch: pytest.MonkeyPatch) -> Drain:
    """What services send goes here instead of to the broker, and what runs here is recorded by this thread alone."""
    queue, keeper = Drain(), KeeperWithoutThread()
    monkeypatch.setattr("execution.services.send", queue.send)
    monkeypatch.setattr("execution.runner.keeper", keeper)
    monkeypatch.setattr("execution.attempts.keeper", keeper)
    return queue
