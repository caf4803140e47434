"""Small runs, and ways to lose what they need."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.services import start_execution
from graphs.services import import_graph
from tests.execution.small_graphs import INPUT, OUTPUT, draw

LONG_AGO = timedelta(hours=1)

ECHO = draw({"in": (INPUT, {"name": "in", "value": 1}), "out": (OUTPUT, {"name": "out"})}, ["in.result -> out.value"])


def start(user: User, document: dict[str, Any], **asked: Any) -> Execution:
    version = import_graph(owner=user, document=document).version
    return start_execution(user=user, version=version, input_data={}, **asked)


def queued_ago(ago: timedelta) -> None:
    NodeExecution.objects.filter(status=Status.QUEUED).update(queued_at=timezone.now() - ago)
