"""A cursor that no page of ours gave out leads nowhere."""

from base64 import b64encode
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from graphs.services import import_graph
from tests.graphs.building import calculator_json

KEY = "0190f3f4-0000-7000-8000-000000000000"

pytestmark = pytest.mark.django_db


def write_cursor(text: str) -> str:
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "cD0y",
        "é",
        write_cursor("p="),
        write_cursor("p=2"),
        write_cursor("p=%00"),
        write_cursor("p=0 %00"),
        write_cursor(f"p={KEY}%00"),
        write_cursor(f"p=urn:uuid:{KEY}"),
        write_cursor(f"p=2 {KEY}"),
        write_cursor("p=null&r=1"),
        write_cursor("o=-1"),
        write_cursor("o=" + "9" * 5_000),
        write_cursor("r=x"),
    ],
)
@pytest.mark.parametrize(
    "address",
    ["/v1/graphs", "/v1/executions", "/v1/reviews", "/v1/graphs/{graph}/versions", "/v1/graphs/{graph}/executions"],
)
def test_a_made_up_cursor_is_not_found(client: APIClient, user: User, address: str, cursor: str) -> None:
    graph = import_graph(owner=user, document=calculator_json()).version.graph_id

    answer = client.get(address.format(graph=graph), {"cursor": cursor})

    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert answer.json()["detail"] == "Invalid cursor"


@pytest.mark.parametrize("size", ["0", "-1", "x", "9" * 5_000, "", "1e3"])
def test_a_made_up_page_size_is_ignored(client: APIClient, size: str) -> None:
    assert client.get("/v1/graphs", {"page_size": size}).status_code == 200


def test_our_own_cursors_lead_through_all_pages_and_back(client: APIClient, user: User) -> None:
    made = [str(import_graph(owner=user, document=calculator_json()).version.graph_id) for _ in range(3)]

    seen: list[str] = []
    page: Any = {"next": "/v1/graphs?page_size=1"}
    while page["next"]:
        page = client.get(page["next"]).json()
        seen += [graph["id"] for graph in page["results"]]

    assert seen == made[::-1]
    assert client.get(page["previous"]).json()["results"][0]["id"] == made[1]
