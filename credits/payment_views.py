"""The API of payments."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from credits import auto_top_ups, refunds, top_ups
from credits.exceptions import PaymentFailedError, PaymentsOffError, PaymentUnavailableError
from credits.models import RefundRequest
from credits.parsers import BODY, RawParser
from credits.serializers import (
    AccountSerializer,
    AutoTopUpSerializer,
    AutoTopUpStandingSerializer,
    RefundRequestSerializer,
    StartedTopUpSerializer,
    StartTopUpSerializer,
    TopUpSerializer,
)
from credits.webhooks import follow_news

MAX_SESSION_ID_LENGTH = 255


def _user_id(request: Request) -> int:
    return int(cast(User, request.user).pk)


def _answer_instead(response: Response, data: Mapping[str, Any]) -> HttpResponse:
    headers = {name: value for name, value in response.items() if name != "Content-Type"}
    return JsonResponse(dict(data), status=response.status_code, headers=headers)


class StartTopUpView(APIView):
    """Buying credits."""

    needs_provider = True
    required_scopes = {"POST": "credits"}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="start_top_up",
        tags=["credits"],
        request=StartTopUpSerializer,
        responses={201: StartedTopUpSerializer},
        examples=[OpenApiExample("Ten dollars", value={"amount": 1_000}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Ask for credits. They are paid at `checkout_url`, and are there when they have been paid."""
        wanted = StartTopUpSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        top_up = top_ups.order_top_up(user_id=_user_id(request), amount=wanted.validated_data["amount"])
        top_up.refresh_from_db()
        return Response(TopUpSerializer(top_up).data, status=status.HTTP_201_CREATED)

    @staticmethod
    def finish(request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Add the page at which it is paid. Called after the commit: the provider takes its time."""
        del request
        if not isinstance(response, Response) or response.status_code != status.HTTP_201_CREATED:
            return response
        checkout = top_ups.open_checkout(UUID(str(response.data["id"])))
        return _answer_instead(response, {**response.data, "checkout_url": checkout.url})


class TopUpView(APIView):
    """One top-up."""

    needs_provider = True

    @extend_schema(operation_id="get_top_up", tags=["credits"], responses=TopUpSerializer)
    def get(self, request: Request, top_up_id: UUID) -> Response:
        """Return how a top-up stands, asking the payment provider if it is pending."""
        top_up = top_ups.get_top_up(user_id=_user_id(request), top_up_id=top_up_id)
        return Response(TopUpSerializer(top_ups.look_after(top_up)).data)


class TopUpReturnView(APIView):
    """Where the checkout page sends people back to: a browser without an API key, with the session's id."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    needs_provider = True

    @extend_schema(
        operation_id="return_from_checkout",
        tags=["credits"],
        parameters=[OpenApiParameter("session_id", str, required=True)],
        responses=TopUpSerializer,
    )
    def get(self, request: Request) -> Response:
        """Enter what was paid, if nobody has told us before, and say how it stands."""
        session_id = request.query_params.get("session_id", "")
        if not (session_id.isascii() and session_id.replace("_", "").isalnum()):
            raise NotFound("There is no such checkout.")
        try:
            top_up = top_ups.complete_session(session_id[:MAX_SESSION_ID_LENGTH])
        except PaymentFailedError:
            top_up = None
        if top_up is None:
            raise NotFound("There is no such checkout.")
        return Response(TopUpSerializer(top_up).data)


class AutoTopUpView(APIView):
    """Buying credits automatically."""

    needs_provider = True
    required_scopes = {"PUT": "credits", "DELETE": "credits"}

    @extend_schema(operation_id="get_auto_top_up", tags=["credits"], responses=AutoTopUpStandingSerializer)
    def get(self, request: Request) -> Response:
        """Return whether credits are bought automatically, and how the newest such top-up stands."""
        standing = auto_top_ups.find_auto_top_up(user_id=_user_id(request))
        return Response(AutoTopUpStandingSerializer(standing).data)

    @extend_schema(
        operation_id="set_auto_top_up",
        tags=["credits"],
        request=AutoTopUpSerializer,
        responses=AccountSerializer,
        examples=[
            OpenApiExample("Twenty dollars below five", value={"threshold": 500, "amount": 2_000}, request_only=True)
        ],
    )
    def put(self, request: Request) -> Response:
        """Buy credits with the card that paid last whenever the balance falls below a threshold.

        If a payment fails, this is switched off and you are told. When as many as you allow were made within 24 hours,
        it pauses and you are told.
        """
        wanted = AutoTopUpSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        account = auto_top_ups.set_auto_top_up(user_id=_user_id(request), **wanted.validated_data)
        return Response(AccountSerializer(account).data)

    @extend_schema(operation_id="stop_auto_top_up", tags=["credits"], responses={200: AccountSerializer})
    def delete(self, request: Request) -> Response:
        """Buy nothing automatically any more."""
        return Response(AccountSerializer(auto_top_ups.stop_auto_top_up(user_id=_user_id(request))).data)


class RefundRequestsView(generics.ListAPIView[RefundRequest]):
    """Asking for money back."""

    serializer_class = RefundRequestSerializer
    required_scopes = {"POST": "credits"}
    idempotent_methods = ("POST",)

    def get_queryset(self) -> QuerySet[RefundRequest]:
        """Return the user's requests."""
        return RefundRequest.objects.filter(account__user_id=self.request.user.pk or 0)

    @extend_schema(operation_id="list_refund_requests", tags=["credits"])
    def get(self, request: Request) -> Response:
        """List your refund requests, newest first."""
        return self.list(request)

    @extend_schema(
        operation_id="request_refund",
        tags=["credits"],
        request=RefundRequestSerializer,
        responses={201: RefundRequestSerializer},
        examples=[
            OpenApiExample(
                "A mistake",
                value={"top_up_id": "0190f3f4-0000-7000-8000-000000000000", "reason": "I bought twice."},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Ask for the money of a top-up: once per ISO week in which top-ups were made.

        It is sent back at once if hardly anything of it has been spent; otherwise an admin decides.
        """
        wanted = RefundRequestSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        made = refunds.request_refund(
            user_id=_user_id(request),
            top_up_id=wanted.validated_data["top_up_id"],
            reason=wanted.validated_data["reason"],
        )
        return Response(RefundRequestSerializer(made).data, status=status.HTTP_201_CREATED)

    @staticmethod
    def finish(request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Send back what was approved, and show how it stands. Called after the commit.

        If the provider can't be reached, it is sent later; if it refuses, an admin decides.
        """
        del request
        if not isinstance(response, Response) or response.status_code != status.HTTP_201_CREATED:
            return response
        request_id = UUID(str(response.data["id"]))
        with suppress(PaymentFailedError, PaymentUnavailableError, PaymentsOffError):
            refunds.send_refund(request_id)
        shown = RefundRequestSerializer(RefundRequest.objects.get(pk=request_id))
        return _answer_instead(response, shown.data)


class StripeWebhookView(APIView):
    """What Stripe tells us."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    parser_classes = (RawParser,)
    # Stripe tells of everybody's payments from a few addresses. What it hasn't signed is refused without a query.
    throttle_classes = ()

    @extend_schema(
        operation_id="take_stripe_event",
        tags=["credits"],
        request=OpenApiTypes.OBJECT,
        responses={204: None},
        exclude=True,
    )
    def post(self, request: Request) -> Response:
        """Follow a signed event. An error makes Stripe tell it again."""
        follow_news(body=cast(dict[str, bytes], request.data).get(BODY, b""), headers=request.headers)
        return Response(status=status.HTTP_204_NO_CONTENT)
