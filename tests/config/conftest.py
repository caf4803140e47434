"""Fixtures for tests of the whole project."""

from uuid import UUID

import pytest

from execution import block_views, services
from execution.block_runs import await_execution


@pytest.fixture
def nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs begin that nobody works at, and nobody wait for their end."""

    def look_once(*, execution_id: UUID, seconds: float) -> bool:
        return await_execution(execution_id=execution_id, seconds=0)

    monkeypatch.setattr(services, "send", list)
    # Not its longest wait, which a module that is imported meanwhile would keep.
    monkeypatch.setattr(block_views, "await_execution", look_once)
