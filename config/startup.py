"""What a process does before it uses the servers: start the embedded ones, make sure that others answer."""

import os

import django
import psycopg
import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from kombu import Connection

from config import embedded
from config.local import LocalFolderError

_CONNECT_SECONDS = 5

logger = structlog.get_logger(__name__)


class ServerUnavailableError(Exception):
    """A server that was named by its URL doesn't answer; the text says which and why in one sentence."""


# What ends a program with one sentence instead of a traceback.
STARTUP_ERRORS = (ImproperlyConfigured, LocalFolderError, embedded.ServerError, ServerUnavailableError)


def require_database() -> None:
    """Make sure that PostgreSQL is there until this process ends."""
    if settings.EMBEDDED_SERVERS:
        embedded.hold(settings.EMBEDDED_SERVERS)
    if embedded.POSTGRES in settings.EMBEDDED_SERVERS:
        return
    database = settings.DATABASES["default"]
    try:
        psycopg.connect(
            dbname=database["NAME"],
            user=database["USER"] or None,
            password=database["PASSWORD"] or None,
            host=database["HOST"] or None,
            port=database["PORT"] or None,
            **{**database["OPTIONS"], "connect_timeout": _CONNECT_SECONDS},
        ).close()
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ServerUnavailableError(f"PostgreSQL of DATABASE_URL can't be used: {reason}.") from error


def require_tables() -> None:
    """Lay out the tables of the embedded PostgreSQL, if they are not there yet or not as the code wants them.

    A database that somebody named by its URL is theirs to migrate.
    """
    if embedded.POSTGRES not in settings.EMBEDDED_SERVERS:
        return
    django.setup()
    loader = MigrationExecutor(connection).loader
    if any(node not in loader.applied_migrations for node in loader.graph.leaf_nodes()):
        call_command("migrate", verbosity=0, interactive=False)


def look_for_broker() -> None:
    """Start the embedded broker; warn of one of somebody else's that is away: runs are accepted and kept without it."""
    try:
        require_broker()
    except ServerUnavailableError as error:
        if embedded.VALKEY in settings.EMBEDDED_SERVERS:
            raise
        logger.warning("runs are accepted, but don't begin before the broker is back", error=str(error))


def require_broker() -> None:
    """Make sure that the broker is there until this process ends."""
    if embedded.VALKEY in settings.EMBEDDED_SERVERS:
        embedded.hold(settings.EMBEDDED_SERVERS)
        return
    connection = Connection(settings.CELERY_BROKER_URL, connect_timeout=_CONNECT_SECONDS)
    try:
        connection.ensure_connection(max_retries=1, interval_start=1, timeout=_CONNECT_SECONDS)
    except Exception as error:  # each transport has its own family of errors
        name = "BROKER_URL" if os.environ.get("BROKER_URL") else "REDIS_URL"
        raise ServerUnavailableError(f"The broker of {name} ({connection.as_uri()}) can't be used: {error}") from error
    finally:
        connection.release()
