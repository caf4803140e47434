"""Accounts, ledger, prices and payments as rows."""

from credits.models.ledger import Account, EntryType, Hold, LedgerEntry, RunCost
from credits.models.payments import (
    Notice,
    NoticeKind,
    RefundRequest,
    RefundStatus,
    Reversal,
    ReversalKind,
    ReversalStage,
    TopUp,
    TopUpKind,
    TopUpStatus,
)
from credits.models.prices import BlockPrice

__all__ = [
    "Account",
    "BlockPrice",
    "EntryType",
    "Hold",
    "LedgerEntry",
    "Notice",
    "NoticeKind",
    "RefundRequest",
    "RefundStatus",
    "Reversal",
    "ReversalKind",
    "ReversalStage",
    "RunCost",
    "TopUp",
    "TopUpKind",
    "TopUpStatus",
]
