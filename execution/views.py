"""The API of runs: every user sees their own, somebody else's is not there."""

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from execution import reporting
from execution.bounds import SINGLE, Allowance
from execution.models import Execution, NodeExecution, Review
from execution.pagination import OldestFirstPagination, PendingFirstPagination
from execution.parsers import StorableJSONParser
from execution.receipts import ReceiptSerializer
from execution.serializers import (
    DecisionSerializer,
    ExecutionDetailSerializer,
    ExecutionSerializer,
    NodeExecutionSerializer,
    ReplaySerializer,
    ReviewSerializer,
    StartSerializer,
)
from execution.services import decide_review, replay_execution, resume_execution, start_execution, stop_execution
from graphs.services import get_graph, get_version


def _user(request: Request) -> AbstractBaseUser:
    """Return who asks: authentication is demanded by the settings."""
    return cast(AbstractBaseUser, request.user)


def _start(request: Request, *, graph_id: UUID, version: int | None) -> Response:
    wanted = StartSerializer(data=request.data)
    wanted.is_valid(raise_exception=True)
    started = start_execution(
        user=_user(request),
        version=get_version(user=_user(request), graph_id=graph_id, version=version),
        input_data=wanted.validated_data["input_data"],
        nodes_input_masks=wanted.validated_data["nodes_input_masks"],
        simulate=wanted.validated_data["dry_run"],
        max_duration=wanted.validated_data.get("max_duration"),
        on_error=wanted.validated_data.get("on_error"),
    )
    run = reporting.get_run(execution_id=started.pk)
    return Response(ExecutionSerializer(run).data, status=status.HTTP_202_ACCEPTED)


class ExecuteActiveView(APIView):
    """Starting a run of a graph's active version."""

    parser_classes = [StorableJSONParser]
    required_scopes = {"POST": "execute"}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="v1_graphs_execute_active", request=StartSerializer, responses={202: ExecutionSerializer}
    )
    def post(self, request: Request, graph_id: UUID) -> Response:
        """Start a run of the active version. What keeps it from running is told by node and field."""
        return _start(request, graph_id=graph_id, version=None)


class ExecuteView(APIView):
    """Starting a run of a graph."""

    parser_classes = [StorableJSONParser]
    required_scopes = {"POST": "execute"}
    idempotent_methods = ("POST",)

    @extend_schema(operation_id="v1_graphs_execute", request=StartSerializer, responses={202: ExecutionSerializer})
    def post(self, request: Request, graph_id: UUID, version: int) -> Response:
        """Start a run of a version. What keeps it from running is told by node and field."""
        return _start(request, graph_id=graph_id, version=version)


class ExecutionsView(generics.ListAPIView[Execution]):
    """The runs that the user has started, newest first."""

    serializer_class = ExecutionSerializer

    def get_queryset(self) -> QuerySet[Execution]:
        """Return the user's runs without sub-runs."""
        return reporting.find_runs(user_id=_pk(self.request))


@extend_schema_view(get=extend_schema(operation_id="v1_graphs_executions_list"))
class GraphExecutionsView(generics.ListAPIView[Execution]):
    """The runs of a graph, newest first, sub-runs included."""

    serializer_class = ExecutionSerializer

    def get_queryset(self) -> QuerySet[Execution]:
        """Return the runs of all versions of the graph."""
        if getattr(self, "swagger_fake_view", False):
            return Execution.objects.none()
        graph = get_graph(user=_user(self.request), graph_id=self.kwargs["graph_id"])
        return reporting.find_runs(user_id=_pk(self.request), graph_id=graph.pk)


class GraphExecutionView(APIView):
    """One run."""

    @extend_schema(responses=ExecutionDetailSerializer)
    def get(self, request: Request, graph_id: UUID, execution_id: UUID) -> Response:
        """Return a run with its outputs and its first node executions (oldest first)."""
        run = reporting.get_run(user_id=_pk(request), graph_id=graph_id, execution_id=execution_id)
        pages = OldestFirstPagination()
        pages.page_size = pages.max_page_size
        shown = pages.paginate_queryset(reporting.find_node_executions(run), request, view=self)
        address = reverse("execution:node-executions", args=[graph_id, execution_id], request=request)
        following = pages.next_link_below(address)
        context = {"request": request, "node_executions": shown, "node_executions_next": following}
        return Response(ExecutionDetailSerializer(run, context=context).data)


