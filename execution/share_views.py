"""The API of shared runs."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from execution.models import Execution
from execution.reporting import get_run
from execution.serializers import SharedExecutionSerializer
from execution.sharing import find_shared_execution, get_share_link, share_execution, unshare_execution


class ShareSerializer(serializers.Serializer[Any]):
    """How long a link is to last."""

    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="When the link ends; null: when it is taken back."
    )


class ShareStateSerializer(serializers.Serializer[Any]):
    """That a run is shared."""

    created_at = serializers.DateTimeField(help_text="When the link was made.")
    expires_at = serializers.DateTimeField(allow_null=True, help_text="When it ends; null: when it is taken back.")


class ShareLinkSerializer(ShareStateSerializer):
    """A link that was just made. It is shown this once."""

    share_token = serializers.CharField(help_text="The secret part of the address.")
    share_url = serializers.URLField(help_text="Where whoever has it sees the run's outputs.")


class ShareView(APIView):
    """The link of a run."""

    idempotent_methods = ()

    def _find(self, request: Request, graph_id: UUID, execution_id: UUID) -> Execution:
        return get_run(user_id=int(request.user.pk or 0), graph_id=graph_id, execution_id=execution_id)

    @extend_schema(operation_id="get_execution_share", tags=["sharing"], responses=ShareStateSerializer)
    def get(self, request: Request, graph_id: UUID, execution_id: UUID) -> Response:
        """Say since when and until when a run is shared; 404 if it is not."""
        link = get_share_link(run=self._find(request, graph_id, execution_id))
        return Response(ShareStateSerializer(link).data)

    @extend_schema(
        operation_id="share_execution",
        tags=["sharing"],
        request=ShareSerializer,
        responses={201: ShareLinkSerializer},
        examples=[OpenApiExample("For good", value={"expires_at": None}, request_only=True)],
    )
    def post(self, request: Request, graph_id: UUID, execution_id: UUID) -> Response:
        """Make a link by which anybody sees the run's outputs. An earlier one ends."""
        wanted = ShareSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        run = self._find(request, graph_id, execution_id)
        link, token = share_execution(run=run, expires_at=wanted.validated_data["expires_at"])
        address = reverse("execution:shared", args=[token], request=request)
        answer = {**ShareStateSerializer(link).data, "share_token": token, "share_url": address}
        return Response(answer, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})

    @extend_schema(
        operation_id="unshare_execution",
        tags=["sharing"],
        responses={204: OpenApiResponse(description="The link, if there was one, has ended.")},
    )
    def delete(self, request: Request, graph_id: UUID, execution_id: UUID) -> Response:
        """Take the link back."""
        unshare_execution(run=self._find(request, graph_id, execution_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


class SharedExecutionView(APIView):
    """What a link shows."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(operation_id="get_shared_execution", tags=["sharing"], auth=[], responses=SharedExecutionSerializer)
    def get(self, request: Request, token: str) -> Response:
        """Return the outputs of the run that is shared by this link. No login is needed."""
        del request
        link = find_shared_execution(token=token)
        shown = SharedExecutionSerializer(get_run(execution_id=link.execution_id))
        return Response(shown.data, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
