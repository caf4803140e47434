"""The books in the admin: to look at, with totals; and what only an admin may do, each with a reason.

Grants, adjustments and refunds are made on an account's page, requests for refunds are decided on their own. Nothing
here writes a balance: everything goes through the ledger.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from credits import money, refunds
from credits.admin_forms import DecisionForm, MovementForm, PriceForm, RefundForm
from credits.admin_search import PaginatorWithTotals, PriceTypeFilter, find_by_word
from credits.exceptions import CreditsError, PaymentUnavailableError
from credits.models import Account, BlockPrice, Hold, LedgerEntry, RefundRequest, Reversal, TopUp, TopUpStatus
from credits.price_list import list_blocks, set_price
from credits.refundable import find_on_its_way, find_refundable

SHOWN_ENTRIES = 50


class LookOnly:
    """No way to add, change or delete."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: the books are written by what happens."""
        del request, obj
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: what was booked stays."""
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: what was booked stays."""
        del request, obj
        return False


@admin.register(LedgerEntry)
class LedgerEntryAdmin(LookOnly, admin.ModelAdmin[LedgerEntry]):
    """The ledger, newest first, with the totals of what the filters leave."""

    change_list_template = "admin/credits/ledgerentry/change_list.html"
    list_display = ["id", "account", "type", "amount", "owed", "balance_after", "block", "reason", "created_at"]
    list_select_related = ["account__user"]
    list_filter = ["type", PriceTypeFilter, ("created_at", admin.DateFieldListFilter)]
    search_fields = ["key"]
    search_help_text = "A user's name, a key, or the id of a run or a node execution: as it is, not a part of it."
    ordering = ["-id"]
    sortable_by = ["id"]
    show_facets = admin.ShowFacets.NEVER
    paginator = PaginatorWithTotals

    @admin.display
    def block(self, entry: LedgerEntry) -> str:
        """Return what the block is called; its id, where there is no such block any more."""
        return list_blocks().get(entry.block_id, entry.block_id)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Show the block's name beside its id."""
        return [*super().get_fields(request, obj), "block"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[LedgerEntry], search_term: str
    ) -> tuple[QuerySet[LedgerEntry], bool]:
        """Look for what has an index, one after the other: all at once would read the whole ledger."""
        del request
        return find_by_word(queryset, search_term.strip()), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the totals by type."""
        response = super().changelist_view(request, extra_context)
        shown = getattr(response, "context_data", None)
        if shown and "cl" in shown:
            shown["totals"] = shown["cl"].paginator.totals
        return response


@admin.register(Account)
class AccountAdmin(LookOnly, admin.ModelAdmin[Account]):
    """Accounts with their history; grants, adjustments and refunds are made on an account's page."""

    change_form_template = "admin/credits/account/change_form.html"
    list_display = ["user", "balance", "held", "owed", "node_executions", "auto_top_up_amount", "created_at"]
    list_select_related = ["user"]
    list_filter = ["is_low", "is_out"]
    search_fields = ["user__username", "user__email"]
    ordering = ["-id"]
    fields: ClassVar[Any] = [
        *("user", "balance", "held", "owed", "entry_count", "node_executions", "low_balance_threshold"),
        *("auto_top_up_threshold", "auto_top_up_amount", "auto_top_ups_per_day", "is_auto_top_up_paused"),
        "auto_top_up_halt",
        *("customer_id", "created_at"),
    ]
    readonly_fields = fields

    def get_urls(self) -> list[URLPattern]:
        """Add where credits are given and corrected, and money is sent back."""
        guard = self.admin_site.admin_view
        return [
            path("<int:account_id>/move/", guard(self.move), name="credits_account_move"),
            path("<int:account_id>/refund/", guard(self.refund), name="credits_account_refund"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the account with its history and the form."""
        account = Account.objects.filter(pk=object_id).first() if object_id.isdigit() else None
        history: dict[str, Any] = {
            "entries": LedgerEntry.objects.filter(account=account).order_by("-sequence")[:SHOWN_ENTRIES],
            "holds": Hold.objects.filter(account=account).order_by("-created_at")[:SHOWN_ENTRIES],
            "movement_form": MovementForm() if _may_move(request) and account and account.user_id else None,
            "refund_form": RefundForm(refundable=_list_refundable(account))
            if _may_decide(request) and account
            else None,
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **history})

    def move(self, request: HttpRequest, account_id: int) -> HttpResponse:
        """Grant or adjust. The form's key makes it once, however often it is sent."""
        if not _may_move(request) or request.method != "POST":
            raise PermissionDenied
        account = get_object_or_404(Account, pk=account_id, user__isnull=False)
        form = MovementForm(request.POST)
        if form.is_valid():
            asked = form.cleaned_data
            make: Callable[..., Any] = money.grant if asked["kind"] == "grant" else money.adjust
            _try(
                request,
                lambda: make(
                    user_id=account.user_id,
                    amount=asked["amount"],
                    reason=asked["reason"],
                    key=asked["key"],
                    actor_id=request.user.pk,
                ),
                done=lambda posted: (
                    f"{asked['amount']:+d} credits for {account}."
                    if posted.is_new
                    else "This was done before: the form was sent twice."
                ),
            )
        else:
            _complain(request, form)
        return HttpResponseRedirect(reverse("admin:credits_account_change", args=[account_id]))

    def refund(self, request: HttpRequest, account_id: int) -> HttpResponse:
        """Send back what was paid. The form's key makes it once, however often it is sent."""
        if not _may_decide(request) or request.method != "POST":
            raise PermissionDenied
        account = get_object_or_404(Account, pk=account_id)
        form = RefundForm(request.POST, refundable=_list_refundable(account))
        if form.is_valid():
            asked = form.cleaned_data
            _try(
                request,
                lambda: refunds.refund_top_up(
                    top_up=account.top_ups.get(pk=asked["top_up"]),
                    amount=asked["amount"],
                    reason=asked["reason"],
                    key=asked["key"],
                    actor_id=request.user.pk,
                ),
                done=lambda made: f"A refund of {made.amount} credits is {made.get_status_display().lower()}.",
            )
        else:
            _complain(request, form)
        return HttpResponseRedirect(reverse("admin:credits_account_change", args=[account_id]))


def _list_refundable(account: Account) -> list[tuple[TopUp, int]]:
    """Return all top-ups that were paid, the newest first, with what can be sent back of each."""
    paid = list(account.top_ups.filter(status=TopUpStatus.PAID).order_by("-created_at"))
    left = find_refundable(paid)
    return [(top_up, max(left[top_up.pk], 0)) for top_up in paid]


@admin.register(RefundRequest)
class RefundRequestAdmin(LookOnly, admin.ModelAdmin[RefundRequest]):
    """Refund requests; they are decided on their page."""

    change_form_template = "admin/credits/refundrequest/change_form.html"
    list_display = ["id", "account", "amount", "status", "reason", "iso_week", "created_at"]
    list_select_related = ["account__user"]
    list_filter = ["status"]
    search_fields = ["=account__user__username"]
    fields: ClassVar[Any] = [
        *("account", "balance", "held", "on_its_way", "owed", "top_up", "amount", "iso_week", "reason", "status"),
        *("result", "refund_id", "attempt", "tried_at", "created_at", "decided_at"),
    ]
    readonly_fields = fields

    @admin.display
    def balance(self, request: RefundRequest) -> int:
        """Return what the user has left."""
        return request.account.balance

    @admin.display(description="of which held")
    def held(self, request: RefundRequest) -> int:
        """Return what of the balance is set aside for what is under way."""
        return request.account.held

    @admin.display
    def owed(self, request: RefundRequest) -> int:
        """Return what the user has not paid."""
        return request.account.owed

    @admin.display(description="of which on its way back")
    def on_its_way(self, request: RefundRequest) -> int:
        """Return what of the balance is being sent back, by this request or by others."""
        return find_on_its_way(request.account)

    def get_urls(self) -> list[URLPattern]:
        """Add where requests are decided."""
        address = path("<uuid:key>/decide/", self.admin_site.admin_view(self.decide), name="credits_refund_decide")
        return [address, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the request with the form."""
        shown = {"decision_form": DecisionForm() if _may_decide(request) else None}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def decide(self, request: HttpRequest, key: Any) -> HttpResponse:
        """Approve or reject."""
        if not _may_decide(request) or request.method != "POST":
            raise PermissionDenied
        wanted = get_object_or_404(RefundRequest, pk=key)
        form = DecisionForm(request.POST)
        if form.is_valid():
            asked = form.cleaned_data
            decide = refunds.approve_refund if asked["decision"] == "approve" else refunds.reject_refund
            _try(
                request,
                lambda: decide(request=wanted, reason=asked["reason"], actor_id=request.user.pk),
                done=lambda _decided: "Decided.",
            )
        else:
            _complain(request, form)
        return HttpResponseRedirect(reverse("admin:credits_refundrequest_change", args=[key]))


@admin.register(TopUp)
class TopUpAdmin(LookOnly, admin.ModelAdmin[TopUp]):
    """Payments."""

    list_display = ["id", "account", "kind", "amount", "status", "error", "created_at", "ended_at"]
    list_select_related = ["account__user"]
    list_filter = ["status", "kind"]
    search_fields = ["=account__user__username", "=payment_id", "=session_id"]


@admin.register(Reversal)
class ReversalAdmin(LookOnly, admin.ModelAdmin[Reversal]):
    """Refunds and disputes, and how far their money has gone."""

    list_display = ["id", "top_up", "kind", "amount", "stage", "created_at"]
    list_select_related = ["top_up"]
    list_filter = ["kind", "stage"]
    search_fields = ["=id", "=top_up__payment_id", "=top_up__account__user__username"]


@admin.register(BlockPrice)
class BlockPriceAdmin(admin.ModelAdmin[BlockPrice]):
    """Prices instead of the code's. A new one is a new version; what was stays, because entries name it."""

    form = PriceForm
    list_display = ["block", "version", "costs", "charge_on_failure", "reason", "made_by", "created_at"]
    list_select_related = ["made_by"]
    search_fields = ["block_id"]

    @admin.display(ordering="block_id")
    def block(self, price: BlockPrice) -> str:
        """Return what the block is called; its id, where there is no such block any more."""
        return list_blocks().get(price.block_id, price.block_id)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: entries name it."""
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: entries name it."""
        del request, obj
        return False

    def save_model(self, request: HttpRequest, obj: BlockPrice, form: Any, change: Any) -> None:
        """Make the next version."""
        del form, change
        made = set_price(
            block_id=obj.block_id,
            costs=obj.costs,
            charge_on_failure=obj.charge_on_failure,
            reason=obj.reason,
            made_by_id=request.user.pk,
        )
        obj.pk, obj.version = made.pk, made.version


def _may_move(request: HttpRequest) -> bool:
    return request.user.has_perm("credits.add_ledgerentry")


def _may_decide(request: HttpRequest) -> bool:
    return request.user.has_perm("credits.change_refundrequest")


def _try(request: HttpRequest, act: Callable[[], Any], *, done: Callable[[Any], str]) -> None:
    try:
        result = act()
    except PaymentUnavailableError as error:
        messages.warning(request, f"{error} It is tried again by itself.")
    except CreditsError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, done(result))


def _complain(request: HttpRequest, form: Any) -> None:
    for name, errors in form.errors.items():
        messages.error(request, f"{name}: {' '.join(errors)}")
