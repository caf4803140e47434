"""Setting credits aside for what is claimed, before it runs."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import structlog
from django.core.exceptions import SuspiciousOperation
from django.db import Error as DatabaseError

from credits import metering
from credits.metering import Held, Price
from execution.large_values import find_reference, read_all
from execution.models import OnInsufficientCredits
from execution.paces import paces
from execution.prices import price
from execution.store.batches import Answer, Batch
from execution.store.charging import subject_of
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
SELECT %(key)s, held.granted, held.spendable, held.committed FROM mine, LATERAL {metering.HOLD} AS held
""",  # noqa: S608 - made of constants
)

# The same for several claims of one run. All of them are locked before the account: who releases what the run holds
# back may have locked one of these that was claimed meanwhile, and is about to lock the account.
_HOLD_ALL = Prepared(
    "hold_all",
    "user int, run uuid, root uuid, max_cost bigint, keys uuid[], amounts bigint[], tokens uuid[]",
    f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest(%(keys)s, %(amounts)s, %(tokens)s) WITH ORDINALITY AS asked(key, amount, token, place)
     ORDER BY key
), mine AS MATERIALIZED (
    SELECT key, amount, place
      FROM asked, LATERAL (SELECT FROM execution_nodeexecution n
                            WHERE n.id = asked.key AND n.token = asked.token AND (status = 'RUNNING') IS TRUE
                              FOR NO KEY UPDATE) AS locked
), listed AS MATERIALIZED (
    SELECT array_agg(key ORDER BY place) AS keys, array_agg(amount ORDER BY place) AS amounts
      FROM mine HAVING count(*) > 0
)
SELECT held.next, held.granted, held.spendable, held.committed
  FROM listed, LATERAL {metering.HOLD_ALL.format(keys="listed.keys", amounts="listed.amounts")} AS held
""",  # noqa: S608 - made of constants
)

# Before some of them are let go of.
_LOCK_ALL = Prepared(
    "lock_claims",
    "ids uuid[]",
    "SELECT FROM execution_nodeexecution WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE",
)

# An attempt before may have set something aside. Who has lost the claim meanwhile leaves it to its successor.
_LET_GO = f"""
WITH mine AS MATERIALIZED (
    SELECT FROM execution_nodeexecution WHERE id = %s AND token = %s AND (status = 'RUNNING') IS TRUE FOR NO KEY UPDATE
)
SELECT ({metering.RELEASE}) FROM mine
"""  # noqa: S608 - made of constants

# What can't be paid is not run: it waits for credits, or it is run to the end in which it fails.
_PARK = """
UPDATE execution_nodeexecution
   SET status = 'SUSPENDED', attempt = attempt - 1, token = NULL, lease_until = NULL, needs_credits = %s
 WHERE id = %s AND token = %s AND status = 'RUNNING'
"""
_NOTE_NEED = """
UPDATE execution_nodeexecution SET needs_credits = %s WHERE id = %s AND token = %s AND status = 'RUNNING' RETURNING id
"""


# The hold goes with the claim: nobody knows when it will be claimed again, nor what it costs then.
# Locked in the order of their ids, as everywhere.
def _write_unclaim(which: str) -> str:
    return f"""
WITH held AS MATERIALIZED (
    SELECT id AS held_id FROM execution_nodeexecution
     WHERE {which} AND token = ANY(%(tokens)s) AND (status = 'RUNNING') IS TRUE
     ORDER BY id FOR NO KEY UPDATE
), mine AS (
    UPDATE execution_nodeexecution SET {AS_BEFORE}, held_back = %(held_back)s, queued_at = clock_timestamp()
      FROM held WHERE id = held_id
 RETURNING id
)
SELECT credits_release(array_agg(id), '{{}}') FROM mine HAVING count(*) > 0
"""  # noqa: S608 - made of constants


_UNCLAIM: Final = _write_unclaim("id = ANY(%(ids)s)")
# Among all that is RUNNING, which has an index.
_UNCLAIM_HELD: Final = _write_unclaim("status = 'RUNNING'")


class InputsAwayError(Exception):
    """The storage doesn't give out the inputs that a price goes by; it can be tried again."""


