"""The ledger as a table for spreadsheets."""

import csv
import io
from collections.abc import Iterable
from typing import Any, Final

from credits.models import LedgerEntry

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


def write_csv(entries: Iterable[LedgerEntry]) -> str:
    """Return the entries as CSV with a line of headings."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for entry in entries:
        writer.writerow([_show(getattr(entry, name)) for name in COLUMNS])
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
