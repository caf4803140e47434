"""Who asks: whoever holds an API key, or has a session."""

from typing import Any

from django.contrib.auth.models import User
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from config.accounts.keys import KeyRefusedError, use_key
from config.models import ApiKey

KEY_HEADER = "X-API-Key"
_SCHEME = "bearer"


class KeyAuthentication(BaseAuthentication):
    """Reads `Authorization: Bearer KEY` or `X-API-Key: KEY`. `request.auth` is the key."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        """Return the key's user and the key; None if the request brings none."""
        secret = _find_secret(request)
        if secret is None:
            return None
        try:
            key = use_key(secret)
        except KeyRefusedError as error:
            raise AuthenticationFailed(str(error)) from error
        return key.user, key

    def authenticate_header(self, request: Request) -> str:
        """Name the scheme of a 401."""
        del request
        return "Bearer"


def _find_secret(request: Request) -> str | None:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == _SCHEME:
        return secret.strip()
    return request.headers.get(KEY_HEADER)


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema describes it."""

    target_class = KeyAuthentication
    name = ["apiKey", "apiKeyHeader"]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        """Say that either header will do."""
        del auto_schema
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: Any) -> Any:
        """Describe both headers."""
        del auto_schema
        told = "An API key; see `/v1/api-keys`."
        return [
            {"type": "http", "scheme": "bearer", "description": told},
            {"type": "apiKey", "in": "header", "name": KEY_HEADER, "description": told},
        ]
