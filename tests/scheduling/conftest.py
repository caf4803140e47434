"""Fixtures for tests of schedules."""

import pytest

from tests.execution.drain import Drain, KeeperWithoutThread


@pytest.fixture
def drain(monkeypatch: pytest.MonkeyPatch) -> Drain:
    """What services send goes here instead of to the broker, and what runs here is recorded by this thread alone."""
    queue, keeper = Drain(), KeeperWithoutThread()
    monkeypatch.setattr("execution.services.send", queue.send)
    monkeypatch.setattr("execution.runner.keeper", keeper)
    monkeypatch.setattr("execution.attempts.keeper", keeper)
    return queue
