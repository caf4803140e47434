"""Setting credits aside for what is claimed, before it runs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog
from django.core.exceptions import SuspiciousOperation
from django.db import Error as DatabaseError

from credits import metering
from credits.metering import Held, Price
from credits.pricing import KNOWN_BEFORE, CostType
from execution.large_values import find_reference, read_all
from execution.models import OnInsufficientCredits
from execution.planning import NodeSpec, load_plan
from execution.prices import find_prices, price
from execution.store.batches import Answer, Batch
from execution.store.charging import ask_to_charge, subject_of
from execution.store.claims import AS_BEFORE, Claimed, claim, claim_held_back
from execution.store.round_trips import Prepared

logger = structlog.get_logger(__name__)

LOST_INPUTS = (FileNotFoundError, SuspiciousOperation, ValueError)
"""What no waiting helps against: a file that is gone or holds something else."""

# Nothing is set aside for who has lost the claim meanwhile. The commit waits for the disk, and takes the claim with it:
# one that survives PostgreSQL's crash without its hold would be run unpaid.
_HOLD = Prepared(
    "hold",
    "user int, key uuid, run uuid, root uuid, amount bigint, max_cost bigint, token uuid",
    f"""
WITH mine AS MATERIALIZED (
    SELECT FROM execution_nodeexecution WHERE id = %(key)s AND token = %(token)s AND (status = 'RUNNING') IS TRUE
       FOR NO KEY UPDATE
)
SELECT held.granted, held.spendable, held.committed FROM mine, LATERAL {metering.HOLD} AS held
""",  # noqa: S608 - made of constants
)

# An attempt before may have set something aside. Who has lost the claim meanwhile leaves it to its successor.
_LET_GO = f"""
WITH mine AS MATERIALIZED (
    SELECT FROM execution_nodeexecution WHERE id = %s AND token = %s AND (status = 'RUNNING') IS TRUE FOR NO KEY UPDATE
)
SELECT ({metering.RELEASE}) FROM mine
"""  # noqa: S608 - made of constants

# What was claimed in this transaction waits for an ordinary claim if it can't be paid: that says why.
_HOLD_OR_QUEUE = Prepared(
    "hold_or_queue",
    "user int, key uuid, run uuid, root uuid, amount bigint, max_cost bigint",
    f"""
WITH held AS MATERIALIZED (SELECT granted FROM {metering.HOLD}), queued AS (
    UPDATE execution_nodeexecution
       SET {AS_BEFORE}
      FROM held WHERE id = %(key)s AND NOT held.granted
)
SELECT granted FROM held
""",  # noqa: S608 - made of constants
)

# The same after a charge. A node execution that was charged before (see `charging`) is not charged again.
_CAPTURE_AND_HOLD = Prepared(
    "capture_and_hold",
    "user int, key uuid, amount bigint, facts jsonb, max_cost bigint, run uuid,"
    " next uuid, next_run uuid, next_root uuid, next_amount bigint, next_max_cost bigint",
    f"""
WITH done AS MATERIALIZED (SELECT * FROM {metering.CAPTURE_AND_HOLD}), queued AS (
    UPDATE execution_nodeexecution SET {AS_BEFORE} FROM done WHERE id = %(next)s AND NOT done.granted
), counted AS (
    UPDATE execution_execution e SET cost = e.cost + done.charged + done.owed
      FROM done WHERE e.id = %(run)s AND done.is_new
)
SELECT %(user)s, has_news, granted FROM done
""",  # noqa: S608 - made of constants
)

# What can't be paid is not run: it waits for credits, or it is run to the end in which it fails.
_PARK = """
UPDATE execution_nodeexecution
   SET status = 'SUSPENDED', attempt = attempt - 1, token = NULL, lease_until = NULL, needs_credits = %s
 WHERE id = %s AND token = %s AND status = 'RUNNING'
"""
_NOTE_NEED = """
UPDATE execution_nodeexecution SET needs_credits = %s WHERE id = %s AND token = %s AND status = 'RUNNING' RETURNING id
"""

_UNCLAIM = f"""
UPDATE execution_nodeexecution SET {AS_BEFORE}, held_back = %s, queued_at = clock_timestamp()
 WHERE id = %s AND token = %s AND status = 'RUNNING'
"""  # noqa: S608 - made of constants


class InputsAwayError(Exception):
    """The storage doesn't give out the inputs that a price goes by. Nothing was claimed; it can be tried again."""


def claim_and_hold(
    node_execution_id: UUID, *, lease_seconds: float, token: UUID, only_renews: bool = False
) -> Claimed | None:
    """Claim a node execution and set aside what it costs. What is free takes one statement, what is not two.

    `only_renews`: take what this token holds, and begin nothing. Raises `InputsAwayError`.
    """
    claimed = claim(node_execution_id, lease_seconds=lease_seconds, token=token, only_renews=only_renews)
    return _hold_or_unclaim(claimed, was_held_back=None if only_renews else False)


