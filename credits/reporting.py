"""What a user sees of their account: its history, a page at a time, and what was used by day, block, graph and run."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, F, Max, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from credits.models import Account, EntryType, LedgerEntry, RunCost

MOST_GROUPS: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class Span:
    """From `since` on, and before `until`."""

    since: datetime | None = None
    until: datetime | None = None

    def on(self, column: str) -> Q:
        """Return the condition that a column lies within."""
        condition = Q()
        if self.since:
            condition &= Q(**{f"{column}__gte": self.since})
        if self.until:
            condition &= Q(**{f"{column}__lt": self.until})
        return condition


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which part of a history: of these types (all, if none is named), or what one run used, entry by entry."""

    types: Sequence[str] = ()
    span: Span = Span()
    run_id: UUID | None = None


def read_history(account: Account, wanted: Wanted, *, before: int | None, limit: int) -> list[LedgerEntry | RunCost]:
    """Return what happened, newest first: entries, and for what runs used one item per run.

    `before` is the position of the last item that was seen. Positions are the entries' numbers; a run stands where its
    newest entry does.
    """
    entries = LedgerEntry.objects.filter(wanted.span.on("created_at"), account=account)
    if before is not None:
        entries = entries.filter(sequence__lt=before)
    entries = entries.order_by("-sequence")
    if wanted.run_id:
        return list(entries.filter(root_execution_id=wanted.run_id, type=EntryType.USAGE)[:limit])
    if wanted.types:
        entries = entries.filter(type__in=wanted.types)
    single = entries.filter(~Q(type=EntryType.USAGE) | Q(root_execution_id__isnull=True))
    found: list[LedgerEntry | RunCost] = list(single[:limit])
    if not wanted.types or EntryType.USAGE in wanted.types:
        runs = RunCost.objects.filter(wanted.span.on("last_at"), account=account)
        if before is not None:
            runs = runs.filter(last_sequence__lt=before)
        found.extend(runs.order_by("-last_sequence")[:limit])
    return sorted(found, key=position_of, reverse=True)[:limit]


def position_of(item: LedgerEntry | RunCost) -> int:
    """Return where an item stands in its account's history."""
    return item.last_sequence if isinstance(item, RunCost) else item.sequence


def find_entries(account: Account, wanted: Wanted) -> QuerySet[LedgerEntry]:
    """Return entries one by one, oldest first."""
    entries = LedgerEntry.objects.filter(wanted.span.on("created_at"), account=account)
    if wanted.types:
        entries = entries.filter(type__in=wanted.types)
    if wanted.run_id:
        entries = entries.filter(root_execution_id=wanted.run_id)
    return entries.order_by("sequence")


class By(StrEnum):
    """What usage is summed by."""

    DAY = "day"
    BLOCK = "block"
    GRAPH = "graph"
    RUN = "run"


_COLUMNS: Final = {By.DAY: "day", By.BLOCK: "block_id", By.GRAPH: "graph_id", By.RUN: "root_execution_id"}


def summarize(account: Account, *, by: By, span: Span) -> list[dict[str, Any]]:
    """Return what was used as [{key, cost, owed, charges, last_at}], at most `MOST_GROUPS`.

    Days (UTC) come newest first, the others by cost. `cost` is the price, of which `owed` could not be paid at once;
    the key of fees, which are for no block, is null.
    """
    used = LedgerEntry.objects.filter(span.on("created_at"), account=account, type=EntryType.USAGE).order_by()
    if by is By.DAY:
        used = used.annotate(day=TruncDate("created_at"))
    grouped = used.values(_COLUMNS[by]).annotate(
        cost=Sum(F("owed") - F("amount")), unpaid=Sum("owed"), charges=Count("id"), last_at=Max("created_at")
    )
    ordered = grouped.order_by("-day" if by is By.DAY else "-cost", "-last_at")
    return [
        {
            "key": str(group[_COLUMNS[by]]) if group[_COLUMNS[by]] else None,
            "cost": group["cost"],
            "owed": group["unpaid"],
            "charges": group["charges"],
            "last_at": group["last_at"],
        }
        for group in ordered[:MOST_GROUPS]
    ]