class StopView(APIView):
    """Stopping a run."""

    required_scopes = {"POST": "execute"}
    idempotent_methods = ("POST",)

    @extend_schema(request=None, responses=ReceiptSerializer)
    def post(self, request: Request, graph_id: UUID, execution_id: UUID) -> Response:
        """Stop a run and all of its sub-runs for good; what has ended stays as it is. The answer is a receipt."""
        run = reporting.get_run(user_id=_pk(request), graph_id=graph_id, execution_id=execution_id)
        return Response(ReceiptSerializer(stop_execution(execution_id=run.pk)).data)


class ResumeView(APIView):
    """Resuming a run."""

    required_scopes = {"POST": "execute"}
    idempotent_methods = ("POST",)

    @extend_schema(request=None, responses={202: ExecutionSerializer})
    def post(self, request: Request, graph_id: UUID, execution_id: UUID) -> Response:
        """Let a run that FAILED or was stopped go on. What it has completed is not done again."""
        run = reporting.get_run(user_id=_pk(request), graph_id=graph_id, execution_id=execution_id)
        resume_execution(execution_id=run.pk)
        resumed = reporting.get_run(execution_id=run.pk)
        return Response(ExecutionSerializer(resumed).data, status=status.HTTP_202_ACCEPTED)


class ReplayView(APIView):
    """Replaying a run."""

    required_scopes = {"POST": "execute"}
    idempotent_methods = ("POST",)

    @extend_schema(request=ReplaySerializer, responses={202: ExecutionSerializer})
    def post(self, request: Request, graph_id: UUID, execution_id: UUID) -> Response:
        """Repeat a run that has ended from one of its node executions on, as a new run."""
        run = reporting.get_run(user_id=_pk(request), graph_id=graph_id, execution_id=execution_id)
        wanted = ReplaySerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        replay = replay_execution(
            execution_id=run.pk,
            node_execution_id=wanted.validated_data["node_execution_id"],
            version=wanted.validated_data.get("graph_version"),
        )
        shown = reporting.get_run(execution_id=replay.pk)
        return Response(ExecutionSerializer(shown).data, status=status.HTTP_202_ACCEPTED)


class NodeExecutionsView(generics.ListAPIView[NodeExecution]):
    """The node executions of a run, oldest first."""

    serializer_class = NodeExecutionSerializer
    pagination_class = OldestFirstPagination

    def get_queryset(self) -> QuerySet[NodeExecution]:
        """Return those of the user's run."""
        if getattr(self, "swagger_fake_view", False):
            return NodeExecution.objects.none()
        self.run = reporting.get_run(
            user_id=_pk(self.request), graph_id=self.kwargs["graph_id"], execution_id=self.kwargs["execution_id"]
        )
        return reporting.find_node_executions(self.run)

    def get_serializer_context(self) -> dict[str, Any]:
        """Tell the serializer the run."""
        return {**super().get_serializer_context(), "run": getattr(self, "run", None)}


class NodeExecutionView(APIView):
    """One node execution."""

    @extend_schema(responses=NodeExecutionSerializer)
    def get(self, request: Request, graph_id: UUID, execution_id: UUID, node_execution_id: UUID) -> Response:
        """Return a node execution with its values whole."""
        run = reporting.get_run(user_id=_pk(request), graph_id=graph_id, execution_id=execution_id)
        found = reporting.get_node_execution(run=run, node_execution_id=node_execution_id)
        context = {"request": request, "run": run, "allowance": Allowance(bounds=SINGLE)}
        return Response(NodeExecutionSerializer(found, context=context).data)


class ReviewsView(generics.ListAPIView[Review]):
    """What the user's runs ask people, undecided questions first."""

    serializer_class = ReviewSerializer
    pagination_class = PendingFirstPagination

    def get_queryset(self) -> QuerySet[Review]:
        """Return the questions with what sorts them."""
        return reporting.find_reviews(user_id=_pk(self.request))


class DecideReviewView(APIView):
    """Deciding."""

    parser_classes = [StorableJSONParser]
    required_scopes = {"POST": "execute"}
    idempotent_methods = ("POST",)

    @extend_schema(request=DecisionSerializer, responses=ReviewSerializer)
    def post(self, request: Request, review_id: UUID) -> Response:
        """Answer a question; its run goes on. What was decided before stays decided (409)."""
        review = reporting.get_review(review_id=review_id, user_id=_pk(request))
        wanted = DecisionSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        decision = wanted.validated_data
        decide_review(
            user=_user(request),
            review=review,
            approved=decision["approved"],
            data=decision.get("data", review.data),
            message=decision["message"],
        )
        return Response(ReviewSerializer(reporting.get_review(review_id=review_id, user_id=_pk(request))).data)


def _pk(request: Request) -> int:
    """Return the user's key; 0, which is nobody's, while the schema is drawn without one."""
    return int(request.user.pk or 0)
