"""The API of accounts: who am I, my API keys, logging in and out."""

from typing import cast
from uuid import UUID

from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.middleware.csrf import get_token
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import AuthenticationFailed, NotFound, Throttled
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.accounts import keys
from config.accounts.logins import seconds_locked
from config.accounts.serializers import (
    ApiKeySerializer,
    LoginSerializer,
    MeSerializer,
    NewApiKeySerializer,
    RenameKeySerializer,
)
from config.models import ApiKey


def user_of(request: Request) -> User:
    """Return the user: the settings demand that there is one."""
    return cast(User, request.user)


def maker_of(request: Request) -> ApiKey | None:
    """Return the key that asks; None if a session does, which may do all."""
    return request.auth if isinstance(request.auth, ApiKey) else None


def find_key(request: Request, key_id: UUID) -> ApiKey:
    """Return a key of the user's. Raises `NotFound`."""
    key = ApiKey.objects.filter(user=user_of(request), pk=key_id).first()
    if key is None:
        raise NotFound(f"There is no API key {key_id}.")
    return key


class MeView(APIView):
    """The account that asks."""

    @extend_schema(operation_id="get_me", tags=["accounts"], responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """Return the account that asks, and what it may do."""
        return Response(MeSerializer(user_of(request), context={"request": request}).data)

    @extend_schema(
        operation_id="change_me",
        tags=["accounts"],
        request=MeSerializer,
        responses=MeSerializer,
        examples=[OpenApiExample("Time zone", value={"time_zone": "Europe/Berlin"}, request_only=True)],
    )
    def patch(self, request: Request) -> Response:
        """Change the account's names or its time zone."""
        change = MeSerializer(user_of(request), data=request.data, partial=True, context={"request": request})
        change.is_valid(raise_exception=True)
        change.save()
        return Response(change.data)


class ApiKeysView(generics.ListAPIView[ApiKey]):
    """The account's API keys."""

    serializer_class = ApiKeySerializer

    def get_queryset(self) -> QuerySet[ApiKey]:
        """Return the user's keys, revoked ones included."""
        if getattr(self, "swagger_fake_view", False):
            return ApiKey.objects.none()
        return ApiKey.objects.filter(user=user_of(self.request))

    @extend_schema(operation_id="list_api_keys", tags=["accounts"])
    def get(self, request: Request) -> Response:
        """List the account's API keys, newest first, revoked ones included."""
        return self.list(request)

    @extend_schema(
        operation_id="create_api_key",
        tags=["accounts"],
        request=ApiKeySerializer,
        responses={201: NewApiKeySerializer},
        examples=[
            OpenApiExample("For scripts", value={"name": "scripts", "scopes": ["read", "execute"]}, request_only=True)
        ],
    )
    def post(self, request: Request) -> Response:
        """Make an API key. The answer shows it this once.

        A key that asks for another can't give it more than it may do itself, nor a longer life.
        """
        wanted = ApiKeySerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        made = keys.make_key(
            user=user_of(request),
            maker=maker_of(request),
            **wanted.validated_data,
        )
        answer = {**ApiKeySerializer(made.key).data, "key": made.secret}
        return Response(answer, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})


class ApiKeyView(APIView):
    """One API key."""

    @extend_schema(operation_id="get_api_key", tags=["accounts"], responses=ApiKeySerializer)
    def get(self, request: Request, key_id: UUID) -> Response:
        """Return what is known of a key."""
        return Response(ApiKeySerializer(find_key(request, key_id)).data)

    @extend_schema(
        operation_id="rename_api_key",
        tags=["accounts"],
        request=RenameKeySerializer,
        responses=ApiKeySerializer,
        examples=[OpenApiExample("For reports", value={"name": "reports"}, request_only=True)],
    )
    def patch(self, request: Request, key_id: UUID) -> Response:
        """Give a key another name."""
        wanted = RenameKeySerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        key = find_key(request, key_id)
        key.name = wanted.validated_data["name"]
        key.save(update_fields=["name"])
        return Response(ApiKeySerializer(key).data)

    @extend_schema(operation_id="revoke_api_key", tags=["accounts"], responses={200: ApiKeySerializer})
    def delete(self, request: Request, key_id: UUID) -> Response:
        """Revoke a key: from now on it opens nothing. It stays in the list."""
        return Response(ApiKeySerializer(keys.revoke_key(find_key(request, key_id))).data)


class LoginView(APIView):
    """Logging in for browsers."""

    authentication_classes = []
    permission_classes = [AllowAny]

    def get_authenticate_header(self, request: Request) -> str:
        """Have a wrong password answered with 401."""
        del request
        return "Session"

    @extend_schema(
        operation_id="log_in",
        tags=["accounts"],
        auth=[],
        request=LoginSerializer,
        responses=MeSerializer,
        examples=[OpenApiExample("Ada", value={"username": "ada", "password": "analytical-engine"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Log in: sets a session cookie, and a CSRF cookie to send back as `X-CSRFToken` with every change.

        After a few wrong passwords one has to wait (429).
        """
        wanted = LoginSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        asked = request._request
        name = wanted.validated_data["username"]
        user = authenticate(asked, username=name, password=wanted.validated_data["password"])
        if wait := seconds_locked(asked):
            raise Throttled(wait=wait)
        if user is None:
            raise AuthenticationFailed("This name and this password don't belong together.")
        login(asked, user)
        get_token(asked)
        request.user = user
        return Response(MeSerializer(user, context={"request": request}).data)


class LogoutView(APIView):
    """Logging out for browsers."""

    @extend_schema(operation_id="log_out", tags=["accounts"], request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """End the session, if there is one."""
        logout(request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)
