"""What is answered where no view of the API could: unknown addresses, and faults of our own.

Programs get problem details, as everywhere else; who looks at the admin, or asks for HTML, gets a page.
"""

import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

from config.problem import DatabaseAwayError
from config.problem_details import CONTENT_TYPE, describe_problem
from execution.database_patience import DATABASE_AWAY

_JSON = "application/json"
_HTML = "text/html"


def answer_bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what can't be a request of a client's (400)."""
    return _answer(request, HTTPStatus.BAD_REQUEST, "The request can't be understood.", defaults.bad_request, exception)


def answer_permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer who may not do that (403)."""
    return _answer(request, HTTPStatus.FORBIDDEN, "You may not do that.", defaults.permission_denied, exception)


def answer_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an address that there isn't (404)."""
    return _answer(request, HTTPStatus.NOT_FOUND, "There is nothing here.", defaults.page_not_found, exception)


def answer_server_error(request: HttpRequest) -> HttpResponse:
    """Answer when something went wrong here (500); what it was is in the log only."""
    if isinstance(sys.exc_info()[1], DATABASE_AWAY):
        return _answer_database_away()
    told = "Something went wrong on the server. It has been logged."
    return _answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, told, defaults.server_error)


def _answer_database_away() -> HttpResponse:
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return JsonResponse(
        describe_problem(status=status, detail=DatabaseAwayError.default_detail),
        status=status,
        content_type=CONTENT_TYPE,
        headers={"Retry-After": str(DatabaseAwayError.wait)},
    )


def _answer(
    request: HttpRequest, status: HTTPStatus, detail: str, page: Callable[..., HttpResponse], *arguments: Any
) -> HttpResponse:
    if _wants_page(request):
        return page(request, *arguments)
    return JsonResponse(describe_problem(status=status, detail=detail), status=status, content_type=CONTENT_TYPE)


def _wants_page(request: HttpRequest) -> bool:
    if request.path.startswith("/v1/"):
        return False
    # The first of the two is taken where a client likes both alike, as most programs say that they do.
    return request.path.startswith("/admin/") or request.get_preferred_type([_JSON, _HTML]) == _HTML
