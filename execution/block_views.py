"""The API of running one block."""

import math
from typing import cast
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest, HttpResponse, JsonResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.fields import BooleanField
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from execution.block_runs import LONGEST_WAIT, await_execution, find_block_outputs, start_block
from execution.node_execution_serializers import show_value
from execution.parsers import StorableJSONParser
from execution.reporting import get_run
from execution.serializers import ExecutionSerializer

_USUAL_WAIT = 30.0


class ExecuteBlockView(APIView):
    """Running one block."""

    parser_classes = [StorableJSONParser]
    required_scopes = {"POST": "execute"}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="execute_block",
        tags=["blocks"],
        parameters=[
            OpenApiParameter(
                "wait",
                {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT, "default": _USUAL_WAIT},
                description="Seconds to wait for the outputs.",
            ),
            OpenApiParameter("dry_run", bool, description="Simulate: no network, no credentials."),
        ],
        request=OpenApiTypes.OBJECT,
        responses={
            200: OpenApiResponse(OpenApiTypes.OBJECT, description="What the block emitted: `{pin: [values]}`."),
            202: OpenApiResponse(ExecutionSerializer, description="It takes longer: the run, to look at later."),
        },
        examples=[OpenApiExample("A sum", value={"operation": "Add", "a": 8, "b": 34}, request_only=True)],
    )
    def post(self, request: Request, block_id: UUID) -> Response:
        """Run a block by itself; the body is its inputs by pin. It runs, and costs, as in any run."""
        _read_wait(request.query_params.get("wait"))
        if not isinstance(request.data, dict):
            raise ValidationError({"non_field_errors": ["The body must be an object: {pin: value}."]})
        started = start_block(
            user=cast(AbstractBaseUser, request.user),
            block_id=str(block_id),
            inputs=request.data,
            simulate=_read_dry_run(request.query_params.get("dry_run", "false")),
        )
        run = get_run(execution_id=started.pk)
        return Response(ExecutionSerializer(run).data, status=status.HTTP_202_ACCEPTED)

    @staticmethod
    def finish(request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Return the outputs in place of the run, if it ends in time. Called after the commit."""
        if not isinstance(response, Response) or response.status_code != status.HTTP_202_ACCEPTED:
            return response
        execution_id = UUID(str(response.data["id"]))
        if not await_execution(execution_id=execution_id, seconds=_read_wait(request.GET.get("wait"))):
            return response
        outputs = find_block_outputs(run=get_run(execution_id=execution_id))
        shown = {pin: [show_value(value, url=None) for value in values] for pin, values in outputs.items()}
        headers = {name: value for name, value in response.items() if name != "Content-Type"}
        return JsonResponse(shown, headers=headers | {"Execution-Id": str(execution_id)})


def _read_dry_run(text: str) -> bool:
    if text not in BooleanField.TRUE_VALUES | BooleanField.FALSE_VALUES:
        raise ValidationError({"dry_run": ["This is neither true nor false."]})
    return text in BooleanField.TRUE_VALUES


def _read_wait(text: str | None) -> float:
    try:
        seconds = float(text) if text is not None else _USUAL_WAIT
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_WAIT:
        raise ValidationError({"wait": [f"This is no number of seconds from 0 to {LONGEST_WAIT:g}."]})
    return seconds
