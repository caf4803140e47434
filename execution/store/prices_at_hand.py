"""Prices of what a record opens as claimed: told while the run is locked, or not at all."""

from collections.abc import Collection, Mapping
from typing import Any

import structlog
from django.db import Error as DatabaseError

from credits.metering import Price
from credits.pricing import KNOWN_BEFORE, CostType
from execution.large_values import find_reference, read_all
from execution.planning import NodeSpec
from execution.prices import find_prices, flat_price, price

logger = structlog.get_logger(__name__)

# What these cost is known without looking at what the block has cost lately.
_TOLD_BY_LIST = frozenset({*KNOWN_BEFORE, CostType.TOKENS})


def flat_price_at_hand(spec: NodeSpec, *, pins: Collection[str], mask: Mapping[str, Any]) -> Price | None:
    """Return what a node execution with values for these pins costs, whatever they are; None if they matter."""
    try:
        return flat_price(spec, pins=pins, mask=mask)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - what is wrong with one node execution must not hit the one before
        _log_unknown(spec, error)
        return None


def price_at_hand(spec: NodeSpec, *, inputs: Mapping[str, Any], mask: Mapping[str, Any]) -> Price | None:
    """Return what a node execution costs with these forms of values, while a run is locked.

    None if it is free or that takes longer to find out (a value lies in the storage, the price goes by what the block
    used lately) or goes wrong: an ordinary claim finds out.
    """
    is_slow = any(cost.type not in _TOLD_BY_LIST for cost in find_prices(spec).costs)
    if is_slow or any(find_reference(form) for form in (*inputs.values(), *mask.values())):
        return None
    try:
        return price(spec, delivered=read_all(inputs), mask=read_all(mask))
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - what is wrong with one node execution must not hit the one before
        _log_unknown(spec, error)
        return None


def _log_unknown(spec: NodeSpec, error: Exception) -> None:
    logger.warning("a price can't be told in place", node=str(spec.plan.id), error=type(error).__name__)
