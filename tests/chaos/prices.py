"""Prices for chaos: every other node execution costs something, somebody can pay, and the charges are to the credit."""

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import F, Sum

from credits.models import Account, LedgerEntry
from credits.money import grant
from credits.price_list import set_price
from execution.engine.statuses import Status
from execution.models import NodeExecution
from execution.planning import load_plan
from graphs.blocks.registry import all_blocks

RICH: Final = 10**9
FREE: Final = (0, "RUN")


def list_prices() -> dict[str, tuple[int, str]]:
    """Return what blocks cost, each its own: {block id: (credits, type)}. Those that are not in it are free."""
    blocks = sorted(all_blocks(), key=lambda block: block.id)
    return {
        block.id: (number, "SECOND" if number % 4 == 3 else "RUN") for number, block in enumerate(blocks) if number % 2
    }


def grant_riches(user: User) -> None:
    """Give the user a lot."""
    grant(user_id=user.pk, amount=RICH, reason="Chaos is expensive.", key=uuid4())


def make_blocks_cost(user: User) -> None:
    """Give the user a lot, and half of the blocks a price."""
    grant_riches(user)
    for block_id, (amount, kind) in list_prices().items():
        set_price(block_id=block_id, costs=[{"amount": amount, "type": kind}], reason="Chaos.")


def examine_charges() -> Iterator[str]:
    """Say which charges are not what the graph's block costs, whatever the engine thought that it may cost."""
    prices, charged = list_prices(), defaultdict(list)
    for entry in LedgerEntry.objects.filter(type="USAGE", node_execution_id__isnull=False):
        charged[entry.node_execution_id].append(entry)
    rows = NodeExecution.objects.values_list("pk", "status", "node_id", "execution__graph_version_id")
    for key, status, node_id, version_id in rows.iterator():
        block_id = load_plan(version_id).plan.nodes[node_id].block_id
        price = prices.get(block_id, FREE) if status == Status.COMPLETED else FREE
        entries = charged.pop(key, [])
        expected = [_cost(price, entries[0].quantity if entries else None)] if price != FREE else []
        found = [entry.owed - entry.amount for entry in entries]
        if found != expected or any(entry.block_id != block_id for entry in entries):
            yield f"node execution {key} of {block_id}, {status}, was charged {found} instead of {expected}"
    for missing, entries in charged.items():
        yield f"{len(entries)} charges are for node execution {missing}, which is not there"
    yield from _examine_fees()


def _cost(price: tuple[int, str], quantity: float | None) -> int | None:
    amount, kind = price
    if kind == "RUN":
        return amount
    return None if quantity is None else math.ceil(quantity) * amount


def _examine_fees() -> Iterator[str]:
    for account in Account.objects.all():
        fees: Any = LedgerEntry.objects.filter(account=account, key__startswith="fee:")
        paid = fees.aggregate(sum=Sum(F("owed") - F("amount")))["sum"] or 0
        due = account.node_executions // settings.NODE_EXECUTIONS_PER_CREDIT
        if paid != due:
            yield f"{account} paid {paid} for {account.node_executions} node executions instead of {due}"
