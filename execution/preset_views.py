"""The API of presets: inputs for a graph that are kept to be run with again."""

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from execution import presets
from execution.models import MAX_PRESET_NAME_LENGTH, Preset
from execution.parsers import StorableJSONParser
from execution.reporting import get_run
from execution.serializers import ExecutionSerializer
from execution.start_serializers import CostWishesSerializer, take_other_names
from graphs.credential_serializers import CredentialsField

KEPT = OpenApiExample(
    "A number",
    value={"graph_id": "0190f3f4-0000-7000-8000-000000000000", "name": "Eight", "input_data": {"Number": 8}},
    request_only=True,
)


class PresetSerializer(CostWishesSerializer, serializers.ModelSerializer[Preset]):
    """Inputs for a graph, kept under a name."""

    id = serializers.UUIDField(read_only=True, help_text="The preset's id.")
    graph_id = serializers.UUIDField(help_text="The graph that it is for.")
    graph_version = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=2**31 - 1,
        help_text="The version that is run; null: the one that is active by then.",
    )
    name = serializers.CharField(max_length=MAX_PRESET_NAME_LENGTH, help_text="What it is called.")
    description = serializers.CharField(
        required=False, allow_blank=True, max_length=10_000, help_text="What it is for; may be empty."
    )
    input_data = serializers.DictField(required=False, help_text="The run's inputs by name.")
    nodes_input_masks = serializers.DictField(
        child=serializers.DictField(), required=False, help_text="{node id: {pin: value}}: what stands in for inputs."
    )
    input_credentials = CredentialsField(required=False)
    inputs = serializers.DictField(required=False, write_only=True, help_text="The same as `input_data`.")
    credentials = CredentialsField(required=False, write_only=True, help_text="The same as `input_credentials`.")
    created_at = serializers.DateTimeField(read_only=True, help_text="When it was made.")
    updated_at = serializers.DateTimeField(read_only=True, help_text="When it was last changed.")

    class Meta:
        model = Preset
        fields = [
            "id",
            "graph_id",
            "graph_version",
            "name",
            "description",
            "input_data",
            "nodes_input_masks",
            "max_cost",
            "on_insufficient_credits",
            "input_credentials",
            "inputs",
            "credentials",
            "created_at",
            "updated_at",
        ]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take inputs and credentials under either name."""
        return take_other_names(attrs, inputs="input_data", credentials="input_credentials")


class ExecutePresetSerializer(serializers.Serializer[Any]):
    """What a run differs in from its preset."""

    input_data = serializers.DictField(
        required=False, default=dict, help_text="Inputs by name, instead of the preset's or besides them."
    )
    inputs = serializers.DictField(required=False, write_only=True, help_text="The same as `input_data`.")
    dry_run = serializers.BooleanField(required=False, default=False, help_text="Simulate.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take the inputs under either name."""
        return take_other_names(attrs, inputs="input_data")


class PresetFilter(filters.FilterSet):
    """Presets by their graph."""

    graph_id = filters.UUIDFilter("graph_id", help_text="Only presets for this graph.")

    class Meta:
        model = Preset
        fields: list[str] = []


def _user(request: Request) -> AbstractBaseUser:
    """Return who asks: authentication is demanded by the settings."""
    return cast(AbstractBaseUser, request.user)


class PresetsView(generics.ListAPIView[Preset]):
    """The user's presets."""

    serializer_class = PresetSerializer
    filterset_class = PresetFilter
    parser_classes = [StorableJSONParser]
    idempotent_methods = ("POST",)

    def get_queryset(self) -> QuerySet[Preset]:
        """Return the user's presets."""
        return presets.find_presets(user_id=int(self.request.user.pk or 0))

    @extend_schema(operation_id="list_presets", tags=["presets"])
    def get(self, request: Request) -> Response:
        """List your presets, newest first."""
        return self.list(request)

    @extend_schema(
        operation_id="create_preset",
        tags=["presets"],
        request=PresetSerializer,
        responses={201: PresetSerializer},
        examples=[KEPT],
    )
    def post(self, request: Request) -> Response:
        """Keep inputs for a graph under a name. Whether they fit is said when it is run."""
        wanted = PresetSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        preset = presets.create_preset(user=_user(request), preset=Preset(**wanted.validated_data))
        return Response(PresetSerializer(preset).data, status=status.HTTP_201_CREATED)


class PresetView(APIView):
    """One preset."""

    parser_classes = [StorableJSONParser]

    @extend_schema(operation_id="get_preset", tags=["presets"], responses=PresetSerializer)
    def get(self, request: Request, preset_id: UUID) -> Response:
        """Return a preset."""
        return Response(PresetSerializer(presets.get_preset(user=_user(request), preset_id=preset_id)).data)

    @extend_schema(
        operation_id="change_preset",
        tags=["presets"],
        request=PresetSerializer,
        responses=PresetSerializer,
        examples=[OpenApiExample("Other inputs", value={"input_data": {"Number": 13}}, request_only=True)],
    )
    def patch(self, request: Request, preset_id: UUID) -> Response:
        """Change a preset; what is left out stays."""
        preset = presets.get_preset(user=_user(request), preset_id=preset_id)
        wanted = PresetSerializer(preset, data=request.data, partial=True)
        wanted.is_valid(raise_exception=True)
        changed = presets.change_preset(user=_user(request), preset=preset, changes=wanted.validated_data)
        return Response(PresetSerializer(changed).data)

    @extend_schema(
        operation_id="delete_preset", tags=["presets"], responses={204: OpenApiResponse(description="It is gone.")}
    )
    def delete(self, request: Request, preset_id: UUID) -> Response:
        """Delete a preset. Runs that were started with it stay."""
        presets.get_preset(user=_user(request), preset_id=preset_id).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class ExecutePresetView(APIView):
    """Starting a run with a preset."""

    parser_classes = [StorableJSONParser]
    required_scopes = {"POST": "execute"}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="execute_preset",
        tags=["presets"],
        request=ExecutePresetSerializer,
        responses={202: ExecutionSerializer},
        examples=[OpenApiExample("Another number", value={"input_data": {"Number": 21}}, request_only=True)],
    )
    def post(self, request: Request, preset_id: UUID) -> Response:
        """Start a run with the preset's inputs. What keeps it from running is told by node and field."""
        preset = presets.get_preset(user=_user(request), preset_id=preset_id)
        wanted = ExecutePresetSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        started = presets.execute_preset(
            user=_user(request),
            preset=preset,
            input_data=wanted.validated_data["input_data"],
            simulate=wanted.validated_data["dry_run"],
        )
        return Response(ExecutionSerializer(get_run(execution_id=started.pk)).data, status=status.HTTP_202_ACCEPTED)
