"""A process that can't say that it lives keeps its lease, because its worker says so; one that is frozen doesn't."""

import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from kombu import Connection
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.models import NodeExecution, PastAttempt
from tests.config.processes import wait_until
from tests.execution.failing_blocks import COMPUTING, GATE, MODULES
from tests.execution.test_deaths import DEADLINE, QUICK, UNDISTURBED, Crew, Gated, outputs_of_ended

pytestmark = pytest.mark.django_db(transaction=True)

LEASE = timedelta(seconds=float(QUICK["LEASE_SECONDS"]))


@pytest.fixture
def crew(tmp_path: Path, broker: Connection, settings: Settings) -> Iterator[Crew]:
    settings.BLOCK_MODULES = MODULES
    crew = Crew(tmp_path / "workers")
    yield crew
    crew.dismiss()


def test_a_block_that_computes_for_longer_than_a_lease_is_not_lost(user: User, tmp_path: Path, crew: Crew) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    crew.hire("cpu")
    computing = Gated(user, tmp_path, COMPUTING)
    outlived = NodeExecution.objects.filter(status=Status.RUNNING, lease_until__gt=F("claimed_at") + 4 * LEASE)
    assert wait_until(outlived.exists, seconds=DEADLINE), crew.logs()
    os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))

    assert outputs_of_ended(computing.run, crew) == UNDISTURBED
    assert (computing.node.attempt, computing.node.losses) == (1, 0)
    assert not PastAttempt.objects.exists()


def test_a_process_that_is_frozen_loses_its_lease(user: User, tmp_path: Path, crew: Crew) -> None:
    crew.hire("cpu")
    gated = Gated(user, tmp_path, GATE)
    (pid,) = gated.await_attempts(1)

    os.kill(pid, signal.SIGSTOP)
    assert wait_until(PastAttempt.objects.exists, seconds=DEADLINE), crew.logs()
    os.kill(pid, signal.SIGCONT)
    gated.await_attempts(2)
    gated.open()

    assert outputs_of_ended(gated.run, crew) == UNDISTURBED
    assert PastAttempt.objects.get().outcome == "LOST"
    assert gated.node.losses == 1
