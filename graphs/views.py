"""The API of graphs and blocks: every user sees their own, somebody else's is not there."""

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
)
from rest_framework import generics, status
from rest_framework.exceptions import ValidationError
from rest_framework.fields import BooleanField
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from graphs import lifecycle, services
from graphs.blocks.interfaces import Interface
from graphs.blocks.registry import all_interfaces, find_interface
from graphs.exceptions import UnknownBlockError
from graphs.models import Graph, GraphVersion
from graphs.parsers import BODY, GraphDocumentParser
from graphs.samples import DOCUMENT_EXAMPLE
from graphs.serializers import (
    ActiveVersionSerializer,
    BlockSerializer,
    DeletedGraphSerializer,
    ExportedGraphSerializer,
    GraphDocumentSerializer,
    GraphSerializer,
    GraphSummarySerializer,
    ImportedGraphSerializer,
    VersionSummarySerializer,
    show_imported,
)

VERSION = OpenApiParameter(
    "version",
    {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    description="The number of a version; the active one if left out.",
)
FOR_EXPORT = OpenApiParameter(
    "for_export",
    bool,
    description="Answer as `export` does: AutoGPT's JSON, with the graphs that it runs and without secrets.",
)
DOCUMENT = OpenApiExample("A sum", value=DOCUMENT_EXAMPLE, request_only=True)
GRAPH_OR_EXPORT = PolymorphicProxySerializer(
    component_name="GraphOrExport",
    serializers=[GraphSerializer, ExportedGraphSerializer],
    resource_type_field_name=None,
)


def _user(request: Request) -> AbstractBaseUser:
    """Return the user: the settings demand that there is one."""
    return cast(AbstractBaseUser, request.user)


def _read_body(request: Request) -> bytes:
    """Return what the parser kept; a request without a body never reached it."""
    body: bytes = cast(dict[str, Any], request.data).get(BODY, b"")
    return body


def _read_version(request: Request) -> int | None:
    text = request.query_params.get("version")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text[:10]) < 2**31 and len(text) <= len(str(2**31))):
        raise ValidationError({"version": ["This is not the number of a version."]})
    return int(text)


def _is_for_export(request: Request) -> bool:
    text = request.query_params.get("for_export", "false")
    if text not in BooleanField.TRUE_VALUES | BooleanField.FALSE_VALUES:
        raise ValidationError({"for_export": ["This is neither true nor false."]})
    return text in BooleanField.TRUE_VALUES


class GraphsView(generics.ListAPIView[Graph]):
    """The user's graphs."""

    serializer_class = GraphSummarySerializer
    parser_classes = [GraphDocumentParser]
    idempotent_methods = ("POST",)

    def get_queryset(self) -> QuerySet[Graph]:
        """Return the user's graphs with their active versions."""
        graphs = Graph.objects.filter(owner_id=self.request.user.pk, active_version__isnull=False)
        return graphs.filter(deleted_at__isnull=True).select_related("active_version", "forked_from")

    @extend_schema(operation_id="list_graphs", tags=["graphs"])
    def get(self, request: Request) -> Response:
        """List your graphs, newest first."""
        return self.list(request)

    @extend_schema(
        operation_id="create_graph",
        tags=["graphs"],
        request=GraphDocumentSerializer,
        responses={201: ImportedGraphSerializer},
        examples=[DOCUMENT],
    )
    def post(self, request: Request) -> Response:
        """Create or import a graph: the JSON that AutoGPT exports, bare or as `{"graph": …}`, sub-graphs included.

        All ids are new. What was changed or may not work is told in `warnings`.
        """
        imported = services.import_graph(owner=_user(request), document=_read_body(request))
        return Response(show_imported(imported), status=status.HTTP_201_CREATED)


class GraphView(APIView):
    """One graph."""

    parser_classes = [GraphDocumentParser]
    idempotent_methods = ("PUT",)

    @extend_schema(
        operation_id="get_graph", tags=["graphs"], parameters=[VERSION, FOR_EXPORT], responses=GRAPH_OR_EXPORT
    )
    def get(self, request: Request, graph_id: UUID) -> Response:
        """Return a version of the graph with its nodes and links."""
        for_export = _is_for_export(request)
        version = services.get_version(user=_user(request), graph_id=graph_id, version=_read_version(request))
        return Response(services.export_graph(version=version) if for_export else GraphSerializer(version).data)

    @extend_schema(
        operation_id="replace_graph",
        tags=["graphs"],
        request=GraphDocumentSerializer,
        responses=ImportedGraphSerializer,
        examples=[DOCUMENT],
    )
    def put(self, request: Request, graph_id: UUID) -> Response:
        """Save the next version of the graph and make it the active one.

        Takes the same JSON as an import; ids of nodes and links stay, and sub-graphs in it are left out: agent nodes
        refer to graphs that are already there.
        """
        graph = services.get_graph(user=_user(request), graph_id=graph_id)
        return Response(show_imported(services.replace_graph(graph=graph, document=_read_body(request))))

    @extend_schema(operation_id="delete_graph", tags=["graphs"], responses={200: DeletedGraphSerializer})
    def delete(self, request: Request, graph_id: UUID) -> Response:
        """Delete a graph with all of its versions and presets, and stop what runs of it.

        Its runs stay in the history until they are deleted themselves.
        """
        graph = services.get_graph(user=_user(request), graph_id=graph_id)
        return Response({"version_counts": lifecycle.delete_graph(graph=graph)})


