"""Whatever takes a body takes none that is too large, too deep, or no JSON."""

import re

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings
from rest_framework.test import APIClient

from tests.config.belongings import draw_schema, give_everything, walk

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
