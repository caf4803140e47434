"""What the engine asks of this app: to find a price, to set credits aside, to charge, to let go.

Everything happens in the caller's transaction, in one statement each, so a charge is committed with the result that it
is for, or not at all. A node execution is charged once at most, whatever is repeated. Nothing here costs a statement
for a block that is free. Lock order: runs and node executions before accounts.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from credits.accounts import find_account
from credits.exceptions import FundsLackingError
from credits.history import recent_quantity
from credits.models import Account
from credits.price_list import PriceList
from credits.pricing import (
    KNOWN_BEFORE,
    Cost,
    CostType,
    Usage,
    describe_cost,
    find_cost,
    price_after,
    price_to_hold,
    quantity_of,
)
from credits.store import ledger

HOLD: Final = "credits_hold(%(user)s, %(key)s, %(run)s, %(root)s, %(amount)s, %(max_cost)s)"
"""For a larger statement: the columns of `Held`. Its parameters come from `describe_hold`."""

CAPTURE: Final = "credits_capture(%(user)s, %(key)s, %(amount)s, %(facts)s, %(max_cost)s)"
"""For a larger statement: `charged`, `owed`, `is_new` and `has_news`. Its parameters come from `describe_capture`."""

CAPTURE_AND_HOLD: Final = (
    "credits_capture_and_hold_all(%(user)s, %(run)s, %(root)s, %(max_cost)s,"
    " %(keys)s, %(amounts)s, %(facts)s, %(nexts)s, %(next_amounts)s)"
)
"""For a larger statement: for each place of the arrays, in order, the columns of `CAPTURE`, `next` and `granted`.

A place asks for a charge (`keys`, `amounts`, `facts`), then a hold (`nexts`, `next_amounts`), or one of them; what is
not asked for is NULL. The values come from `describe_capture` and `describe_hold`, all of one run.
"""

HOLD_ALL: Final = (
    "credits_capture_and_hold_all(%(user)s, %(run)s, %(root)s, %(max_cost)s, '{{}}', '{{}}', '{{}}', {keys}, {amounts})"
)
"""For a larger statement: the columns of `Held` for each of several holds of one run, and whose it is (`next`).

