"""The API of accounts: every user sees their own."""

from typing import Any, cast

from django.contrib.auth.models import User
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from credits.accounts import find_account, set_low_balance_threshold
from credits.exporting import write_csv
from credits.models import Account, LedgerEntry
from credits.reporting import find_entries, position_of, read_history
from credits.serializers import (
    AccountSerializer,
    EntrySerializer,
    HistorySerializer,
    SummaryItemSerializer,
    SummaryQuerySerializer,
    WantedSerializer,
    show_item,
)
from credits.summaries import By, summarize

MAX_SEQUENCE = 2**63 - 1
CURSOR = OpenApiParameter("cursor", str, description="Where the page begins: from the link `next` of the one before.")


def user_id_of(request: Request) -> int:
    """Return who asks: authentication is demanded by the settings."""
    return int(cast(User, request.user).pk)


def account_of(request: Request) -> Account:
    """Return the account of who asks."""
    return find_account(user_id_of(request))


class AccountView(APIView):
    """The user's account."""

    @extend_schema(operation_id="get_credits", tags=["credits"], responses=AccountSerializer)
    def get(self, request: Request) -> Response:
        """Return what there is, what is held for runs under way, and what is owed."""
        return Response(AccountSerializer(account_of(request)).data)

    def patch(self, request: Request) -> Response:
        """Set the balance below which you are told."""
        wanted = AccountSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        account = set_low_balance_threshold(
            user_id=user_id_of(request), threshold=wanted.validated_data["low_balance_threshold"]
        )
        return Response(AccountSerializer(account).data)


class TransactionsView(APIView):
    """The history of the account."""

    @extend_schema(
        operation_id="list_transactions",
        tags=["credits"],
        parameters=[WantedSerializer, CURSOR],
        responses=HistorySerializer,
    )
    def get(self, request: Request) -> Response:
        """List what changed the balance, newest first. What a run used is one line; `execution_id` expands it.

        A run stands at the place of its first charge. In a span of time it is what was used within it.
        """
        wanted = _read(WantedSerializer, request)
        size = wanted.validated_data["page_size"]
        asked = wanted.to_wanted()
        found = read_history(account_of(request), asked, before=_read_cursor(request), limit=size + 1)
        shown, has_more = found[:size], len(found) > size
        following = _link_to(request, position_of(shown[-1])) if has_more else None
        if asked.run_id:
            return Response(
                {"next": following, "results": EntrySerializer(cast(list[LedgerEntry], shown), many=True).data}
            )
        return Response({"next": following, "results": [show_item(item) for item in shown]})


class ExportView(APIView):
    """The history for spreadsheets."""

    @extend_schema(
        operation_id="export_transactions",
        tags=["credits"],
        parameters=[WantedSerializer],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponse:
        """Return entries as CSV, oldest first, each by itself."""
        wanted = _read(WantedSerializer, request).to_wanted()
        text = write_csv(find_entries(account_of(request), wanted))
        headers = {"Content-Disposition": 'attachment; filename="transactions.csv"'}
        return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)


class SummaryView(APIView):
    """What was used."""

    @extend_schema(
        operation_id="summarize_usage",
        tags=["credits"],
        parameters=[SummaryQuerySerializer],
        responses=SummaryItemSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """Sum what runs used by day, block, graph or run, or by several of them at once."""
        asked = _read(SummaryQuerySerializer, request)
        by = asked.to_dimensions()
        if By.USER in by and not cast(User, request.user).has_perm("credits.view_ledgerentry"):
            raise PermissionDenied("Only those who may see the whole ledger can sum by user.")
        scope = asked.to_scope(None if By.USER in by else account_of(request))
        return Response(SummaryItemSerializer(summarize(scope, by=by), many=True).data)


def _read(serializer: type[Any], request: Request) -> Any:
    query = serializer(data=request.query_params)
    query.is_valid(raise_exception=True)
    return query


def _read_cursor(request: Request) -> int | None:
    text = request.query_params.get("cursor")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MAX_SEQUENCE):
        raise NotFound("Invalid cursor")
    return int(text)


def _link_to(request: Request, position: int) -> str:
    return str(replace_query_param(request.build_absolute_uri(), "cursor", position))
