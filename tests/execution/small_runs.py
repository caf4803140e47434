"""Runs in this process, and what came of them."""

from typing import Any

from django.contrib.auth.models import User

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, RunOutput
from execution.services import start_execution
from graphs.services import import_graph
from tests.execution.reference import outputs_by_name


def start(user: User, document: dict[str, Any], **asked: Any) -> Execution:
    version = import_graph(owner=user, document=document).version
    return start_execution(user=user, version=version, **{"input_data": {}, **asked})


def outputs_of(run: Execution) -> dict[str, list[Any]]:
    return outputs_by_name(RunOutput.objects.filter(execution=run).order_by("position").values_list("name", "value"))


def ended(run: Execution) -> Execution:
    run.refresh_from_db()
    assert run.ended_at is not None
    unfinished = [Status.QUEUED, Status.RUNNING, Status.SUSPENDED, Status.REVIEW]
    assert not NodeExecution.objects.filter(execution=run, status__in=unfinished).exists()
    assert run.unfinished == 0
    return run
