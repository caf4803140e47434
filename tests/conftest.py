"""Fixtures for all tests. Tests that ask for no server start none."""

import math
import os
from collections.abc import Iterator

import psycopg
import pytest
import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.contenttypes.management import create_contenttypes
from django.db import connection
from django.db.models.signals import post_migrate
from kombu import Connection
from pytest_django import DjangoDbBlocker, Settings
from rest_framework.test import APIClient

from config.startup import require_broker, require_database
from execution.paces import Paces, paces
from execution.workers import WorkerProcesses
from tests.credits.stripe_double import WEBHOOK_SECRET, StripeDouble
from tests.execution.drain import Drain, KeeperWithoutThread
from tests.left_behind import await_end_of_others, connect_to, empty_queues
from tests.settings import TEST_DATABASE_PREFIX, USES_EMBEDDED_DATABASE

_HAS_DATABASE = pytest.StashKey[bool]()
_BROKER_SERVER = pytest.StashKey[str]()


@pytest.fixture(scope="session", autouse=True)
def loggers_as_configured() -> None:
    """Have each logger look up its processors whenever it is used: a test that catches them may not be the first."""
    structlog.configure(cache_logger_on_first_use=False)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Have PostgreSQL before pytest-django makes the test database."""
    require_database()
    if USES_EMBEDDED_DATABASE:
        _drop_leftover_databases()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker, pytestconfig: pytest.Config) -> None:
    """Let tests that commit empty the tables afterwards: nothing else may ever empty the ledger."""
    # What these fill is not emptied.
    assert post_migrate.disconnect(create_contenttypes)
    assert post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE credits_ledgerentry DISABLE TRIGGER ledger_is_never_emptied")
        cursor.execute("ALTER TABLE credits_hold DISABLE TRIGGER holds_are_never_emptied")
    pytestconfig.stash[_HAS_DATABASE] = True


@pytest.fixture(scope="module", autouse=True)
def nothing_left(django_db_blocker: DjangoDbBlocker, pytestconfig: pytest.Config) -> Iterator[None]:
    """Let no module meet what the processes of another have left."""
    yield
    if pytestconfig.stash.get(_HAS_DATABASE, False):
        with django_db_blocker.unblock():
            await_end_of_others()
    if broker_server := pytestconfig.stash.get(_BROKER_SERVER, ""):
        with connect_to(broker_server) as connection:
            empty_queues(connection)


@pytest.fixture
def user(db: None) -> User:
    """A user who owns things."""
    return User.objects.create_user(username="ada", password="analytical-engine")


@pytest.fixture
def drain(monkeypatch: pytest.MonkeyPatch) -> Drain:
    """What services send goes here instead of to the broker, and what runs here is recorded by this thread alone."""
    queue, keeper = Drain(), KeeperWithoutThread()
    monkeypatch.setattr("execution.services.send", queue.send)
    for module in ("attempts", "beginning", "runner"):
        monkeypatch.setattr(f"execution.{module}.keeper", keeper)
    # How quick a block is depends on what else the machine does.
    monkeypatch.setattr(Paces, "is_quick", lambda _paces, _spec: False)
    monkeypatch.setattr(paces, "_room", math.inf)
    monkeypatch.setattr(paces, "_in_vain", {})
    return queue


@pytest.fixture
def quick_blocks(drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks are quick: several of one run are claimed at once, and recorded together."""
    monkeypatch.setattr(Paces, "is_quick", lambda _paces, _spec: True)


@pytest.fixture
def client(user: User) -> APIClient:
    """The user's client of the API, who needs no key."""
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def stripe_double(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[StripeDouble]:
    """A Stripe of our own, to which payments go."""
    monkeypatch.setattr("credits.payments.stripe_provider.RETRIES", 0)
    with StripeDouble() as double:
        settings.STRIPE_SECRET_KEY = f"sk_test_{double.address}"
        settings.STRIPE_WEBHOOK_SECRET = WEBHOOK_SECRET
        settings.STRIPE_API_BASE = double.address
        yield double


@pytest.fixture(scope="session")
def broker_server(pytestconfig: pytest.Config) -> str:
    """The URL of the tests' own, empty broker database."""
    require_broker()
    broker_server = pytestconfig.stash[_BROKER_SERVER] = str(settings.CELERY_BROKER_URL)
    # A test run that was killed has left messages.
    with connect_to(broker_server) as connection:
        empty_queues(connection)
    return broker_server


@pytest.fixture
def broker(broker_server: str) -> Iterator[Connection]:
    """A connection to the tests' broker with nothing in its queues."""
    with connect_to(broker_server) as connection:
        empty_queues(connection)
        yield connection


@pytest.fixture(scope="module")
def workers(
    django_db_setup: None, broker_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcesses]:
    """Real worker processes on the test database, for tests marked `django_db(transaction=True)`."""
    with WorkerProcesses(
        concurrency=2,
        environment=worker_environment(),
        log_folder=tmp_path_factory.mktemp("workers"),
    ) as running:
        yield running


def worker_environment() -> dict[str, str]:
    """Return the variables that bind a process to the test database and the tests' broker."""
    return {
        "DJANGO_SETTINGS_MODULE": "tests.worker_settings",
        "DATABASE_NAME": str(settings.DATABASES["default"]["NAME"]),
        "REDIS_DATABASE": os.environ["REDIS_DATABASE"],
        "LEASE_SECONDS": str(settings.LEASE_SECONDS),
    }


def _drop_leftover_databases() -> None:
    """Drop the databases of test runs that were killed."""
    database = settings.DATABASES["default"]
    with psycopg.connect(
        host=database["HOST"], user=database["USER"], dbname="postgres", autocommit=True
    ) as connection:
        pattern = TEST_DATABASE_PREFIX.replace("_", r"\_") + "%"
        for (name,) in connection.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE %s", [pattern]
        ).fetchall():
            pid = name.removeprefix(TEST_DATABASE_PREFIX).partition("_")[0]
            if pid.isdigit() and not _is_alive(int(pid)):
                connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
