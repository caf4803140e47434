"""Users of the API, and what they run."""

from typing import Any

from django.contrib.auth.models import User
from rest_framework.test import APIClient

from execution.models import Execution
from execution.services import start_execution
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.execution.small_graphs import ASK, OUTPUT, draw

AGENT = "e189baac-8c20-45a1-94a7-55177ea42565"

ASKING = draw(
    {"ask": (ASK, {"name": "Letter", "data": "Dear Ada"}), "out": (OUTPUT, {"name": "Answer"})},
    ["ask.approved_data -> out.value"],
)


def log_in(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def save(user: User, document: dict[str, Any]) -> GraphVersion:
    return import_graph(owner=user, document=document).version


def start(user: User, version: GraphVersion, **inputs: Any) -> Execution:
    return start_execution(user=user, version=version, input_data=inputs)


def address_of(run: Execution) -> str:
    return f"/v1/graphs/{run.graph_version.graph_id}/executions/{run.pk}"
