"""Prices that hold now: the code's, unless an admin has set others, with the version that an entry will name.

Each process looks at the admin's prices every few seconds, so a claim of a block costs no query for it.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from django.db import connection, transaction
from django.db.models import Max

from credits.exceptions import PriceInvalidError, ReasonMissingError
from credits.models import BlockPrice
from credits.pricing import Cost, read_costs

LISTED_VERSION: Final = 0
"""The version of a price that stands in the code."""

FRESH_SECONDS: Final = 5.0

PRICE_LOCK: Final = 0x0C3A_9217
"""The class of advisory locks under which a block's next price gets its version."""

find_block_names: list[Callable[[], Mapping[str, str]]] = []
"""Who knows the blocks says here how to list their names by id; this app doesn't know them."""


@dataclass(frozen=True, kw_only=True)
class PriceList:
    """What a block costs: the first cost that fits the inputs. `charge_on_failure`: failed attempts cost as well."""

    costs: tuple[Cost, ...]
    version: int = LISTED_VERSION
    charge_on_failure: bool = False


@dataclass
class _Override:
    """An admin's price as it was when we looked. It is read when it is asked for: one that is wrong hits no other."""

    price: BlockPrice

    @cached_property
    def costs(self) -> tuple[Cost, ...] | None:
        """What it costs; None: what its code says."""
        return None if self.price.costs is None else read_costs(self.price.costs)


@dataclass
class _Kept:
    """The admin's prices by block, and until when they count as known."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    prices: dict[str, _Override] = field(default_factory=dict)
    fresh_until: float = 0.0


_kept = _Kept()


def find_price_list(*, block_id: str, listed: Sequence[Cost], charge_on_failure: bool = False) -> PriceList:
    """Return what a block costs now; `listed` and `charge_on_failure` are what its code says."""
    override = _current().get(block_id)
    if override is None:
        return PriceList(costs=tuple(listed), charge_on_failure=charge_on_failure)
    price = override.price
    return PriceList(
        costs=tuple(listed) if override.costs is None else override.costs,
        version=price.version,
        charge_on_failure=charge_on_failure if price.charge_on_failure is None else price.charge_on_failure,
    )


def list_blocks() -> dict[str, str]:
    """Return the names of the blocks that can have a price, by id."""
    return {block_id: name for find in find_block_names for block_id, name in find().items()}


def set_price(
    *,
    block_id: str,
    costs: object,
    reason: str,
    charge_on_failure: bool | None = None,
    made_by_id: int | None = None,
) -> BlockPrice:
    """Set what a block costs from now on, as its next version; `costs` None: what its code says.

    Raises `PriceInvalidError` and `ReasonMissingError`.
    """
    if not reason.strip():
        raise ReasonMissingError("A price needs a reason: it stands in the history.")
    if not block_id:
        raise PriceInvalidError("A price is for a block.")
    if costs is not None:
        read_costs(costs)
    with transaction.atomic():
        _lock_versions(block_id)
        newest = BlockPrice.objects.filter(block_id=block_id).aggregate(newest=Max("version"))["newest"] or 0
        made = BlockPrice.objects.create(
            block_id=block_id,
            version=newest + 1,
            costs=costs,
            charge_on_failure=charge_on_failure,
            reason=reason,
            made_by_id=made_by_id,
        )
    transaction.on_commit(forget_prices)
    return made


def _lock_versions(block_id: str) -> None:
    """Let whoever sets another price of the block wait until this one has its version."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [PRICE_LOCK, block_id])


def forget_prices() -> None:
    """Look at the admin's prices again at the next occasion."""
    with _kept.lock:
        _kept.fresh_until = 0.0


def _current() -> dict[str, _Override]:
    with _kept.lock:
        if time.monotonic() >= _kept.fresh_until:
            newest = BlockPrice.objects.order_by("block_id", "-version").distinct("block_id")
            _kept.prices = {price.block_id: _Override(price) for price in newest}
            _kept.fresh_until = time.monotonic() + FRESH_SECONDS
        return _kept.prices
