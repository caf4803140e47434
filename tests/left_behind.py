"""What the processes that tests start leave behind them: database sessions, with their locks, and messages.

A process that has ended has not always gone for PostgreSQL: until that has noticed it, what the process held is held.
"""

import time
from typing import Final

from django.conf import settings
from django.db import connection
from kombu import Connection

MOST_SECONDS: Final = 30.0
_PAUSE: Final = 0.005

_OTHERS = """
SELECT pid, application_name, state, left(query, 100) FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> %s
"""


def await_end_of_others() -> None:
    """Wait until only this process has sessions in its database. AssertionError names those that stay."""
    own_name = connection.settings_dict["OPTIONS"]["application_name"]
    deadline = time.monotonic() + MOST_SECONDS
    with connection.cursor() as cursor:
        while True:
            cursor.execute(_OTHERS, [own_name])
            others = cursor.fetchall()
            if not others:
                return
            assert time.monotonic() < deadline, f"These sessions do not end: {others}"
            time.sleep(_PAUSE)


def connect_to(broker_server: str) -> Connection:
    """Connect to a broker as the project does."""
    return Connection(broker_server, transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS)


def empty_queues(broker: Connection) -> None:
    """Throw away all messages for workers."""
    for queue in settings.CELERY_TASK_QUEUES:
        bound = queue(broker.default_channel)
        bound.declare()
        bound.purge()
