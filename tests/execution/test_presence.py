"""Workers are noticed while they live."""

from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from execution.presence import LOCK_CLASS, Presence, find_listened
from execution.store.sessions import open_session
from tests.config.processes import wait_until

QUEUES = ("presence-a", "presence-b", "presence-c")

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def presence() -> Presence:
    return Presence(QUEUES[:2])


def test_who_listens_is_noticed_until_they_stop(presence: Presence) -> None:
    assert find_listened(QUEUES) == set()

    presence.start()
    assert wait_until(lambda: find_listened(QUEUES) == set(QUEUES[:2]))
    presence.stop()

    assert wait_until(lambda: find_listened(QUEUES) == set())


def test_any_number_may_listen(presence: Presence) -> None:
    other = Presence(QUEUES[1:])
    presence.start()
    other.start()
    assert wait_until(lambda: find_listened(QUEUES) == set(QUEUES))

    presence.stop()

    assert wait_until(lambda: find_listened(QUEUES) == set(QUEUES[1:]))
    other.stop()


def test_who_listens_comes_back_after_the_database_was_away(presence: Presence) -> None:
    of_others = find_sessions()
    presence.start()
    assert wait_until(lambda: find_listened(QUEUES) == set(QUEUES[:2]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s) pid", [list(find_sessions() - of_others)])
    assert wait_until(lambda: find_listened(QUEUES) == set())

    assert wait_until(lambda: find_listened(QUEUES) == set(QUEUES[:2]))

    presence.stop()


def test_who_has_met_what_nobody_expects_comes_back_too(presence: Presence, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([ValueError("unexpected")])

    def fail_once() -> Any:
        for error in failures:
            raise error
        return open_session()

    monkeypatch.setattr("execution.presence.open_session", fail_once)
    monkeypatch.setattr("execution.presence.CHECK_SECONDS", 0.01)
    presence.start()

    assert wait_until(lambda: find_listened(QUEUES) == set(QUEUES[:2]))

    presence.stop()


def find_sessions() -> set[int]:
    """Return the database sessions of all who listen, the workers of other tests among them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT pid FROM pg_locks WHERE classid = %s", [LOCK_CLASS])
        return {pid for (pid,) in cursor.fetchall()}


def test_workers_of_another_broker_do_not_count(presence: Presence, settings: Settings) -> None:
    presence.start()
    assert wait_until(lambda: find_listened(QUEUES) == set(QUEUES[:2]))

    settings.CELERY_BROKER_URL = "redis://elsewhere/0"

    assert find_listened(QUEUES) == set()
    presence.stop()