`spendable` and `committed` are told of what is not granted.
"""

CHARGE_FEE: Final = "credits_charge_fee(due.user_id, due.count, %(per)s, due.facts, due.max_cost)"
"""For a larger statement with rows of `due`: `charged`, `owed` and `has_news`."""

RELEASE: Final = "SELECT credits_release(%s::uuid[], '{}')"
"""Lets go of what is set aside for the node executions with these ids."""

RELEASE_RUNS: Final = "SELECT credits_release('{}', %s::uuid[])"
"""Lets go of everything that is set aside for the runs with these ids."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """Whether credits were set aside. `spendable` is what there was; `committed` what the run had cost or held.

    Of one that was granted along with others neither is told: 0 and None.
    """

    granted: bool
    spendable: int
    committed: int | None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a charge is for. `root_execution_id` is the run at the top of the tree, which may be the run itself.

    `root_graph_id` is that run's graph where it is another run, else None.
    """

    execution_id: UUID
    root_execution_id: UUID
    graph_id: UUID
    graph_version: int
    node_id: UUID
    node_execution_id: UUID
    block_id: str
    root_graph_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a node execution costs. `hold` is what is set aside for it.

    `size` is that of its inputs in bytes, where the price list goes by it.
    """

    cost: Cost
    version: int
    charge_on_failure: bool
    size: int
    hold: int


def find_price(*, block_id: str, prices: PriceList, inputs: Mapping[str, Any], size: int) -> Price | None:
    """Return the price of a node execution with these inputs (`size` in bytes); None if it is free."""
    cost = find_cost(prices.costs, inputs, platform_credentials=settings.PLATFORM_CREDENTIAL_IDS)
    if cost is None:
        return None
    return Price(
        cost=cost,
        version=prices.version,
        charge_on_failure=prices.charge_on_failure,
        size=size,
        hold=price_to_hold(cost, size=size, quantity=_expect(block_id, cost)),
    )


def _expect(block_id: str, cost: Cost) -> float | None:
    """Return the quantity that 95 of 100 recent charges did not exceed."""
    if cost.type in KNOWN_BEFORE or cost.type is CostType.TOKENS:
        return None
    recent = recent_quantity(block_id=block_id, type=cost.type)
    return recent.high if recent else None


def describe_hold(
    *, user_id: int, subject: Subject, price: Price, max_cost: int | None = None
) -> dict[str, Any] | None:
    """Return the parameters of `HOLD`; None where nothing is to be set aside.

    It sets a node execution's credits aside, if the account has them and the whole run stays within `max_cost`: to be
    used before it runs. What was set aside for it before is replaced.
    """
    if price.hold == 0:
        return None
    return {
        "user": user_id,
        "key": subject.node_execution_id,
        "run": subject.execution_id,
        "root": subject.root_execution_id,
        "amount": price.hold,
        "max_cost": max_cost,
    }


def describe_capture(
    *, user_id: int, subject: Subject, price: Price, usage: Usage, has_failed: bool, max_cost: int | None = None
) -> dict[str, Any] | None:
    """Return the parameters of `CAPTURE`; None where there is nothing to charge, only something to let go of.

    To be used in the transaction that records the end. A failed one costs nothing unless its block's price says so.
    What the balance can't pay is owed; what the whole run would cost beyond `max_cost` is not charged.
    """
    if has_failed and not price.charge_on_failure:
        return None
    amount = price_after(price.cost, usage=usage, size=price.size)
    facts = {
        "execution_id": subject.execution_id,
        "root_execution_id": subject.root_execution_id,
        "graph_id": subject.graph_id,
        "root_graph_id": subject.root_graph_id,
        "graph_version": subject.graph_version,
        "node_id": subject.node_id,
        "node_execution_id": subject.node_execution_id,
        "block_id": subject.block_id,
        "price_version": price.version,
        "price_type": price.cost.type.value,
        "quantity": quantity_of(price.cost, usage),
        "details": _describe(price, usage),
    }
    return {
        "user": user_id,
        "key": subject.node_execution_id,
        "amount": amount,
        "facts": ledger.dump_facts(facts),
        "max_cost": max_cost,
    }


def _describe(price: Price, usage: Usage) -> dict[str, Any]:
    """Return the price itself, which may be gone from the code, and what it was applied to."""
    details: dict[str, Any] = {"price": describe_cost(price.cost, models=usage.tokens.keys())}
    if price.cost.type is CostType.BYTE:
        details["size"] = price.size
    if price.cost.type is CostType.TOKENS:
        details["tokens"] = {model: vars(used) for model, used in usage.tokens.items()}
    return details


def release(node_execution_ids: Collection[UUID]) -> None:
    """Let go of what is set aside for attempts that were lost, handed back or stopped."""
    if node_execution_ids:
        ledger.release(node_execution_ids)


def read_spendable(user_ids: Collection[int]) -> dict[int, int]:
    """Return what these users can spend at the moment."""
    accounts = Account.objects.filter(user_id__in=user_ids)
    return {int(account.user_id or 0): account.spendable for account in accounts}


def require_funds(user_id: int) -> None:
    """Raise `FundsLackingError` if the user has nothing to start a run with, or owes something."""
    for lacking in find_lacking_funds([user_id]).values():
        raise lacking


def find_lacking_funds(user_ids: Collection[int]) -> dict[int, FundsLackingError]:
    """Return, of those of the users who can't start a run for it, what they lack."""
    funds = ledger.read_funds(user_ids)
    for user_id in set(user_ids) - funds.keys():
        opened = find_account(user_id)
        funds[user_id] = opened.balance, opened.owed
    return {
        user_id: FundsLackingError(balance=balance, owed=owed, needed=owed + max(1 - balance, 0))
        for user_id, (balance, owed) in funds.items()
        if balance <= 0 or owed > 0
    }
