"""What a key may do.

A view names the scope that a method asks for as plain text: `required_scopes = {"POST": "execute"}`. What it doesn't
name asks for `read` if it only looks, and for `write` otherwise. A session may do all that its user may.
"""

from typing import Any, Final

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from config.models import ApiKey, Scope


class ScopeLackingError(PermissionDenied):
    """The key lacks a scope; the text and `required_scope` name it."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"This needs the scope “{scope}”, which the API key doesn't have.")
        self.required_scope = scope


class HasScope(BasePermission):
    """Whether the key has the scope that the view asks for."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Raise `ScopeLackingError` if not."""
        if isinstance(request.auth, ApiKey):
            scope = find_scope(view, method=str(request.method))
            if scope not in request.auth.scopes:
                raise ScopeLackingError(scope)
        return True


def find_scope(view: Any, *, method: str) -> str:
    """Return the scope that a view asks for. HEAD does all that GET does, so it asks for the same."""
    usual: Final = Scope.READ if method in SAFE_METHODS else Scope.WRITE
    return str(getattr(view, "required_scopes", {}).get("GET" if method == "HEAD" else method, usual))
