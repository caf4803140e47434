"""The API of schedules: every user sees their own, somebody else's is not there.

What decides when runs start, now or later or no more, asks a key for the scope `execute`.
"""

from typing import cast
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from graphs.services import get_graph
from scheduling import services
from scheduling.models import Occurrence, Schedule
from scheduling.serializers import (
    DeletedScheduleSerializer,
    OccurrenceSerializer,
    PreviewedSerializer,
    PreviewSerializer,
    ScheduleSerializer,
    ScheduleWriteSerializer,
)

DAILY = OpenApiExample(
    "Each working day",
    value={"name": "Mornings", "cron": "0 9 * * mon-fri", "timezone": "Europe/Berlin", "input_data": {"Number": 8}},
    request_only=True,
)
LATER = OpenApiExample("An hour later", value={"cron": "0 10 * * mon-fri"}, request_only=True)
TIMING = OpenApiExample(
    "Each working day",
    value={"cron": "0 9 * * mon-fri", "timezone": "Europe/Berlin", "count": 3},
    request_only=True,
)


def _user(request: Request) -> AbstractBaseUser:
    """Return who asks: authentication is demanded by the settings."""
    return cast(AbstractBaseUser, request.user)


def _pk(request: Request) -> int:
    """Return the user's key; 0, which is nobody's, while the schema is drawn without one."""
    return int(request.user.pk or 0)


def _show(request: Request, schedule_id: UUID, *, code: int = status.HTTP_200_OK) -> Response:
    schedule = services.get_schedule(user_id=_pk(request), schedule_id=schedule_id)
    return Response(ScheduleSerializer(schedule).data, status=code)


@extend_schema_view(get=extend_schema(operation_id="list_schedules"))
class SchedulesView(generics.ListAPIView[Schedule]):
    """The user's schedules, newest first."""

    serializer_class = ScheduleSerializer

    def get_queryset(self) -> QuerySet[Schedule]:
        """Return those of all graphs, of graphs that are gone, too."""
        return services.find_schedules(user_id=_pk(self.request))


@extend_schema_view(get=extend_schema(operation_id="list_graph_schedules"))
class GraphSchedulesView(generics.ListAPIView[Schedule]):
    """The schedules of a graph, newest first."""

    serializer_class = ScheduleSerializer
    required_scopes = {"POST": "execute"}
    idempotent_methods = ("POST",)

    def get_queryset(self) -> QuerySet[Schedule]:
        """Return those of one graph."""
        if getattr(self, "swagger_fake_view", False):
            return Schedule.objects.none()
        graph = get_graph(user=_user(self.request), graph_id=self.kwargs["graph_id"])
        return services.find_schedules(user_id=_pk(self.request), graph_id=graph.pk)

    @extend_schema(
        operation_id="create_schedule",
        request=ScheduleWriteSerializer,
        responses={201: ScheduleSerializer},
        examples=[DAILY],
    )
    def post(self, request: Request, graph_id: UUID) -> Response:
        """Have runs of the graph start by themselves. What would keep them from running is told by node and field."""
        wanted = ScheduleWriteSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        created = services.create_schedule(user=_user(request), graph_id=graph_id, fields=wanted.validated_data)
        return _show(request, created.pk, code=status.HTTP_201_CREATED)


class ScheduleView(APIView):
    """One schedule."""

    required_scopes = {"PATCH": "execute", "DELETE": "execute"}

    @extend_schema(operation_id="get_schedule", responses=ScheduleSerializer)
    def get(self, request: Request, schedule_id: UUID) -> Response:
        """Return a schedule."""
        return _show(request, schedule_id)

    @extend_schema(
        operation_id="change_schedule",
        request=ScheduleWriteSerializer(partial=True),
        responses=ScheduleSerializer,
        examples=[LATER],
    )
    def patch(self, request: Request, schedule_id: UUID) -> Response:
        """Change what is given. New times count from now: what was missed is not made up for."""
        schedule = services.get_schedule(user_id=_pk(request), schedule_id=schedule_id)
        wanted = ScheduleWriteSerializer(data=request.data, partial=True)
        wanted.is_valid(raise_exception=True)
        services.change_schedule(schedule=schedule, fields=wanted.validated_data)
        return _show(request, schedule_id)

    @extend_schema(operation_id="delete_schedule", responses={200: DeletedScheduleSerializer})
    def delete(self, request: Request, schedule_id: UUID) -> Response:
        """Delete a schedule with its history; its runs stay."""
        services.delete_schedule(schedule=services.get_schedule(user_id=_pk(request), schedule_id=schedule_id))
        return Response({"id": str(schedule_id)})


class PauseView(APIView):
    """Pausing a schedule."""

    required_scopes = {"POST": "execute"}

    @extend_schema(operation_id="pause_schedule", request=None, responses=ScheduleSerializer)
    def post(self, request: Request, schedule_id: UUID) -> Response:
        """Let a schedule rest. What is due meanwhile is left out; runs that go on do so."""
        services.pause_schedule(schedule=services.get_schedule(user_id=_pk(request), schedule_id=schedule_id))
        return _show(request, schedule_id)


class ResumeView(APIView):
    """Resuming a schedule."""

    required_scopes = {"POST": "execute"}

    @extend_schema(operation_id="resume_schedule", request=None, responses=ScheduleSerializer)
    def post(self, request: Request, schedule_id: UUID) -> Response:
        """Let a schedule go on with its next time; its failures are forgotten."""
        services.resume_schedule(schedule=services.get_schedule(user_id=_pk(request), schedule_id=schedule_id))
        return _show(request, schedule_id)


class RunNowView(APIView):
    """Running what a schedule runs, at once."""

    required_scopes = {"POST": "execute"}
    idempotent_methods = ("POST",)

    @extend_schema(operation_id="run_schedule", request=None, responses={202: OccurrenceSerializer})
    def post(self, request: Request, schedule_id: UUID) -> Response:
        """Start a run now, whether the schedule is paused or not; its times stay as they are."""
        schedule = services.get_schedule(user_id=_pk(request), schedule_id=schedule_id)
        occurrence = services.run_now(schedule=schedule)
        return Response(OccurrenceSerializer(occurrence).data, status=status.HTTP_202_ACCEPTED)


@extend_schema_view(get=extend_schema(operation_id="list_occurrences"))
class OccurrencesView(generics.ListAPIView[Occurrence]):
    """What became of a schedule's times, newest first, with the runs."""

    serializer_class = OccurrenceSerializer

    def get_queryset(self) -> QuerySet[Occurrence]:
        """Return those of the user's schedule."""
        if getattr(self, "swagger_fake_view", False):
            return Occurrence.objects.none()
        schedule = services.get_schedule(user_id=_pk(self.request), schedule_id=self.kwargs["schedule_id"])
        return schedule.occurrences.select_related("execution").defer(
            "execution__input_data", "execution__nodes_input_masks", "execution__mocks", "execution__warnings"
        )


class PreviewView(APIView):
    """Looking at times before they are saved."""

    required_scopes = {"POST": "read"}

    @extend_schema(
        operation_id="preview_schedule", request=PreviewSerializer, responses=PreviewedSerializer, examples=[TIMING]
    )
    def post(self, request: Request) -> Response:
        """Return the next times of a timing, as instants and in words. Nothing is saved."""
        wanted = PreviewSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        previewed = services.preview(user=_user(request), **wanted.validated_data)
        return Response(PreviewedSerializer(previewed).data)
