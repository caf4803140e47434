"""What all problem details (RFC 9457) have, for whoever answers before Django does as well."""

from http import HTTPStatus
from typing import Any

CONTENT_TYPE = "application/problem+json"


def describe_problem(*, status: HTTPStatus, detail: str) -> dict[str, Any]:
    """Return the members that all problem details have."""
    return {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}