def claim_held_back_and_hold(tree_id: UUID, *, lease_seconds: float) -> Claimed | None:
    """Claim something that a run's tree holds back, and set aside what it costs. Raises `InputsAwayError`."""
    claimed = claim_held_back(tree_id, lease_seconds=lease_seconds)
    return _hold_or_unclaim(claimed, was_held_back=True)


def _hold_or_unclaim(claimed: Claimed | None, *, was_held_back: bool | None) -> Claimed | None:
    """Set aside what a claim costs; if that can't be told now it is QUEUED again, unless `was_held_back` is None."""
    if claimed is None or not claimed.is_paid:
        return claimed
    try:
        return _hold(claimed)
    except InputsAwayError:
        if was_held_back is not None:
            Batch().fetch(_UNCLAIM, [was_held_back, claimed.id, claimed.token])
        raise


def _hold(claimed: Claimed) -> Claimed | None:
    """Return the claim with its price, or with a reason not to run it; None if it waits for credits, or is lost."""
    spec = load_plan(claimed.graph_version_id).specs[claimed.node_id]
    try:
        delivered, mask = read_all(claimed.inputs), read_all(claimed.mask)
    except LOST_INPUTS as error:
        lost = f"Its inputs can't be read any more ({type(error).__name__})."
        return replace(claimed, refusal=lost) if _let_go(claimed) else None
    except Exception as error:
        raise InputsAwayError(f"{type(error).__name__}: {error}") from error
    found = price(spec, delivered=delivered, mask=mask)
    if found is None:
        return claimed if _let_go(claimed) else None
    asked = _describe_hold(claimed, found)
    if asked is None:
        return replace(claimed, price=found)
    rows = Batch().fetch(_HOLD, {**asked, "token": claimed.token})
    if not rows:
        return None
    granted, spendable, committed = rows[0]
    held = Held(granted=granted, spendable=spendable, committed=committed)
    return replace(claimed, price=found) if granted else _turn_down(claimed, needed=found.hold, held=held)


def _let_go(claimed: Claimed) -> bool:
    """Let go of what is set aside for a node execution; False if the claim is lost."""
    return bool(Batch().fetch(_LET_GO, [claimed.id, claimed.token, [claimed.id]]))


def _turn_down(claimed: Claimed, *, needed: int, held: Held) -> Claimed | None:
    lacks_balance = held.spendable < needed
    if lacks_balance and claimed.on_insufficient_credits == OnInsufficientCredits.PARK:
        Batch().fetch(_PARK, [needed, claimed.id, claimed.token])
        return None
    if not note_need(claimed, credit=needed):
        return None
    reason = _explain(claimed, needed=needed, held=held, lacks_balance=lacks_balance)
    return replace(claimed, refusal=reason, is_unpaid=True)


# What these cost is known without looking at what the block has cost lately.
_TOLD_BY_LIST = frozenset({*KNOWN_BEFORE, CostType.TOKENS})


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
        logger.warning("a price can't be told in place", node=str(spec.plan.id), error=type(error).__name__)
        return None


def ask_to_charge_and_hold(
    batch: Batch, claimed: Claimed, *, charge: dict[str, Any] | None, following: Claimed | None
) -> tuple[Answer | None, Answer | None]:
    """Charge what has ended, and set aside what was claimed `following` it, in this transaction, costs. Ask last.

    `charge` comes from `describe_charge`.
    If that can't be paid it is QUEUED. The first answer is for `tell_news`, the row of the second one ends with whether
    it was granted; None if nothing is to be set aside.
    """
    hold = _describe_hold(following, following.price) if following and following.price else None
    if hold and charge and hold["user"] == charge["user"]:
        both = batch.ask(_CAPTURE_AND_HOLD, {**charge, **metering.describe_next(hold)})
        return both, both
    charged = ask_to_charge(batch, claimed, charge)
    return charged, batch.ask(_HOLD_OR_QUEUE, hold) if hold else None


def _describe_hold(claimed: Claimed, found: Price) -> dict[str, Any] | None:
    return metering.describe_hold(
        user_id=claimed.user_id, subject=subject_of(claimed), price=found, max_cost=claimed.max_cost
    )


def note_need(claimed: Claimed, *, credit: int) -> bool:
    """Note that a node execution fails for want of so many credits: it goes on if its run is resumed.

    False if the claim is lost.
    """
    return bool(Batch().fetch(_NOTE_NEED, [credit, claimed.id, claimed.token]))


def _explain(claimed: Claimed, *, needed: int, held: Held, lacks_balance: bool) -> str:
    if lacks_balance:
        return f"Not enough credits: this needs {needed}, and {held.spendable} can be spent."
    return (
        f"The run may cost {claimed.max_cost} credits (max_cost): it has cost or holds {held.committed},"
        f" and this needs {needed} more."
    )
