"""The names by which AutoGPT's clients know accounts and keys. What they do is what ours do."""

from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.accounts import keys
from config.accounts.serializers import ApiKeySerializer, MeSerializer, PermissionsSerializer, TimeZoneSerializer
from config.accounts.views import find_key, maker_of, user_of


class UserView(APIView):
    """The account that asks."""

    required_scopes = {"POST": "read"}

    @extend_schema(operation_id="get_user", tags=["accounts"], request=None, responses=MeSerializer)
    def post(self, request: Request) -> Response:
        """Return the account that asks, as `GET /v1/me` does: accounts are made before they ask."""
        return Response(MeSerializer(user_of(request), context={"request": request}).data)


class TimeZoneView(APIView):
    """The account's time zone."""

    @extend_schema(operation_id="get_time_zone", tags=["accounts"], responses=TimeZoneSerializer)
    def get(self, request: Request) -> Response:
        """Return the zone that schedules and clocks take where nothing else names one."""
        return Response(TimeZoneSerializer(user_of(request)).data)

    @extend_schema(
        operation_id="set_time_zone",
        tags=["accounts"],
        request=TimeZoneSerializer,
        responses=TimeZoneSerializer,
        examples=[OpenApiExample("Berlin", value={"timezone": "Europe/Berlin"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Set it, as `PATCH /v1/me` does."""
        change = TimeZoneSerializer(user_of(request), data=request.data)
        change.is_valid(raise_exception=True)
        change.save()
        return Response(change.data)


class SuspendKeyView(APIView):
    """Suspending an API key."""

    @extend_schema(operation_id="suspend_api_key", tags=["accounts"], request=None, responses=ApiKeySerializer)
    def post(self, request: Request, key_id: UUID) -> Response:
        """Let a key open nothing until it is resumed."""
        return Response(ApiKeySerializer(keys.suspend_key(find_key(request, key_id))).data)


class ResumeKeyView(APIView):
    """Letting a suspended API key open things again."""

    @extend_schema(operation_id="resume_api_key", tags=["accounts"], request=None, responses=ApiKeySerializer)
    def post(self, request: Request, key_id: UUID) -> Response:
        """Let a suspended key open things again. A key can resume none that may do more than itself."""
        return Response(ApiKeySerializer(keys.resume_key(find_key(request, key_id), maker=maker_of(request))).data)


class PermissionsView(APIView):
    """What an API key may do."""

    @extend_schema(
        operation_id="change_api_key_scopes",
        tags=["accounts"],
        request=PermissionsSerializer,
        responses=ApiKeySerializer,
        examples=[OpenApiExample("Only looking", value={"permissions": ["read"]}, request_only=True)],
    )
    def put(self, request: Request, key_id: UUID) -> Response:
        """Change what a key may do. A key that asks for it can add nothing that it may not do itself."""
        wanted = PermissionsSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        key = find_key(request, key_id)
        changed = keys.change_scopes(key, scopes=wanted.validated_data["permissions"], maker=maker_of(request))
        return Response(ApiKeySerializer(changed).data)
