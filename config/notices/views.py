"""The API of notices: what the user was told."""

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.db.models.functions import Now
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.models import Notice
from config.notices.serializers import NoticeSerializer, ReadNoticesSerializer


def _find(request: Request) -> QuerySet[Notice]:
    return Notice.objects.filter(user=cast(User, request.user))


class NoticeFilter(filters.FilterSet):
    """Which notices."""

    unread = filters.BooleanFilter(field_name="read_at", lookup_expr="isnull", help_text="`true`: only new ones.")

    class Meta:
        model = Notice
        fields: list[str] = []


class NoticesView(generics.ListAPIView[Notice]):
    """What the user was told."""

    serializer_class = NoticeSerializer
    filterset_class = NoticeFilter

    def get_queryset(self) -> QuerySet[Notice]:
        """Return the user's notices."""
        return Notice.objects.none() if getattr(self, "swagger_fake_view", False) else _find(self.request)

    @extend_schema(operation_id="list_notices", tags=["accounts"])
    def get(self, request: Request) -> Response:
        """List what you were told: of schedules that can't run or were paused, and of your credits. Newest first."""
        return self.list(request)


class ReadNoticesView(APIView):
    """All notices at once."""

    @extend_schema(operation_id="read_notices", tags=["accounts"], request=None, responses=ReadNoticesSerializer)
    def post(self, request: Request) -> Response:
        """Say that all notices so far are read."""
        count = _find(request).filter(read_at__isnull=True).update(read_at=Now())
        return Response(ReadNoticesSerializer({"count": count}).data)


class ReadNoticeView(APIView):
    """One notice."""

    @extend_schema(operation_id="read_notice", tags=["accounts"], request=None, responses=NoticeSerializer)
    def post(self, request: Request, notice_id: UUID) -> Response:
        """Say that a notice is read."""
        found: Any = _find(request).filter(pk=notice_id)
        found.filter(read_at__isnull=True).update(read_at=Now())
        notice = found.first()
        if notice is None:
            raise NotFound(f"There is no notice {notice_id}.")
        return Response(NoticeSerializer(notice).data)
