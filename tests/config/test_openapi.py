"""The schema of the API is complete."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator

from config import schema_view
from config.local import BASE_DIR

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


def find_addresses(resolver: URLResolver, before: str = "") -> Iterator[str]:
    """Yield the addresses that lead to a view, as the schema writes them."""
    for each in resolver.url_patterns:
        address = before + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(each.pattern))
        if isinstance(each, URLResolver):
            yield from find_addresses(each, address)
        else:
            yield f"/{address}"


def test_every_address_of_the_api_is_described(schema: Any) -> None:
    addresses = {each for each in find_addresses(get_resolver()) if each.startswith("/v1/")}

    # The schema itself, its page, and what Stripe alone sends something to.
    others = {f"/v1/{each}" for each in ("schema/", "docs/", "credits/stripe-webhook", "credits/stripe_webhook")}
    assert addresses - others == set(schema["paths"])


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
        assert {"429", "503"} <= answers.keys(), (method, path)
        assert "{" not in path or "404" in answers, (method, path)
        success = [answer for status, answer in answers.items() if status.startswith("2")]
        assert success and all("RateLimit-Limit" in answer["headers"] for answer in success), (method, path)

    for status in ("TooManyRequests", "ServiceUnavailable"):
        assert "Retry-After" in schema["components"]["responses"][status]["headers"]


@pytest.mark.django_db
def test_the_page_of_the_documentation_needs_nothing_from_the_web() -> None:
    page = Client().get("/v1/docs/").content.decode()

    needed = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    answers = {address: Client().get(address) for address in [*needed, "/v1/schema/"]}
    sizes = {address: len(answer.getvalue()) for address, answer in answers.items() if answer.status_code == 200}

    assert "https://" not in page.replace("https://github.com", "")
    assert sizes.keys() == answers.keys() and min(sizes.values()) > 100
    assert any(address.endswith("/swagger-ui-bundle.js") for address in needed)
    assert any(address.endswith("/swagger-ui.css") for address in needed)
    assert "/v1/schema/" in page
    # Else the page would show a picture from there.
    assert re.search(r""""validatorUrl":\s*null""", page)


@pytest.mark.django_db
def test_the_schema_is_drawn_once_and_not_sent_to_who_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = list[str]()

    class CountedGenerator(SchemaGenerator):
        def get_schema(self, *args: Any, **kwargs: Any) -> Any:
            drawn.append("once")
            return super().get_schema(*args, **kwargs)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(schema_view, "SchemaGenerator", CountedGenerator)
    schema_view._draw.cache_clear()

    first, second = (Client().get("/v1/schema/") for _ in range(2))
    known = Client().get("/v1/schema/", headers={"If-None-Match": first["ETag"]})
    as_json = Client().get("/v1/schema/?format=json")

    assert first.content == second.content == (BASE_DIR / "docs/openapi.yaml").read_bytes()
    assert (known.status_code, known.content, known["ETag"]) == (304, b"", first["ETag"])
    assert as_json.json()["openapi"].startswith("3.1") and as_json["ETag"] != first["ETag"]
    assert drawn == ["once"] * 2, "in each form"
