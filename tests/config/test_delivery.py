"""A broker that is away: runs are accepted and kept, and the answer says so."""

from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import User
from kombu import Connection
from kombu.pools import producers
from pytest_django import Settings
from rest_framework.test import APIClient

from config.delivery import NOTICE
from execution.models import Execution, NodeExecution
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.execution.small_graphs import STEP, draw

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def version(user: User) -> GraphVersion:
    return import_graph(owner=user, document=draw({"step": (STEP, {"items": [1]})})).version


@pytest.fixture
def broker_away(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens where the broker and Redis ought to be."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    away = Connection("redis://127.0.0.1:1/0", transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS)
    monkeypatch.setattr(current_app.amqp, "_producer_pool", producers[away])


def execute(user: User, version: GraphVersion, **headers: str) -> Any:
    client = APIClient()
    client.force_authenticate(user)
    return client.post(f"/v1/graphs/{version.graph_id}/execute", {}, headers=headers)


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}])
def test_a_run_is_accepted_and_kept_and_the_answer_says_that_it_starts_later(
    user: User, version: GraphVersion, broker_away: None, headers: dict[str, str]
) -> None:
    answer = execute(user, version, **headers)

    assert (answer.status_code, answer["Execution-Delivery"], answer.json()["notice"]) == (202, "deferred", NOTICE)
    assert Execution.objects.get().status == NodeExecution.objects.get().status == "QUEUED"


def test_nothing_is_said_while_the_broker_is_there(user: User, version: GraphVersion, broker_server: str) -> None:
    answer = execute(user, version)

    assert (answer.status_code, "Execution-Delivery" in answer, "notice" in answer.json()) == (202, False, False)
