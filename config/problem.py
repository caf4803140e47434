"""Errors as problem details (RFC 9457): one shape for whatever goes wrong.

{"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "…", "node_errors": {node: {field: message}}}
"""

from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import (
    APIException,
    AuthenticationFailed,
    NotAuthenticated,
    PermissionDenied,
    ValidationError,
)
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import exception_handler, set_rollback

from config.accounts.keys import KeyRefusedError
from config.idempotency import (
    AnsweredBeforeError,
    IdempotencyKeyInvalidError,
    IdempotencyKeyReusedError,
    show_again,
)
from config.problem_details import CONTENT_TYPE, describe_problem
from config.throttling import count_refused
from credits.exceptions import (
    AccountNotFoundError,
    CreditsError,
    EntryConflictError,
    FundsLackingError,
    PaymentsOffError,
    PaymentUnavailableError,
    RefundRefusedError,
    TopUpNotFoundError,
)
from execution.database_patience import DATABASE_AWAY
from execution.exceptions import (
    ExecutionError,
    ExecutionNotDeletableError,
    ExecutionNotFoundError,
    ExecutionNotReplayableError,
    ExecutionNotResumableError,
    PresetNotFoundError,
    ReviewDecidedError,
    ReviewNotFoundError,
    ShareLinkNotFoundError,
)
from graphs.exceptions import DocumentTooLargeError, GraphNotFoundError, GraphsError, UnknownBlockError
from scheduling.exceptions import ScheduleNotFoundError, SchedulingError

WAIT_SECONDS = 5
"""After how long who found something away had better come again."""


class DatabaseAwayError(APIException):
    """The database restarts, or has no room for one more: a client had better come again after `wait` seconds."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The database can't be reached at the moment; nothing was changed. Please try again."
    wait = WAIT_SECONDS


# What our own exceptions mean to a client. The first that fits counts, so a family stands after its exceptions.
STATUSES: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (GraphNotFoundError, HTTPStatus.NOT_FOUND),
    (UnknownBlockError, HTTPStatus.NOT_FOUND),
    (ExecutionNotFoundError, HTTPStatus.NOT_FOUND),
    (ReviewNotFoundError, HTTPStatus.NOT_FOUND),
    (PresetNotFoundError, HTTPStatus.NOT_FOUND),
    (ShareLinkNotFoundError, HTTPStatus.NOT_FOUND),
    (ExecutionNotDeletableError, HTTPStatus.CONFLICT),
    (ReviewDecidedError, HTTPStatus.CONFLICT),
    (ExecutionNotResumableError, HTTPStatus.CONFLICT),
    (KeyRefusedError, HTTPStatus.FORBIDDEN),
    (IdempotencyKeyInvalidError, HTTPStatus.BAD_REQUEST),
    (IdempotencyKeyReusedError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (RequestDataTooBig, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (ExecutionNotReplayableError, HTTPStatus.CONFLICT),
    (DocumentTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (ScheduleNotFoundError, HTTPStatus.NOT_FOUND),
    (FundsLackingError, HTTPStatus.PAYMENT_REQUIRED),
    (AccountNotFoundError, HTTPStatus.NOT_FOUND),
    (TopUpNotFoundError, HTTPStatus.NOT_FOUND),
    (RefundRefusedError, HTTPStatus.CONFLICT),
    (EntryConflictError, HTTPStatus.CONFLICT),
    (PaymentsOffError, HTTPStatus.NOT_IMPLEMENTED),
    (PaymentUnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (CreditsError, HTTPStatus.BAD_REQUEST),
    (GraphsError, HTTPStatus.BAD_REQUEST),
    (ExecutionError, HTTPStatus.BAD_REQUEST),
    (SchedulingError, HTTPStatus.BAD_REQUEST),
)

# What an exception may tell besides its text.
EXTENSIONS = ("node_errors", "required_scope", "balance", "owed", "needed")

# Of these a view's throttle never hears: authentication and permissions come before it.
_BEFORE_THROTTLE = (
    NotAuthenticated,
    AuthenticationFailed,
    PermissionDenied,
    AnsweredBeforeError,
    IdempotencyKeyInvalidError,
    IdempotencyKeyReusedError,
)


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the answer to an error in a view; None (a server error) if it is none of the client's business."""
    error = _find_told(error, context)
    if isinstance(error, AnsweredBeforeError):
        return show_again(error.record)
    status = next((status for family, status in STATUSES if isinstance(error, family)), None)
    if status is not None:
        set_rollback()
        extensions = {name: getattr(error, name) for name in EXTENSIONS if hasattr(error, name)}
        refusal = _describe(status=status, detail=str(error), extensions=extensions)
        if isinstance(error, PaymentUnavailableError):
            refusal["Retry-After"] = str(WAIT_SECONDS)
        return refusal
    response = exception_handler(error, context)
    if response is None:
        return None
    extensions = {name: getattr(error, name) for name in EXTENSIONS if hasattr(error, name)}
    if isinstance(error, ValidationError):
        told = error.detail
        extensions["field_errors"] = told if isinstance(told, dict) else {api_settings.NON_FIELD_ERRORS_KEY: told}
    problem = _describe(status=HTTPStatus(response.status_code), detail=_detail(error, response), extensions=extensions)
    for name, value in response.headers.items():
        if name != "Content-Type":
            problem[name] = value
    return problem


def _find_told(error: Exception, context: dict[str, Any]) -> Exception:
    """Return the error that the client is told of: mostly the error itself."""
    if isinstance(error, DATABASE_AWAY):
        return DatabaseAwayError()
    if isinstance(error, _BEFORE_THROTTLE) and context.get("view"):
        return count_refused(context["request"], context["view"]) or error
    return error


def _detail(error: Exception, response: Response) -> str:
    if isinstance(error, ValidationError):
        return "The request's content is not valid."
    data = response.data
    return str(data["detail"]) if isinstance(data, dict) and "detail" in data else str(error)


def _describe(*, status: HTTPStatus, detail: str, extensions: dict[str, Any]) -> Response:
    body = describe_problem(status=status, detail=detail) | extensions
    return Response(body, status=int(status), content_type=CONTENT_TYPE)
