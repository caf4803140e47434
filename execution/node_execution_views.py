"""The API of node executions."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from execution import reporting
from execution.bounds import SINGLE, Allowance
from execution.filters import NodeExecutionFilter
from execution.models import NodeExecution
from execution.node_execution_serializers import NodeExecutionSerializer
from execution.pagination import OldestFirstPagination


class NodeExecutionsView(generics.ListAPIView[NodeExecution]):
    """The node executions of a run, oldest first."""

    serializer_class = NodeExecutionSerializer
    pagination_class = OldestFirstPagination
    filterset_class = NodeExecutionFilter

    def get_queryset(self) -> QuerySet[NodeExecution]:
        """Return those of the user's run."""
        if getattr(self, "swagger_fake_view", False):
            return NodeExecution.objects.none()
        self.run = reporting.get_run_of_node_executions(
            user_id=int(self.request.user.pk or 0),
            graph_id=self.kwargs["graph_id"],
            execution_id=self.kwargs["execution_id"],
        )
        return reporting.find_node_executions(self.run)

    @extend_schema(operation_id="list_node_executions", tags=["executions"])
    def get(self, request: Request, graph_id: UUID, execution_id: UUID) -> Response:
        """List the node executions of a run, oldest first, with their inputs, outputs and attempts."""
        del graph_id, execution_id
        return self.list(request)

    def get_serializer_context(self) -> dict[str, Any]:
        """Tell the serializer the run."""
        return {**super().get_serializer_context(), "run": getattr(self, "run", None)}


class NodeExecutionView(APIView):
    """One node execution."""

    @extend_schema(operation_id="get_node_execution", tags=["executions"], responses=NodeExecutionSerializer)
    def get(self, request: Request, graph_id: UUID, execution_id: UUID, node_execution_id: UUID) -> Response:
        """Return a node execution with its values whole."""
        run = reporting.get_run_of_node_executions(
            user_id=int(request.user.pk or 0), graph_id=graph_id, execution_id=execution_id
        )
        found = reporting.get_node_execution(run=run, node_execution_id=node_execution_id)
        context = {"request": request, "run": run, "allowance": Allowance(bounds=SINGLE)}
        return Response(NodeExecutionSerializer(found, context=context).data)
