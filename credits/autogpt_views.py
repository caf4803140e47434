"""The names by which AutoGPT's clients know the API of accounts and payments. What they do is what ours do."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from credits import payment_views, refunds, top_ups
from credits.models import RefundRequest, RefundStatus
from credits.serializers import (
    AccountSerializer,
    AutoTopUpWishSerializer,
    PortalSerializer,
    RefundReasonSerializer,
    RefundSerializer,
    StartedTopUpSerializer,
    StartTopUpSerializer,
)
from credits.views import AccountView, user_id_of

MOST_SHOWN = 250
LEDGER_KEY = "top-up:"


@extend_schema_view(
    post=extend_schema(
        operation_id="request_top_up",
        tags=["credits"],
        request=StartTopUpSerializer,
        responses={201: StartedTopUpSerializer},
        examples=[OpenApiExample("Ten dollars", value={"credit_amount": 1_000}, request_only=True)],
    ),
)
class CreditsView(AccountView, payment_views.StartTopUpView):
    """The account, and buying credits for it."""

    @extend_schema(
        operation_id="update_credits",
        tags=["credits"],
        request=AccountSerializer(partial=True),
        responses=AccountSerializer,
        examples=[OpenApiExample("Five dollars", value={"low_balance_threshold": 500}, request_only=True)],
    )
    def patch(self, request: Request) -> Response:
        """Set the balance below which you are told. Without a body: see whether your newest checkout was paid."""
        if request.data:
            return super().patch(request)
        top_ups.look_after_newest(user_id=user_id_of(request))
        return self.get(request)


class AutoTopUpView(payment_views.AutoTopUpView):
    """Buying credits automatically."""

    required_scopes = {**payment_views.AutoTopUpView.required_scopes, "POST": "credits"}

    @extend_schema(
        operation_id="configure_auto_top_up",
        tags=["credits"],
        request=AutoTopUpWishSerializer,
        responses={200: AccountSerializer},
        examples=[OpenApiExample("No more", value={"threshold": 0, "amount": 0}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Do as PUT does; with an amount of 0 as DELETE does."""
        wanted = AutoTopUpWishSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        return self.put(request) if wanted.validated_data["amount"] else self.delete(request)


class RefundsView(APIView):
    """What money was asked back for, as a plain list."""

    @extend_schema(operation_id="list_refunds", tags=["credits"], responses=RefundSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List your newest 250 refund requests; `refund-requests` has all of them, in pages."""
        found = RefundRequest.objects.filter(account__user_id=user_id_of(request)).order_by("-id")
        return Response(RefundSerializer(found[:MOST_SHOWN], many=True).data)


class RefundTopUpView(APIView):
    """Asking for the money of a top-up."""

    required_scopes = {"POST": "credits"}
    idempotent_methods = ("POST",)

    @extend_schema(
        operation_id="refund_top_up",
        tags=["credits"],
        request=RefundReasonSerializer,
        responses={201: OpenApiTypes.INT},
        examples=[OpenApiExample("A mistake", value={"reason": "I bought twice."}, request_only=True)],
    )
    def post(self, request: Request, transaction_key: str) -> Response:
        """Ask for the money of a top-up, by its id. The answer is how many credits go back; 0: an admin decides."""
        wanted = RefundReasonSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        made = refunds.request_refund(
            user_id=user_id_of(request),
            top_up_id=_read_top_up_id(transaction_key),
            reason=wanted.validated_data["reason"],
        )
        return Response(RefundSerializer(made).data, status=status.HTTP_201_CREATED)

    @staticmethod
    def finish(request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Send back what was approved, and tell how much that is."""
        answer = payment_views.RefundRequestsView.finish(request, response)
        if answer.status_code != status.HTTP_201_CREATED or not isinstance(response, Response):
            return answer
        made = RefundRequest.objects.get(pk=response.data["id"])
        is_sent = made.status in (RefundStatus.APPROVED, RefundStatus.REFUNDED)
        headers = {name: value for name, value in answer.items() if name not in ("Content-Type", "Content-Length")}
        return JsonResponse(made.amount if is_sent else 0, safe=False, status=answer.status_code, headers=headers)


class ManageView(APIView):
    """The payment provider's own page."""

    required_scopes = {"GET": "credits"}
    needs_provider = True

    @extend_schema(operation_id="manage_payment_methods", tags=["credits"], responses=PortalSerializer)
    def get(self, request: Request) -> Response:
        """Return where you can see and change the cards that you pay with, for a short while."""
        return Response({"url": top_ups.open_portal(user_id=user_id_of(request))})


def _read_top_up_id(key: str) -> UUID:
    """Return the top-up that a transaction is of: its key in the ledger names it."""
    try:
        return UUID(key.removeprefix(LEDGER_KEY))
    except ValueError:
        raise NotFound(f"There is no top-up {key[:MOST_SHOWN]}.") from None
