"""Whatever takes a body takes none that is too large, too deep, or no JSON."""

import asyncio
import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from pytest_django import Settings
from rest_framework.test import APIClient

from config import asgi
from config import settings as project
from config.body_limit import LimitedBodies
from graphs.exchange.limits import Limits
from tests.config.belongings import draw_schema, give_everything, walk

CHUNK = b"x" * 1_000
MOST_SENT = 20_000

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def little_is_taken(nothing_is_sent: None, settings: Settings) -> None:
    settings.GRAPH_MAX_BYTES = 4_000


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ('{"a": "' + "x" * 5_000 + '"}', "application/json", 413),
        ("[" * 500 + "]" * 500, "application/json", 400),
        ('{"a": ', "application/json", 400),
        ("a=1", "application/x-www-form-urlencoded", 415),
    ],
    ids=["large", "deep", "broken", "form"],
)
def test_no_operation_takes_such_a_body(user: User, client: APIClient, body: str, kind: str, status: int) -> None:
    owned = give_everything(user)
    operations = [each for each in walk(draw_schema()) if "requestBody" in each[2]]

    answers = {
        operation["operationId"]: client.generic(
            method.upper(), re.sub(r"\{(\w+)\}", lambda found: owned[found[1]], path), body, content_type=kind
        ).status_code
        for path, method, operation in operations
    }

    assert set(answers.values()) == {status}, answers
    assert len(answers) > 20


class Sender:
    """A client without a login that sends as much as is taken."""

    def __init__(self, *, announced: int | None) -> None:
        self.announced = announced
        self.taken = 0
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.answer = b""

    async def send_to(self, application: Any) -> None:
        length = [] if self.announced is None else [(b"content-length", str(self.announced).encode())]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/graphs",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json"), *length],
            "client": ("203.0.113.9", 1),
            "server": ("localhost", 8000),
        }
        await application(scope, self._give, self._take)

    async def _give(self) -> dict[str, Any]:
        self.taken += len(CHUNK)
        is_last = self.taken >= MOST_SENT
        return {"type": "http.request", "body": CHUNK, "more_body": not is_last}

    async def _take(self, message: dict[str, Any]) -> None:
        self.status = message.get("status", self.status)
        self.headers |= dict(message.get("headers", []))
        self.answer += message.get("body", b"")


@pytest.mark.parametrize(("announced", "most_taken"), [(MOST_SENT, 0), (None, 6_000), (1_000, 6_000)])
def test_a_body_is_not_taken_any_further_than_its_limit(
    settings: Settings, announced: int | None, most_taken: int
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 5_000
    sender = Sender(announced=announced)

    asyncio.run(sender.send_to(LimitedBodies(get_asgi_application())))

    assert sender.taken <= most_taken
    assert (sender.status, sender.headers[b"content-type"]) == (413, b"application/problem+json")
    told = json.loads(sender.answer)
    assert (told["status"], "5,000" in told["detail"]) == (413, True)


def test_one_number_bounds_graphs_and_bodies_in_front_of_django_and_behind() -> None:
    assert project.DATA_UPLOAD_MAX_MEMORY_SIZE == project.GRAPH_MAX_BYTES == Limits().max_bytes
    assert isinstance(asgi.application, LimitedBodies)
