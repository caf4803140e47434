"""Fixtures for tests of runs."""

from collections.abc import Iterator

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from tests.execution.drain import Drain


@pytest.fixture(scope="session")
def left_over_sessions(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """End the database sessions of threads that live as long as this process, so that the database can be dropped."""
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture
def drain(monkeypatch: pytest.MonkeyPatch, left_over_sessions: None) -> Drain:
    """What services send goes here instead of to the broker."""
    queue = Drain()
    monkeypatch.setattr("execution.services.send", queue.send)
    return queue
