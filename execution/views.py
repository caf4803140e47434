"""The API of runs: every user sees their own, somebody else's is not there."""

from typing import cast
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import ValidationError
from rest_framework.fields import BooleanField
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from execution import reporting
from execution.deletion import delete_execution
from execution.exceptions import PresetNotFoundError
from execution.filters import AnyGraphExecutionFilter, ExecutionFilter
from execution.models import Execution, NodeExecution, OnInsufficientCredits, Preset
from execution.pagination import OldestFirstPagination, RunPagination
from execution.parsers import StorableJSONParser
from execution.presets import complete_with_preset, get_preset
from execution.receipts import ReceiptSerializer
from execution.serializers import ExecutionDetailSerializer, ExecutionSerializer
from execution.services import accept_execution, replay_execution, resume_execution, stop_execution
from execution.start_serializers import ExecutionChangeSerializer, ReplaySerializer, StartSerializer
from graphs.services import add_references, get_graph, get_version

INPUTS = OpenApiExample("A number", value={"input_data": {"Number": 8}}, request_only=True)
INCLUDE_NODE_EXECUTIONS = OpenApiParameter(
    "include_node_executions",
    bool,
    description="`false` leaves them out; `node_executions_next` is then where all of them are.",
)
PRESET = OpenApiParameter(
    "preset_id", UUID, description="A preset of the graph: what it keeps counts where the body says nothing."
)
GONE = OpenApiResponse(description="It is gone.")


def _user(request: Request) -> AbstractBaseUser:
    """Return who asks: authentication is demanded by the settings."""
    return cast(AbstractBaseUser, request.user)


def _read_preset(request: Request, graph_id: UUID) -> Preset | None:
    """Return the preset that the run is to take inputs from. Raises `PresetNotFoundError` if it is another graph's."""
    text = request.query_params.get("preset_id")
    if text is None:
        return None
    try:
        preset = get_preset(user=_user(request), preset_id=UUID(text))
    except ValueError:
        raise ValidationError({"preset_id": ["This is not the id of a preset."]}) from None
    if preset.graph_id != graph_id:
        raise PresetNotFoundError(f"The graph {graph_id} has no preset {preset.pk}.")
    return preset


@transaction.atomic
def _start(request: Request, *, graph_id: UUID, version: int | None) -> UUID:
    serializer = StartSerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    found = get_version(user=_user(request), graph_id=graph_id, version=version, parts=False)
    preset = _read_preset(request, graph_id)
    wanted = complete_with_preset(preset, serializer.validated_data) if preset else serializer.validated_data
    started = accept_execution(
        user=_user(request),
        version=found,
        input_data=wanted["input_data"],
        nodes_input_masks=add_references(
            found, masks=wanted["nodes_input_masks"], references=wanted["input_credentials"]
        ),
        simulate=wanted["dry_run"],
        max_duration=wanted.get("max_duration"),
        on_error=wanted.get("on_error"),
        max_cost=wanted.get("max_cost"),
        on_insufficient_credits=wanted.get("on_insufficient_credits", OnInsufficientCredits.FAIL),
        preset_id=preset.pk if preset else None,
    )
    if label := wanted["label"]:
        Execution.objects.filter(pk=started).update(label=label)
    return started


def _answer_started(started: UUID) -> Response:
    run = reporting.get_run(execution_id=started)
    return Response(ExecutionSerializer(run).data, status=status.HTTP_202_ACCEPTED)


class ExecuteActiveView(APIView):
    """Starting a run of a graph's active version."""

    parser_classes = [StorableJSONParser]
    required_scopes = {"POST": "execute"}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="execute_active_graph",
        tags=["executions"],
        parameters=[PRESET],
        request=StartSerializer,
        responses={202: ExecutionSerializer},
        examples=[INPUTS],
    )
    def post(self, request: Request, graph_id: UUID) -> Response:
        """Start a run of the active version. What keeps it from running is told by node and field."""
        return _answer_started(_start(request, graph_id=graph_id, version=None))


class ExecuteView(APIView):
    """Starting a run of a graph."""

    parser_classes = [StorableJSONParser]
    required_scopes = {"POST": "execute"}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="execute_graph",
        tags=["executions"],
        parameters=[PRESET],
        request=StartSerializer,
        responses={202: ExecutionSerializer},
        examples=[INPUTS],
    )
    def post(self, request: Request, graph_id: UUID, version: int) -> Response:
        """Start a run of a version. What keeps it from running is told by node and field."""
        return _answer_started(_start(request, graph_id=graph_id, version=version))


class ExecutionsView(generics.ListAPIView[Execution]):
    """The runs that the user has started."""

    serializer_class = ExecutionSerializer
    pagination_class = RunPagination
    filterset_class = AnyGraphExecutionFilter

    def get_queryset(self) -> QuerySet[Execution]:
        """Return the user's runs without sub-runs."""
        return reporting.find_runs(user_id=_pk(self.request))

    @extend_schema(operation_id="list_executions", tags=["executions"])
    def get(self, request: Request) -> Response:
        """List the runs that you have started, of all graphs, newest first; sub-runs are left out."""
        return self.list(request)


