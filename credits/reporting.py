"""An account's history, a page at a time. What a run used is one item in it, which stands where its first charge does.

So an item keeps its place while the run goes on, and no page misses or repeats one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, F, Max, Min, Q, QuerySet, Sum

from credits.models import Account, EntryType, LedgerEntry, RunCost


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

    def holds(self, first: datetime, last: datetime) -> bool:
        """Whether all that happened from `first` to `last` lies within."""
        return (not self.since or first >= self.since) and (not self.until or last < self.until)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which part of a history: of these types (all, if none is named), or what one run used, entry by entry."""

    types: Sequence[str] = ()
    span: Span = Span()
    run_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class RunUsage:
    """What a run and its sub-runs used within a span of time. `position` is where the run stands in the history."""

    position: int
    run_id: UUID
    graph_id: UUID | None
    cost: int
    owed: int
    entry_count: int
    first_at: datetime
    last_at: datetime


Item = LedgerEntry | RunUsage


def read_history(account: Account, wanted: Wanted, *, before: int | None, limit: int) -> list[Item]:
    """Return what happened, newest first: entries, and for what runs used one item per run.

    `before` is the position of the last item that was seen; positions are the entries' numbers. Of a span of time the
    items of runs hold what was used within it.
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
    found: list[Item] = list(single[:limit])
    if not wanted.types or EntryType.USAGE in wanted.types:
        found.extend(_read_runs(account, wanted.span, before=before, limit=limit))
    return sorted(found, key=position_of, reverse=True)[:limit]


def position_of(item: Item) -> int:
    """Return where an item stands in its account's history."""
    return item.position if isinstance(item, RunUsage) else item.sequence


def _read_runs(account: Account, span: Span, *, before: int | None, limit: int) -> list[RunUsage]:
    """Return the next `limit` runs that used something within the span."""
    found: list[RunUsage] = []
    while len(found) < limit:
        runs = RunCost.objects.filter(account=account)
        if before is not None:
            runs = runs.filter(first_sequence__lt=before)
        if span.until:
            runs = runs.filter(first_at__lt=span.until)
        if span.since:
            runs = runs.filter(last_at__gte=span.since)
        page = list(runs.order_by("-first_sequence")[:limit])
        found.extend(_measure(account, page, span))
        if len(page) < limit:
            break
        before = page[-1].first_sequence
    return found[:limit]


def _measure(account: Account, runs: list[RunCost], span: Span) -> list[RunUsage]:
    """Return what these runs used within a span. Who lies within it as a whole needs no look at the entries."""
    partly = [run for run in runs if not span.holds(run.first_at, run.last_at)]
    measured = {run.root_execution_id: _show(run) for run in runs if run not in partly}
    if partly:
        entries = LedgerEntry.objects.filter(
            span.on("created_at"),
            account=account,
            type=EntryType.USAGE,
            root_execution_id__in=[run.root_execution_id for run in partly],
        )
        sums = (
            entries.order_by()
            .values("root_execution_id")
            .annotate(
                cost=Sum(F("owed") - F("amount")),
                unpaid=Sum("owed"),
                count=Count("id"),
                first_at=Min("created_at"),
                last_at=Max("created_at"),
            )
        )
        places = {str(run.root_execution_id): run for run in partly}
        for each in sums:
            run = places[str(each["root_execution_id"])]
            measured[run.root_execution_id] = RunUsage(
                position=run.first_sequence,
                run_id=run.root_execution_id,
                graph_id=run.graph_id,
                cost=each["cost"],
                owed=each["unpaid"],
                entry_count=each["count"],
                first_at=each["first_at"],
                last_at=each["last_at"],
            )
    return [measured[run.root_execution_id] for run in runs if run.root_execution_id in measured]


def _show(run: RunCost) -> RunUsage:
    return RunUsage(
        position=run.first_sequence,
        run_id=run.root_execution_id,
        graph_id=run.graph_id,
        cost=run.cost,
        owed=run.owed,
        entry_count=run.entry_count,
        first_at=run.first_at,
        last_at=run.last_at,
    )


def find_entries(account: Account, wanted: Wanted) -> QuerySet[LedgerEntry]:
    """Return entries one by one, oldest first."""
    entries = LedgerEntry.objects.filter(wanted.span.on("created_at"), account=account)
    if wanted.types:
        entries = entries.filter(type__in=wanted.types)
    if wanted.run_id:
        entries = entries.filter(root_execution_id=wanted.run_id)
    return entries.order_by("sequence")
