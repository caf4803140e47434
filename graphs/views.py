"""The API of graphs and blocks: every user sees their own, somebody else's is not there."""

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from graphs import services
from graphs.blocks.registry import all_interfaces
from graphs.models import Graph, GraphVersion
from graphs.parsers import BODY, GraphDocumentParser
from graphs.serializers import (
    ActiveVersionSerializer,
    BlockSerializer,
    GraphSerializer,
    GraphSummarySerializer,
    ImportedGraphSerializer,
    VersionSummarySerializer,
    show_imported,
)

VERSION = OpenApiParameter("version", int, description="The number of a version; the active one if left out.")


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


class GraphsView(generics.ListAPIView[Graph]):
    """The user's graphs."""

    serializer_class = GraphSummarySerializer
    parser_classes = [GraphDocumentParser]

    def get_queryset(self) -> QuerySet[Graph]:
        """Return the user's graphs with their active versions."""
        graphs = Graph.objects.filter(owner_id=self.request.user.pk, active_version__isnull=False)
        return graphs.select_related("active_version")

    @extend_schema(request=OpenApiTypes.OBJECT, responses={201: ImportedGraphSerializer})
    def post(self, request: Request) -> Response:
        """Import a graph: the JSON that AutoGPT exports, bare or as `{"graph": …}`, sub-graphs included.

        All ids are new. What was changed or may not work is told in `warnings`.
        """
        imported = services.import_graph(owner=_user(request), document=_read_body(request))
        return Response(show_imported(imported), status=status.HTTP_201_CREATED)


class GraphView(APIView):
    """One graph."""

    parser_classes = [GraphDocumentParser]

    @extend_schema(parameters=[VERSION], responses=GraphSerializer)
    def get(self, request: Request, graph_id: UUID) -> Response:
        """Return a version of the graph with its nodes and links."""
        version = services.get_version(user=_user(request), graph_id=graph_id, version=_read_version(request))
        return Response(GraphSerializer(version).data)

    @extend_schema(request=OpenApiTypes.OBJECT, responses=ImportedGraphSerializer)
    def put(self, request: Request, graph_id: UUID) -> Response:
        """Save the next version of the graph and make it the active one.

        Takes the same JSON as an import; ids of nodes and links stay, and sub-graphs in it are left out: agent nodes
        refer to graphs that are already there.
        """
        graph = services.get_graph(user=_user(request), graph_id=graph_id)
        return Response(show_imported(services.replace_graph(graph=graph, document=_read_body(request))))


class GraphVersionsView(generics.ListAPIView[GraphVersion]):
    """The versions of a graph, newest first."""

    serializer_class = VersionSummarySerializer

    def get_queryset(self) -> QuerySet[GraphVersion]:
        """Return the versions, without what is in them."""
        if getattr(self, "swagger_fake_view", False):
            return GraphVersion.objects.none()
        graph = services.get_graph(user=_user(self.request), graph_id=self.kwargs["graph_id"])
        return graph.versions.select_related("graph")


class ActiveVersionView(APIView):
    """Which version runs when no other is asked for."""

    @extend_schema(request=ActiveVersionSerializer, responses=VersionSummarySerializer)
    def put(self, request: Request, graph_id: UUID) -> Response:
        """Make a version the active one."""
        wanted = ActiveVersionSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        graph = services.get_graph(user=_user(request), graph_id=graph_id)
        version = services.set_active_version(graph=graph, version=wanted.validated_data["version"])
        return Response(VersionSummarySerializer(version).data)


class GraphExportView(APIView):
    """A graph for another place."""

    @extend_schema(parameters=[VERSION], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, graph_id: UUID) -> Response:
        """Return a version as AutoGPT's JSON, with all graphs that it runs, and without secrets."""
        version = services.get_version(user=_user(request), graph_id=graph_id, version=_read_version(request))
        return Response(services.export_graph(version=version))


class BlocksView(APIView):
    """The blocks that graphs are made of."""

    @extend_schema(responses=BlockSerializer(many=True), operation_id="v1_blocks_list")
    def get(self, request: Request) -> Response:
        """Return all blocks: those that can run here, and those of which only the pins are known."""
        del request
        return Response([BlockSerializer(interface).data for interface in all_interfaces()])