def claim_and_hold(
    node_execution_id: UUID, *, lease_seconds: float, token: UUID, only_renews: bool = False
) -> Claimed | None:
    """Claim a node execution and set aside what it costs. What is free takes one statement, what is not two.

    If there are not so many credits, the claim says what follows from it: it is refused, or parked.
    `only_renews`: take what this token holds, and begin nothing. Raises `InputsAwayError`: then nothing new is claimed.
    """
    claimed = claim(node_execution_id, lease_seconds=lease_seconds, token=token, only_renews=only_renews)
    if claimed is None:
        return None
    try:
        return next(iter(_hold_all([claimed])), None)
    except InputsAwayError:
        if not only_renews:
            unclaim([claimed], was_held_back=False)
        raise


def claim_with_others_and_hold(
    node_execution_id: UUID, *, tokens: Sequence[UUID], lease_seconds: float
) -> list[Claimed]:
    """Claim a node execution with the first token, and what goes together with it in its run with the others.

    What they cost is set aside at once. After an error, let `unclaim_held` give back what the tokens hold.
    Raises `InputsAwayError`.
    """
    first = claim(node_execution_id, lease_seconds=lease_seconds, token=tokens[0])
    return _hold_all(_with_others(first, tokens[1:], lease_seconds=lease_seconds)) if first else []


def claim_held_back_and_hold(
    tree_id: UUID, *, run_id: UUID, tokens: Sequence[UUID], lease_seconds: float
) -> list[Claimed]:
    """Claim what a run's tree holds back, and set aside what it costs: one, or more of a run if all are quick.

    What is shared in the run `run_id` is as good. After an error, let `unclaim_held` give back what the tokens hold.
    Raises `InputsAwayError`.
    """
    claims = claim_held_back(tree_id, run_id=run_id, tokens=tokens, shares=len(tokens) > 1, lease_seconds=lease_seconds)
    return _hold_all(_keep_first(claims, max(1, _count_that_go_together(claims))))


def _with_others(first: Claimed, tokens: Sequence[UUID], *, lease_seconds: float) -> list[Claimed]:
    """Return the first one, with what was claimed to go together with it."""
    most = paces.room_after(first.spec) - 1
    # One more is not worth a claim of its own, which may have to be given back.
    if not (most > 1 and first.run_holds_back and _may_go_together(first)):
        return [first]
    run_id = first.execution_id
    claims = claim_held_back(
        first.tree_id, run_id=run_id, tokens=tokens[:most], shares=True, strictly=True, lease_seconds=lease_seconds
    )
    more = _keep_first(claims, _count_that_go_together(claims), besides=1)
    last = more[-1] if more else first
    return [replace(first, run_holds_back=last.run_holds_back, may_send_next=last.may_send_next), *more]


def _count_that_go_together(claims: Sequence[Claimed]) -> int:
    count = paces.count_quick([claimed.spec for claimed in claims])
    return count if all(_may_go_together(claimed) for claimed in claims[:count]) else 0


def _keep_first(claims: Sequence[Claimed], count: int, *, besides: int = 0) -> list[Claimed]:
    """Give back all but the first ones; so many are kept `besides`."""
    kept, others = claims[:count], claims[count:]
    paces.note_claimed(kept=len(kept) + besides, given_back=len(others))
    unclaim(others)
    return [replace(claimed, run_holds_back=True, may_send_next=True) for claimed in kept] if others else list(kept)


def _may_go_together(claimed: Claimed) -> bool:
    """Whether it is not to be feared that it takes others with it, or lets them wait for the storage."""
    return claimed.is_fresh and not any(find_reference(form) for form in claimed.inputs.values())


def unclaim(claims: Sequence[Claimed], *, was_held_back: bool = True) -> None:
    """Give claims back that were not begun: they are QUEUED as before, and nothing is set aside for them."""
    if claims:
        keys, tokens = [claimed.id for claimed in claims], [claimed.token for claimed in claims]
        Batch().fetch(_UNCLAIM, {"held_back": was_held_back, "ids": keys, "tokens": tokens})


def unclaim_held(tokens: Collection[UUID]) -> None:
    """Give back what these tokens hold, and hold it back: for who doesn't know what was claimed with them."""
    Batch().fetch(_UNCLAIM_HELD, {"held_back": True, "tokens": list(tokens)})


