"""What was used: sums by day, block, graph, run and user, by several of them at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, F, Max, Q, Sum
from django.db.models.functions import TruncDate

from credits.exceptions import SummaryTooLongError
from credits.models import Account, EntryType, LedgerEntry
from credits.models.ledger import find_started_graph
from credits.reporting import Span

MOST_GROUPS: Final = 10_000


class By(StrEnum):
    """What usage is summed by. Days are those of UTC."""

    DAY = "day"
    BLOCK = "block"
    GRAPH = "graph"
    RUN = "run"
    USER = "user"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Whose usage: of one account (of all, if none is named), of a graph's runs, of a run, of a block.

    Whatever a run's sub-runs used is the run's, and its graph's.
    """

    account: Account | None
    span: Span = Span()
    graph_id: UUID | None = None
    run_id: UUID | None = None
    block_id: str | None = None


_COLUMNS: Final = {
    By.DAY: ("day", "day"),
    By.BLOCK: ("block_id", "block_id"),
    By.GRAPH: ("graph_id", "started_graph"),
    By.RUN: ("execution_id", "root_execution_id"),
    By.USER: ("user_id", "account__user_id"),
}
"""What a group is called, and what it is in the ledger."""


def summarize(scope: Scope, *, by: Sequence[By]) -> list[dict[str, Any]]:
    """Return what was used as [{day, block_id, graph_id, execution_id, user_id, cost, owed, charges, last_at}].

    What is not summed by is null; so is the block of a fee, and who is gone. `cost` is the price, of which `owed` could
    not be paid at once. A graph's is what its runs used, with all their sub-runs, so every way of summing comes to the
    same. By days the newest come first, and within them what cost most. Raises `SummaryTooLongError` for
    more than `MOST_GROUPS`.
    """
    used = LedgerEntry.objects.annotate(started_graph=find_started_graph()).order_by()
    used = used.filter(_restrict(scope), type=EntryType.USAGE)
    if By.DAY in by:
        used = used.annotate(day=TruncDate("created_at", tzinfo=UTC))
    grouped = used.values(*(_COLUMNS[each][1] for each in by)).annotate(
        cost=Sum(F("owed") - F("amount")), unpaid=Sum("owed"), charges=Count("id"), last_at=Max("created_at")
    )
    order = ["-day"] if By.DAY in by else []
    groups = list(grouped.order_by(*order, "-cost", "-last_at")[: MOST_GROUPS + 1])
    if len(groups) > MOST_GROUPS:
        raise SummaryTooLongError(f"These are more than {MOST_GROUPS:,} sums: ask for less, or for a shorter time.")
    return [_show(group, by=by) for group in groups]


def _restrict(scope: Scope) -> Q:
    condition = scope.span.on("created_at")
    for column, value in (
        ("account", scope.account),
        ("started_graph", scope.graph_id),
        ("root_execution_id", scope.run_id),
        ("block_id", scope.block_id),
    ):
        if value is not None:
            condition &= Q(**{column: value})
    return condition


def _show(group: dict[str, Any], *, by: Collection[By]) -> dict[str, Any]:
    names = {name: group[column] or None if each in by else None for each, (name, column) in _COLUMNS.items()}
    return {
        **names,
        "cost": group["cost"],
        "owed": group["unpaid"],
        "charges": group["charges"],
        "last_at": group["last_at"],
    }
