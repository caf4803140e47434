"""The doctor beside real workers: no false alarm while they are busy, nothing left when they are done."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from kombu import Connection

from execution.examination import Finding, examine
from execution.models import Execution
from execution.pruning import Retention, prune
from execution.services import start_execution, stop_execution
from execution.workers import WorkerProcesses
from graphs.services import import_graph
from tests.execution.damage import example

pytestmark = pytest.mark.django_db(transaction=True)

BUSY_LOOKS = 3


def describe(findings: list[Finding]) -> list[Any]:
    return [(finding.check.name, finding.hits) for finding in findings]


def test_nothing_is_found_while_workers_are_busy_stopped_and_done(
    user: User, broker: Connection, workers: WorkerProcesses
) -> None:
    names = ("triangles", "word_lengths", "doubling")
    versions = [import_graph(owner=user, document=example(name)).version for name in names]
    looks, runs = 0, []
    while looks < BUSY_LOOKS or Execution.objects.filter(ended_at__isnull=True).exists():
        if looks < BUSY_LOOKS:
            # However long a look takes, there is something to see.
            runs += [start_execution(user=user, version=version, input_data={}) for version in versions * 5]
            stop_execution(execution_id=runs[-1].pk)
        assert describe(examine()) == []
        looks += 1
    assert describe(examine()) == []
    assert prune(Retention(age=timedelta(0))).runs == len(runs)
    assert not Execution.objects.exists()
    assert describe(examine()) == []
    assert not default_storage.exists("runs")