def _hold_all(claims: Sequence[Claimed]) -> list[Claimed]:
    """Return the claims with their prices, or with reasons not to run; none that is lost.

    If some can be paid and others can't, the others are QUEUED again and held back.
    """
    if not any(claimed.is_paid for claimed in claims):
        return list(claims)
    priced = [_find_price(claimed) if claimed.is_paid else claimed for claimed in claims]
    held = _ask_to_hold(priced)
    denied = [claimed for claimed, found in held if found and not found.granted]
    if 0 < len(denied) < len(claims):
        # What is paid runs first: it may cost less than is set aside for it, or nothing.
        unclaim(denied)
        held = [(replace(each, run_holds_back=True), found) for each, found in held if each not in denied]
    settled = [
        claimed if found is None or found.granted else _turn_down(claimed, held=found) for claimed, found in held
    ]
    return [claimed for claimed in settled if claimed is not None]


def _find_price(claimed: Claimed) -> Claimed:
    """Return the claim with its price, or with the reason why it can't be run. Raises `InputsAwayError`."""
    try:
        delivered, mask = read_all(claimed.inputs), read_all(claimed.mask)
    except LOST_INPUTS as error:
        return replace(claimed, refusal=f"Its inputs can't be read any more ({type(error).__name__}).")
    except Exception as error:
        raise InputsAwayError(f"{type(error).__name__}: {error}") from error
    try:
        return replace(claimed, price=price(claimed.spec, delivered=delivered, mask=mask))
    except DatabaseError:
        raise
    except Exception as error:
        # It would go wrong each time: the claim would be lost again and again.
        logger.exception("a price can't be told", node_execution=str(claimed.id))
        return replace(claimed, refusal=f"What it costs can't be told ({type(error).__name__}).")


def _ask_to_hold(claims: Sequence[Claimed]) -> list[tuple[Claimed, Held | None]]:
    """Have what claims cost set aside, or let go of what was; return what came of it. Those that are lost are left out.

    None where there was nothing to set aside.
    """
    batch = Batch()
    asked = {claimed.id: describe_hold(claimed, claimed.price) for claimed in claims if claimed.price}
    holds = [(claimed, hold) for claimed in claims if (hold := asked.get(claimed.id))]
    unpriced = [claimed for claimed in claims if claimed.is_paid and claimed.price is None]
    if unpriced and len(claims) > 1:
        batch.ask(_LOCK_ALL, {"ids": [claimed.id for claimed in claims]})
    let_go = {claimed.id: batch.ask(_LET_GO, [claimed.id, claimed.token, [claimed.id]]) for claimed in unpriced}
    answer = _ask_to_hold_all(batch, holds) if holds else None
    batch.flush()
    held = {
        key: Held(granted=granted, spendable=spendable or 0, committed=committed)
        for key, granted, spendable, committed in (answer.rows if answer else [])
    }
    lost = {key for key, let in let_go.items() if not let.rows}
    lost |= {claimed.id for claimed, _ in holds if claimed.id not in held}
    return [(claimed, held.get(claimed.id)) for claimed in claims if claimed.id not in lost]


def _ask_to_hold_all(batch: Batch, holds: Sequence[tuple[Claimed, dict[str, Any]]]) -> Answer:
    (first, of_run), *others = holds
    if not others:
        return batch.ask(_HOLD, {**of_run, "token": first.token})
    return batch.ask(
        _HOLD_ALL,
        {
            **of_run,
            "keys": [claimed.id for claimed, _ in holds],
            "amounts": [hold["amount"] for _, hold in holds],
            "tokens": [claimed.token for claimed, _ in holds],
        },
    )


def _turn_down(claimed: Claimed, *, held: Held) -> Claimed | None:
    """Return the claim as it waits for credits, or fails for want of them; None if it is lost."""
    needed = claimed.price.hold if claimed.price else 0
    claimed = replace(claimed, price=None)
    lacks_balance = held.spendable < needed
    if lacks_balance and claimed.on_insufficient_credits == OnInsufficientCredits.PARK:
        Batch().fetch(_PARK, [needed, claimed.id, claimed.token])
        return replace(claimed, is_parked=True)
    if not note_need(claimed, credit=needed):
        return None
    reason = _explain(claimed, needed=needed, held=held, lacks_balance=lacks_balance)
    return replace(claimed, refusal=reason, is_unpaid=True)


def describe_hold(claimed: Claimed, found: Price) -> dict[str, Any] | None:
    """Return what is to be set aside for a claim at this price; None if that is nothing."""
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