class ForkView(APIView):
    """Copying a graph."""

    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="fork_graph",
        tags=["graphs"],
        parameters=[VERSION],
        request=None,
        responses={201: GraphSerializer},
    )
    def post(self, request: Request, graph_id: UUID) -> Response:
        """Copy a version into a new graph, as its first version."""
        version = services.get_version(user=_user(request), graph_id=graph_id, version=_read_version(request))
        fork = lifecycle.fork_graph(version=version)
        shown = services.get_version(user=_user(request), graph_id=fork.graph_id)
        return Response(GraphSerializer(shown).data, status=status.HTTP_201_CREATED)


class GraphVersionsView(generics.ListAPIView[GraphVersion]):
    """The versions of a graph."""

    serializer_class = VersionSummarySerializer

    def get_queryset(self) -> QuerySet[GraphVersion]:
        """Return the versions, without what is in them."""
        if getattr(self, "swagger_fake_view", False):
            return GraphVersion.objects.none()
        graph = services.get_graph(user=_user(self.request), graph_id=self.kwargs["graph_id"])
        return graph.versions.select_related("graph__forked_from")

    @extend_schema(operation_id="list_graph_versions", tags=["graphs"])
    def get(self, request: Request, graph_id: UUID) -> Response:
        """List the versions of a graph, newest first."""
        del graph_id
        return self.list(request)


class GraphVersionView(APIView):
    """One version of a graph."""

    @extend_schema(
        operation_id="get_graph_version", tags=["graphs"], parameters=[FOR_EXPORT], responses=GRAPH_OR_EXPORT
    )
    def get(self, request: Request, graph_id: UUID, version: int) -> Response:
        """Return a version of the graph with its nodes and links."""
        for_export = _is_for_export(request)
        found = services.get_version(user=_user(request), graph_id=graph_id, version=version)
        return Response(services.export_graph(version=found) if for_export else GraphSerializer(found).data)


class ActiveVersionView(APIView):
    """Which version runs when no other is asked for."""

    @extend_schema(
        operation_id="set_active_graph_version",
        tags=["graphs"],
        request=ActiveVersionSerializer,
        responses=VersionSummarySerializer,
        examples=[OpenApiExample("The first", value={"active_graph_version": 1}, request_only=True)],
    )
    def put(self, request: Request, graph_id: UUID) -> Response:
        """Make a version the active one."""
        wanted = ActiveVersionSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        graph = services.get_graph(user=_user(request), graph_id=graph_id)
        version = services.set_active_version(graph=graph, version=wanted.validated_data["active_graph_version"])
        return Response(VersionSummarySerializer(version).data)


class GraphSettingsView(APIView):
    """What a graph asks of its runs."""

    @extend_schema(
        operation_id="change_graph_settings",
        tags=["graphs"],
        request=OpenApiTypes.OBJECT,
        responses={200: OpenApiResponse(OpenApiTypes.OBJECT, description="All settings as they are then.")},
        examples=[OpenApiExample("An hour at most", value={"max_duration": 3600}, request_only=True)],
    )
    def patch(self, request: Request, graph_id: UUID) -> Response:
        """Change some settings; null takes one away.

        That makes the next version of the graph, which becomes the active one: versions never change.
        """
        if not isinstance(request.data, dict):
            raise ValidationError({"non_field_errors": ["The body must be an object: {setting: value}."]})
        graph = services.get_graph(user=_user(request), graph_id=graph_id)
        return Response(services.change_settings(graph=graph, changes=request.data).settings)


class GraphExportView(APIView):
    """A graph for another place."""

    @extend_schema(
        operation_id="export_graph", tags=["graphs"], parameters=[VERSION], responses=ExportedGraphSerializer
    )
    def get(self, request: Request, graph_id: UUID) -> Response:
        """Return a version as AutoGPT's JSON, with all graphs that it runs, and without secrets."""
        version = services.get_version(user=_user(request), graph_id=graph_id, version=_read_version(request))
        return Response(services.export_graph(version=version))


class BlocksView(APIView):
    """The blocks that graphs are made of."""

    @extend_schema(operation_id="list_blocks", tags=["blocks"], responses=BlockSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List all blocks: those that can run here, and those of which only the pins are known."""
        del request
        return Response([BlockSerializer(interface).data for interface in all_interfaces()])


class BlockView(APIView):
    """One block."""

    @extend_schema(operation_id="get_block", tags=["blocks"], responses=BlockSerializer)
    def get(self, request: Request, block_id: UUID) -> Response:
        """Return a block with its pins and its costs."""
        del request
        interface: Interface | None = find_interface(str(block_id))
        if interface is None:
            raise UnknownBlockError(f"There is no block {block_id}.")
        return Response(BlockSerializer(interface).data)
