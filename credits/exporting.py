"""The ledger as a table for spreadsheets."""

import csv
import io
from typing import Any, Final

from django.db.models import QuerySet

from credits.exceptions import ExportTooLongError
from credits.models import LedgerEntry
from credits.models.ledger import find_started_graph

MOST_ROWS: Final = 100_000
COLUMNS: Final = (
    "sequence",
    "created_at",
    "type",
    "amount",
    "owed",
    "balance_after",
    "owed_after",
    "execution_id",
    "root_execution_id",
    "graph_id",
    "root_graph_id",
    "graph_version",
    "node_id",
    "node_execution_id",
    "block_id",
    "price_version",
    "price_type",
    "quantity",
    "reason",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def write_csv(entries: QuerySet[LedgerEntry]) -> str:
    """Return the entries as CSV with a line of headings; no more of them are in memory at once than are read at once.

    Raises `ExportTooLongError` for more than `MOST_ROWS`.
    """
    if entries[MOST_ROWS : MOST_ROWS + 1].exists():
        raise ExportTooLongError(f"These are more than {MOST_ROWS:,} entries: ask for a shorter time.")
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    # What has come in since then is cut off at its newest end.
    columns = [find_started_graph() if name == "root_graph_id" else name for name in COLUMNS]
    for row in entries.values_list(*columns)[:MOST_ROWS].iterator():
        writer.writerow([_show(value) for value in row])
    return text.getvalue()


def _show(value: Any) -> Any:
    """Return what a spreadsheet shows and doesn't take for a formula."""
    if value is None:
        return ""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
