"""Finding one's way in a ledger of millions of entries: every question here has an index, or is asked once."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, cast
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest

from credits.models import Account, LedgerEntry
from credits.pricing import CostType


class PriceTypeFilter(admin.SimpleListFilter):
    """What a price goes by. The types are known; Django would look for them in all entries."""

    title = "price type"
    parameter_name = "price_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        """Offer each type."""
        del request, model_admin
        return [(kind.value, kind.value) for kind in CostType]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LedgerEntry]) -> QuerySet[LedgerEntry]:
        """Leave those of a type."""
        del request
        return queryset.filter(price_type=self.value()) if self.value() else queryset


class PaginatorWithTotals(Paginator[LedgerEntry]):
    """Counts and sums at once what is listed: to read so much once is enough."""

    @cached_property
    def totals(self) -> list[dict[str, Any]]:
        """By type: {type, sum, unpaid, entries}."""
        listed = cast(QuerySet[LedgerEntry], self.object_list).order_by()
        sums = listed.values("type").annotate(sum=Sum("amount"), unpaid=Sum("owed"), entries=Count("id"))
        return [dict(each) for each in sums.order_by("type")]

    @cached_property
    def count(self) -> int:
        """How many are listed."""
        return sum(total["entries"] for total in self.totals)


def find_by_word(entries: QuerySet[LedgerEntry], word: str) -> QuerySet[LedgerEntry]:
    """Return the entries of a user of this name, of a run or a node execution with this id, or with this key."""
    if not word:
        return entries
    accounts = list(Account.objects.filter(user__username=word).values_list("pk", flat=True))
    if accounts:
        return entries.filter(account__in=accounts)
    try:
        wanted = UUID(word)
    except ValueError:
        return entries.filter(key=word)
    of_run = entries.filter(root_execution_id=wanted)
    return of_run if of_run.exists() else entries.filter(key=f"usage:{wanted}")
