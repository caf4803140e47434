"""Recovery as a periodic task: the same sweep as that of the workers' threads, under the same lock."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from structlog.testing import capture_logs

from execution.models import NodeExecution
from execution.recovery import LEADER_LOCK
from execution.store.claims import claim
from execution.store.sessions import open_session
from scheduling.upkeep import recover
from tests.execution.drain import Drain
from tests.execution.losing import ECHO, start

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def sent(drain: Drain, monkeypatch: pytest.MonkeyPatch) -> Drain:
    monkeypatch.setattr("scheduling.upkeep.send", drain.send)
    return drain


def lose_one(user: User, drain: Drain, settings: Any) -> NodeExecution:
    """Let a worker die that has claimed a node execution."""
    settings.LEASE_SECONDS = 0.002
    start(user, ECHO)
    claimed = claim(drain.waiting.pop().id, lease_seconds=-1)
    assert claimed is not None
    return NodeExecution.objects.get(pk=claimed.id)


def test_what_is_lost_goes_on_and_the_lock_is_free_again(user: User, drain: Drain, settings: Any) -> None:
    lost = lose_one(user, drain, settings)

    with capture_logs() as logs:
        recover()

    lost.refresh_from_db()
    assert (lost.status, [each.id for each in drain.waiting]) == ("QUEUED", [lost.pk])
    assert any("no worker looked after" in each["event"] for each in logs)
    session = open_session()
    row = session.execute("SELECT pg_try_advisory_lock(%s)", [LEADER_LOCK]).fetchone()
    session.close()
    assert row == (True,)


def test_while_a_worker_leads_there_is_nothing_to_do(user: User, drain: Drain, settings: Any) -> None:
    lost = lose_one(user, drain, settings)
    leader = open_session()
    leader.execute("SELECT pg_advisory_lock(%s)", [LEADER_LOCK])

    with capture_logs() as logs, CaptureQueriesContext(connection) as queries:
        recover()
    leader.close()

    lost.refresh_from_db()
    assert (lost.status, drain.waiting, logs) == ("RUNNING", [], [])
    assert len(queries) <= 2
