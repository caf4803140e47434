"""What blocks used lately, for what they will use: seconds, items or US dollars per node execution, or its credits."""

import threading
import time
from dataclasses import dataclass
from typing import Final

from django.db import connection

from credits.pricing import CostType

RECENT: Final = 100
"""How many charges are looked at."""

FRESH_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Recent:
    """Quantities, or credits, of the newest charges of a block."""

    mean: float
    high: float
    most: float
    count: int


_RECENT = """
SELECT avg(quantity), percentile_cont(0.95) WITHIN GROUP (ORDER BY quantity), max(quantity), count(*)
  FROM (SELECT quantity FROM credits_ledgerentry
         WHERE block_id = %s AND price_type = %s AND quantity IS NOT NULL ORDER BY id DESC LIMIT %s) newest
"""

# What was charged by another price says nothing of this one.
_RECENT_COSTS = """
SELECT avg(cost)::float8, percentile_cont(0.95) WITHIN GROUP (ORDER BY cost), max(cost), count(*)
  FROM (SELECT owed - amount AS cost, price_version FROM credits_ledgerentry
         WHERE block_id = %s AND price_type = %s AND price_type IN ('BYTE', 'TOKENS') ORDER BY id DESC LIMIT %s) newest
 WHERE price_version = %s
"""

_lock = threading.Lock()
_kept: dict[tuple[object, ...], tuple[float, Recent | None]] = {}


def recent_quantity(*, block_id: str, type: CostType) -> Recent | None:
    """Return what the block used lately where it was priced by `type`; None if nothing is known. Kept for a minute."""
    return _look(_RECENT, block_id, type.value, RECENT)


def recent_cost(*, block_id: str, type: CostType, version: int) -> Recent | None:
    """Return what the block lately cost in credits by this version of its prices, where `type` is BYTE or TOKENS.

    None if nothing is known. Kept for a minute.
    """
    return _look(_RECENT_COSTS, block_id, type.value, RECENT, version)


def _look(statement: str, *about: str | int) -> Recent | None:
    key = (statement, *about)
    with _lock:
        fresh_until, known = _kept.get(key, (0.0, None))
    if time.monotonic() < fresh_until:
        return known
    with connection.cursor() as cursor:
        cursor.execute(statement, about)
        mean, high, most, count = cursor.fetchone()
    found = Recent(mean=mean, high=high, most=most, count=count) if count else None
    with _lock:
        _kept[key] = (time.monotonic() + FRESH_SECONDS, found)
    return found


def forget_history() -> None:
    """Ask again at the next occasion."""
    with _lock:
        _kept.clear()
