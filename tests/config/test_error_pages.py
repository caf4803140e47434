"""Programs are told what went wrong as problem details, people as a page."""

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from config import urls
from config.urls import handler400, handler403, handler404, handler500

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PROBLEM = "application/problem+json"

__all__ = ["handler400", "handler403", "handler404", "handler500"]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def fail(request: HttpRequest, fault: str) -> HttpResponse:
    faults: dict[str, Exception] = {
        "400": SuspiciousOperation("hunter2"),
        "403": PermissionDenied("hunter2"),
        "500": ZeroDivisionError("hunter2"),
    }
    raise faults[fault]


urlpatterns = [
    path("v1/fail/<fault>", fail),
    path("admin/fail/<fault>", fail),
    path("fail/<fault>", fail),
    *urls.urlpatterns,
]


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def check_problem(answer: Any, status: int) -> None:
    assert (answer.status_code, answer["Content-Type"]) == (status, PROBLEM)
    problem = answer.json()
    assert (problem["type"], problem["status"]) == ("about:blank", status)
    assert problem["title"] and problem["detail"]
    assert "hunter2" not in answer.content.decode()


@pytest.mark.parametrize("accept", [BROWSER, "*/*", "application/json", ""])
def test_an_unknown_address_of_the_api_is_a_problem_whoever_asks(client: Client, accept: str) -> None:
    check_problem(client.get("/v1/nothing/here", headers={"accept": accept}), 404)
    check_problem(client.get("/v1/graphs/not-a-uuid", headers={"accept": accept}), 404)


@pytest.mark.parametrize("status", [400, 403, 500])
def test_a_fault_under_the_api_is_a_problem_that_tells_nothing_of_it(client: Client, status: int) -> None:
    check_problem(client.get(f"/v1/fail/{status}", headers={"accept": BROWSER}), status)


@pytest.mark.parametrize("status", [400, 403, 500])
def test_the_admin_answers_with_pages(client: Client, status: int) -> None:
    answer = client.get(f"/admin/fail/{status}", headers={"accept": "*/*"})

    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (BROWSER, "text/html"),
        ("text/html", "text/html"),
        ("application/json", PROBLEM),
        ("*/*", PROBLEM),
        ("text/html;q=0.5, application/json", PROBLEM),
        ("image/png", PROBLEM),
    ],
)
@pytest.mark.parametrize("address", ["/nothing", "/fail/500"])
def test_elsewhere_a_client_gets_what_it_likes_better(client: Client, accept: str, kind: str, address: str) -> None:
    answer = client.get(address, headers={"accept": accept})

    assert answer["Content-Type"].split(";")[0] == kind
