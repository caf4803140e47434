"""The schema of the API is complete, and what it shows as examples works."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def schema() -> Any:
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]


def operations(schema: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in schema["paths"].items():
        for method in METHODS & set(item):
            yield path, method, item[method]


def test_every_operation_says_what_it_does(schema: Any) -> None:
    tags = {tag["name"] for tag in schema["tags"]}

    lacking = [
        (method, path)
        for path, method, operation in operations(schema)
        if not (operation.get("summary") and operation["description"] and set(operation.get("tags", ())) <= tags)
        or not operation.get("tags")
    ]

    assert schema["openapi"].startswith("3.1")
    assert lacking == []


def test_operations_are_called_by_names_of_their_own(schema: Any) -> None:
    names = [operation["operationId"] for _, _, operation in operations(schema)]

    assert len(names) == len(set(names))
    assert [name for name in names if name.startswith("v1_")] == []


def test_every_parameter_is_described(schema: Any) -> None:
    lacking = [
        (path, parameter["name"])
        for path, _, operation in operations(schema)
        for parameter in operation.get("parameters", ())
        if not parameter.get("description")
    ]

    assert lacking == []


def test_every_field_is_described(schema: Any) -> None:
    lacking = [
        f"{name}.{field}"
        for name, component in schema["components"]["schemas"].items()
        for field, described in component.get("properties", {}).items()
        if not described.get("description")
    ]

    assert lacking == []


def test_every_answer_has_its_problems_and_headers(schema: Any) -> None:
    for path, method, operation in operations(schema):
        answers = operation["responses"]
        assert "429" in answers, (method, path)
        assert "{" not in path or "404" in answers, (method, path)
        success = [answer for status, answer in answers.items() if status.startswith("2")]
        assert success and all("RateLimit-Limit" in answer["headers"] for answer in success), (method, path)


@pytest.mark.django_db
def test_the_page_of_the_documentation_needs_nothing_from_the_web(client: Client) -> None:
    page = client.get("/v1/docs/").content.decode()

    assert "https://" not in page.replace("https://github.com", "")
    assert "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js" in page


@pytest.mark.django_db
def test_examples_of_requests_work(schema: Any, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("execution.services.send", list)
    client = APIClient()
    client.force_authenticate(user)

    def example_of(operation_id: str) -> Any:
        (content,) = (
            operation["requestBody"]["content"]["application/json"]
            for _, _, operation in operations(schema)
            if operation["operationId"] == operation_id
        )
        (example,) = content["examples"].values()
        return example["value"]

    graph = client.post("/v1/graphs", example_of("create_graph"))
    address = f"/v1/graphs/{graph.json()['id']}"
    run = client.post(f"{address}/execute", example_of("execute_active_graph"))
    preset = client.post("/v1/presets", {"graph_id": graph.json()["id"], "name": "x"})
    block = "/v1/blocks/b1ab9b19-67a6-406d-abf5-2dba76d00c79/execute?wait=0"

    assert graph.json()["warnings"] == []
    assert [graph.status_code, run.status_code, preset.status_code] == [201, 202, 201]
    assert client.put(address, example_of("replace_graph")).status_code == 200
    assert client.put(f"{address}/versions/active", example_of("set_active_graph_version")).status_code == 200
    assert client.post(f"{address}/execute/1", example_of("execute_graph")).status_code == 202
    assert client.patch(f"{address}/executions/{run.json()['id']}", example_of("change_execution")).status_code == 200
    one = f"/v1/presets/{preset.json()['id']}"
    assert client.patch(one, example_of("change_preset")).status_code == 200
    assert client.post(f"{one}/execute", example_of("execute_preset")).status_code == 202
    assert client.post(block, example_of("execute_block")).status_code == 202
    assert client.patch("/v1/me", example_of("change_me")).status_code == 200
    assert client.post("/v1/api-keys", example_of("create_api_key")).status_code == 201