class GraphExecutionsView(generics.ListAPIView[Execution]):
    """The runs of a graph."""

    serializer_class = ExecutionSerializer
    pagination_class = RunPagination
    filterset_class = ExecutionFilter

    def get_queryset(self) -> QuerySet[Execution]:
        """Return the runs of all versions of the graph."""
        if getattr(self, "swagger_fake_view", False):
            return Execution.objects.none()
        graph = get_graph(user=_user(self.request), graph_id=self.kwargs["graph_id"])
        return reporting.find_runs(user_id=_pk(self.request), graph_id=graph.pk)

    @extend_schema(operation_id="list_graph_executions", tags=["executions"])
    def get(self, request: Request, graph_id: UUID) -> Response:
        """List the runs of a graph, newest first, sub-runs included."""
        del graph_id
        return self.list(request)


class GraphExecutionView(APIView):
    """One run."""

    @extend_schema(
        operation_id="get_execution",
        tags=["executions"],
        parameters=[INCLUDE_NODE_EXECUTIONS],
        responses=ExecutionDetailSerializer,
    )
    def get(self, request: Request, graph_id: UUID, execution_id: UUID) -> Response:
        """Return a run with its outputs and its first node executions (oldest first)."""
        is_wanted = _wants_node_executions(request)
        run = reporting.get_run(user_id=_pk(request), graph_id=graph_id, execution_id=execution_id)
        shown: list[NodeExecution] | None = []
        following: str | None = reverse("execution:node-executions", args=[graph_id, execution_id], request=request)
        if is_wanted:
            pages = OldestFirstPagination()
            pages.page_size = pages.max_page_size
            shown = pages.paginate_queryset(reporting.find_node_executions(run), request, view=self)
            following = pages.next_link_below(str(following))
        context = {"request": request, "node_executions": shown, "node_executions_next": following}
        return Response(ExecutionDetailSerializer(run, context=context).data)

    @extend_schema(
        operation_id="change_execution",
        tags=["executions"],
        request=ExecutionChangeSerializer,
        responses=ExecutionSerializer,
        examples=[OpenApiExample("Label", value={"label": "nightly"}, request_only=True)],
    )
    def patch(self, request: Request, graph_id: UUID, execution_id: UUID) -> Response:
        """Give a run another label."""
        wanted = ExecutionChangeSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        run = reporting.get_run(user_id=_pk(request), graph_id=graph_id, execution_id=execution_id)
        Execution.objects.filter(pk=run.pk).update(label=wanted.validated_data["label"])
        return Response(ExecutionSerializer(reporting.get_run(execution_id=run.pk)).data)

    @extend_schema(operation_id="delete_execution", tags=["executions"], responses={204: GONE})
    def delete(self, request: Request, graph_id: UUID, execution_id: UUID) -> Response:
        """Delete a run that has ended, with its sub-runs and files. One that goes on must be stopped first (409)."""
        delete_execution(run=reporting.get_run(user_id=_pk(request), graph_id=graph_id, execution_id=execution_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ExecutionView(APIView):
    """One run, found without its graph."""

    @extend_schema(operation_id="delete_execution_by_id", tags=["executions"], responses={204: GONE})
    def delete(self, request: Request, execution_id: UUID) -> Response:
        """Delete a run that has ended; the same as below its graph, whose id need not be known here."""
        delete_execution(run=reporting.get_run(user_id=_pk(request), execution_id=execution_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


class StopView(APIView):
    """Stopping a run."""

    required_scopes = {"POST": "execute"}
    idempotent_methods = ("POST",)

    @extend_schema(operation_id="stop_execution", tags=["executions"], request=None, responses=ReceiptSerializer)
    def post(self, request: Request, graph_id: UUID, execution_id: UUID) -> Response:
        """Stop a run and all of its sub-runs for good; what has ended stays as it is. The answer is a receipt."""
        run = reporting.get_run(user_id=_pk(request), graph_id=graph_id, execution_id=execution_id)
        return Response(ReceiptSerializer(stop_execution(execution_id=run.pk)).data)


class ResumeView(APIView):
    """Resuming a run."""

    required_scopes = {"POST": "execute"}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="resume_execution", tags=["executions"], request=None, responses={202: ExecutionSerializer}
    )
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

    @extend_schema(
        operation_id="replay_execution",
        tags=["executions"],
        request=ReplaySerializer,
        responses={202: ExecutionSerializer},
        examples=[
            OpenApiExample(
                "From one node on",
                value={"node_execution_id": "0190f3f4-0000-7000-8000-000000000000"},
                request_only=True,
            )
        ],
    )
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


def _pk(request: Request) -> int:
    """Return the user's key; 0, which is nobody's, while the schema is drawn without one."""
    return int(request.user.pk or 0)


def _wants_node_executions(request: Request) -> bool:
    text = request.query_params.get("include_node_executions", "true")
    if text not in BooleanField.TRUE_VALUES | BooleanField.FALSE_VALUES:
        raise ValidationError({"include_node_executions": ["This is neither true nor false."]})
    return text in BooleanField.TRUE_VALUES
