"""The schema of the API, with what holds for all of it: errors, headers, scopes, and what path parameters mean."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.settings import spectacular_settings
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import AllowAny

from config.accounts.permissions import find_scope
from config.idempotency import HEADER
from config.models import Scope
from config.openapi_names import COMMON_NAMES
from config.problem_details import CONTENT_TYPE
from config.throttling import describe_headers

_PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}
_TEXT: Final = {"type": "string"}
PROBLEM_SCHEMA: Final = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {**_TEXT, "description": "Always `about:blank`: title and status say what kind of problem it is."},
        "title": {**_TEXT, "description": "The kind of problem, in words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {**_TEXT, "description": "What is wrong, for people."},
        "node_errors": {
            "type": "object",
            "description": "What is wrong with a graph or its inputs: `{node id: {field: message}}`.",
            "additionalProperties": {"type": "object", "additionalProperties": _TEXT},
        },
        "field_errors": {
            "description": "What is wrong with the request: `{field: [messages]}`, nested as the request is.",
            "type": "object",
            "additionalProperties": True,
        },
        "required_scope": {**_TEXT, "description": "The scope that the API key lacks."},
        "balance": {"type": "integer", "description": "Where credits are lacking: how many there are."},
        "owed": {"type": "integer", "description": "Where credits are lacking: what the balance did not cover before."},
        "needed": {
            "type": "integer",
            "description": "Where credits are lacking: how many more must come in.",
        },
    },
}
_WHY: Final = {
    HTTPStatus.BAD_REQUEST: "The request makes no sense, or the graph can't be run with it.",
    HTTPStatus.UNAUTHORIZED: "There is no login, or none that holds.",
    HTTPStatus.PAYMENT_REQUIRED: "There are not enough credits.",
    HTTPStatus.FORBIDDEN: "The API key lacks a scope, which `required_scope` names; or a CSRF token is missing.",
    HTTPStatus.NOT_FOUND: "There is no such thing, or it is somebody else's.",
    HTTPStatus.CONFLICT: "How things stand now, that can't be done.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not JSON.",
    HTTPStatus.UNPROCESSABLE_ENTITY: f"The `{HEADER}` was sent before, with another request.",
    HTTPStatus.NOT_IMPLEMENTED: "There are no payments here: no payment provider is configured.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database, or who takes payments, can't be reached: wait for `Retry-After`.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests: wait for as many seconds as `Retry-After` says.",
}


class Schema(AutoSchema):
    """Describes one operation."""

    def get_override_parameters(self) -> list[Any]:
        """Add the header of operations that may be sent again."""
        parameters: list[Any] = super().get_override_parameters()
        if self.method not in getattr(self.view, "idempotent_methods", ()):
            return parameters
        told = "Any text of your own: sent again with the same request, it is done once and answered the same."
        key = OpenApiParameter(HEADER, {**_TEXT, "maxLength": 255}, OpenApiParameter.HEADER, description=told)
        return [*parameters, key]

    def get_tags(self) -> list[str]:
        """Name the app whose endpoint it is: the last part of the path that is a tag."""
        tags = {tag["name"] for tag in spectacular_settings.TAGS}
        found = [part for part in self.path.split("/") if part in tags]
        return found[-1:] or super().get_tags()

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """Add what holds for all operations."""
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        for parameter in operation.get("parameters", ()):
            if "description" not in parameter:
                name = parameter["name"]
                parameter["description"] = (
                    _describe_path_parameter(name) if parameter["in"] == "path" else COMMON_NAMES.get(name, "")
                )
        is_open = AllowAny in self.view.permission_classes
        if not is_open:
            scope = find_scope(self.view, method=self.method)
            operation["description"] = f"{operation.get('description', '')}\n\nAn API key needs the scope `{scope}`."
        _split_summary(operation)
        for response in operation["responses"].values():
            response.setdefault("headers", {}).update(_refer("headers", describe_headers()))
        for status in self._find_problems(operation, is_open=is_open):
            operation["responses"].setdefault(str(status.value), _refer("responses", [_name(status)])[_name(status)])
        return operation

    def _find_problems(self, operation: dict[str, Any], *, is_open: bool) -> list[HTTPStatus]:
        parameters = operation.get("parameters", ())
        changes = self.method not in ("GET", "HEAD", "OPTIONS")
        has_path = any(parameter["in"] == "path" for parameter in parameters)
        wanted = {
            HTTPStatus.BAD_REQUEST: changes or bool(parameters),
            HTTPStatus.UNAUTHORIZED: not is_open or "requestBody" in operation,
            HTTPStatus.PAYMENT_REQUIRED: find_scope(self.view, method=self.method) == Scope.EXECUTE,
            HTTPStatus.FORBIDDEN: not is_open,
            HTTPStatus.NOT_FOUND: bool(parameters) or "requestBody" in operation,
            HTTPStatus.CONFLICT: changes and has_path,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "requestBody" in operation,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "requestBody" in operation,
            HTTPStatus.UNPROCESSABLE_ENTITY: any(parameter["name"] == HEADER for parameter in parameters),
            HTTPStatus.TOO_MANY_REQUESTS: True,
            HTTPStatus.NOT_IMPLEMENTED: getattr(self.view, "needs_provider", False),
            HTTPStatus.SERVICE_UNAVAILABLE: True,
        }
        return [status for status, is_wanted in wanted.items() if is_wanted]


def complete_schema(result: dict[str, Any], **_options: Any) -> dict[str, Any]:
    """Add the components that all operations share; a hook of drf-spectacular's."""
    schemas = result["components"]["schemas"]
    schemas["Problem"] = PROBLEM_SCHEMA
    for name, schema in schemas.items():
        if name.startswith("Paginated"):
            schema["description"] = "A page of a list."
        for member, described in schema.get("properties", {}).items():
            if "description" not in described and member in COMMON_NAMES:
                described["description"] = COMMON_NAMES[member]
    result["components"] |= {
        "schemas": dict(sorted(schemas.items())),
        "headers": describe_headers(),
        "responses": {_name(status): _describe_problem(status) for status in _WHY},
    }
    return result


def _refer(kind: str, names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/{kind}/{name}"} for name in names}


def _name(status: HTTPStatus) -> str:
    return status.phrase.replace(" ", "")


def _describe_path_parameter(name: str) -> str:
    what = name.removesuffix("_id").replace("_", " ")
    return f"The id of the {what}." if name.endswith("_id") else f"The {what}."


def _split_summary(operation: dict[str, Any]) -> None:
    """Make the first sentence of the description, which a docstring always has, the summary."""
    first = re.split(r"[.:;](?:\s|$)", operation["description"], maxsplit=1)[0]
    operation.setdefault("summary", " ".join(first.split()))


def _describe_problem(status: HTTPStatus) -> dict[str, Any]:
    problem: dict[str, Any] = {"description": _WHY[status], "content": {CONTENT_TYPE: {"schema": _PROBLEM}}}
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        told = "Seconds to wait."
        problem["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": told}}
    return problem
