"""Whatever goes wrong is told as problem details."""

from typing import Any

import pytest
from rest_framework.exceptions import NotAuthenticated, NotFound, Throttled, ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from config.openapi import PROBLEM_SCHEMA
from config.problem import EXTENSIONS
from execution.exceptions import ExecutionNotFoundError, MasksInvalidError, ReviewDecidedError
from graphs.exceptions import GraphDocumentError, GraphInvalidError, GraphNotFoundError, UnknownBlockError


def answer_to(error: Exception) -> Response:
    """Return what a client gets from a view that raises."""

    class RaisingView(APIView):
        permission_classes = [AllowAny]

        def get(self, request: Request) -> Response:
            raise error

    response = RaisingView.as_view()(APIRequestFactory().get("/"))
    assert isinstance(response, Response)
    response.render()
    return response


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (GraphDocumentError("Not JSON."), 400, "Bad Request"),
        (GraphNotFoundError("No such graph."), 404, "Not Found"),
        (UnknownBlockError("No such block."), 404, "Not Found"),
        (MasksInvalidError("Not a mask."), 400, "Bad Request"),
        (ExecutionNotFoundError("No such run."), 404, "Not Found"),
        (ReviewDecidedError("Decided already."), 409, "Conflict"),
    ],
)
def test_our_own_errors_have_a_status_and_their_text(error: Exception, status: int, title: str) -> None:
    response = answer_to(error)

    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    assert response.data == {"type": "about:blank", "title": title, "status": status, "detail": str(error)}


def test_an_invalid_graph_tells_every_problem_by_node_and_field() -> None:
    problems = {"a-node": {"a": "is missing", "b": "is not a number"}, "another": {"block_id": "is unknown"}}

    response = answer_to(GraphInvalidError("The graph is not valid.", node_errors=problems))

    assert response.status_code == 400
    assert response.data["node_errors"] == problems


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        (NotFound(), 404, {"detail": "Not found."}),
        (
            ValidationError({"name": ["This field is required."]}),
            400,
            {"detail": "The request's content is not valid.", "field_errors": {"name": ["This field is required."]}},
        ),
    ],
)
def test_errors_of_the_framework_have_the_same_shape(error: Exception, status: int, expected: dict[str, Any]) -> None:
    response = answer_to(error)

    assert response.status_code == status
    assert {"type", "title", "status", "detail"} <= set(response.data)
    assert {name: response.data[name] for name in expected} == expected


def test_headers_that_belong_to_an_error_stay() -> None:
    throttled = answer_to(Throttled(wait=7))
    anonymous = answer_to(NotAuthenticated())

    assert throttled["Retry-After"] == "7"
    assert anonymous.status_code == 401
    assert anonymous["WWW-Authenticate"] == "Bearer"


def test_whatever_a_problem_tells_is_in_the_schema() -> None:
    assert set(EXTENSIONS) | {"field_errors"} < set(PROBLEM_SCHEMA["properties"])


def test_a_fault_of_our_own_is_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError):
        answer_to(ZeroDivisionError())
