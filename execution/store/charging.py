"""Credits in the transactions of what they are for: set aside with a claim, taken with a record, let go with an end."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.db import connection

from credits import metering
from credits.metering import Held, Price, Subject
from credits.notices import tell_after_commit
from credits.pricing import Usage
from execution.engine.statuses import Status
from execution.large_values import find_reference, read_all
from execution.models import Execution, OnInsufficientCredits
from execution.planning import NodeSpec, load_plan
from execution.prices import price
from execution.store.batches import Answer, Batch
from execution.store.claims import Claimed, claim, claim_held_back
from execution.store.round_trips import Prepared

LOST_INPUTS = (FileNotFoundError, SuspiciousOperation, ValueError)
"""What no waiting helps against: a file that is gone or holds something else."""

# Nothing is set aside for who has lost the claim meanwhile. That commit need not wait for the disk: see `CLAIM`.
_HOLD = Prepared(
    "hold",
    "user int, key uuid, run uuid, root uuid, amount bigint, max_cost bigint, token uuid",
    f"""
WITH mine AS MATERIALIZED (
    SELECT FROM execution_nodeexecution WHERE id = %(key)s AND token = %(token)s AND (status = 'RUNNING') IS TRUE
       FOR NO KEY UPDATE
)
SELECT held.granted, held.spendable, held.committed, set_config('synchronous_commit', 'off', true)
  FROM mine, LATERAL {metering.HOLD} AS held
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
       SET status = 'QUEUED', attempt = attempt - 1, token = NULL, lease_until = NULL
      FROM held WHERE id = %(key)s AND NOT held.granted
)
SELECT granted FROM held
""",  # noqa: S608 - made of constants
)

# What can't be paid is not run: it waits for credits, or it is run to the end in which it fails.
_PARK = """
UPDATE execution_nodeexecution
   SET status = 'SUSPENDED', attempt = attempt - 1, token = NULL, lease_until = NULL, needs_credits = %s
 WHERE id = %s AND token = %s AND status = 'RUNNING'
"""
_NOTE_NEED = "UPDATE execution_nodeexecution SET needs_credits = %s WHERE id = %s"

_UNCLAIM = """
UPDATE execution_nodeexecution
   SET status = 'QUEUED', attempt = attempt - 1, token = NULL, lease_until = NULL, held_back = %s,
       queued_at = clock_timestamp()
 WHERE id = %s AND token = %s AND status = 'RUNNING'
"""


class InputsAwayError(Exception):
    """The storage doesn't give out the inputs that a price goes by. Nothing was claimed; it can be tried again."""


def claim_and_hold(
    node_execution_id: UUID, *, lease_seconds: float, token: UUID, only_renews: bool = False
) -> Claimed | None:
    """Claim a node execution and set aside what it costs. What is free takes one statement, what is not two.

    `only_renews`: take what this token holds, and begin nothing. Raises `InputsAwayError`.
    """
    claimed = claim(node_execution_id, lease_seconds=lease_seconds, token=token, only_renews=only_renews)
    if claimed is None or not claimed.is_paid:
        return claimed
    try:
        return _hold(claimed)
    except InputsAwayError:
        if not only_renews:
            _unclaim(claimed, held_back=False)
        raise


def claim_held_back_and_hold(tree_id: UUID, *, lease_seconds: float) -> Claimed | None:
    """Claim something that a run's tree holds back, and set aside what it costs. Raises `InputsAwayError`."""
    claimed = claim_held_back(tree_id, lease_seconds=lease_seconds)
    if claimed is None or not claimed.is_paid:
        return claimed
    try:
        return _hold(claimed)
    except InputsAwayError:
        _unclaim(claimed, held_back=True)
        raise


def _unclaim(claimed: Claimed, *, held_back: bool) -> None:
    Batch().fetch(_UNCLAIM, [held_back, claimed.id, claimed.token])


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
    granted, spendable, committed, _ = rows[0]
    held = Held(granted=granted, spendable=spendable, committed=committed)
    return replace(claimed, price=found) if granted else _turn_down(claimed, needed=found.hold, held=held)


def _let_go(claimed: Claimed) -> bool:
    """Let go of what is set aside for a node execution; False if the claim is lost."""
    return bool(Batch().fetch(_LET_GO, [claimed.id, claimed.token, [claimed.id]]))


def _turn_down(claimed: Claimed, *, needed: int, held: Held) -> Claimed | None:
    lacks_balance = held.spendable < needed
    with connection.cursor() as cursor:
        if lacks_balance and claimed.on_insufficient_credits == OnInsufficientCredits.PARK:
            cursor.execute(_PARK, [needed, claimed.id, claimed.token])
            return None
        cursor.execute(_NOTE_NEED, [needed, claimed.id])
    reason = _explain(claimed, needed=needed, held=held, lacks_balance=lacks_balance)
    return replace(claimed, refusal=reason, is_unpaid=True)


@dataclass(frozen=True)
class AtHand:
    """What something costs, told without asking the storage; None if nothing."""

    price: Price | None


def price_at_hand(spec: NodeSpec, *, inputs: Mapping[str, Any], mask: Mapping[str, Any]) -> AtHand | None:
    """Return what a node execution costs with these forms of values; None if one of them lies in the storage.

    To be read from there takes its time: not while a run is locked.
    """
    if any(find_reference(form) for form in (*inputs.values(), *mask.values())):
        return None
    return AtHand(price(spec, delivered=read_all(inputs), mask=read_all(mask)))


def ask_to_hold(batch: Batch, claimed: Claimed) -> Answer | None:
    """Set aside what something costs that was claimed in this transaction; if it can't be paid it is QUEUED.

    Ask last, as for a charge. The answer's row says whether it was granted; None if nothing is to be set aside.
    """
    asked = _describe_hold(claimed, claimed.price) if claimed.price else None
    return batch.ask(_HOLD_OR_QUEUE, asked) if asked else None


def _describe_hold(claimed: Claimed, found: Price) -> dict[str, Any] | None:
    return metering.describe_hold(
        user_id=claimed.user_id, subject=subject_of(claimed), price=found, max_cost=claimed.max_cost
    )


def note_need(node_execution_id: UUID, *, credit: int) -> None:
    """Note that a node execution fails for want of so many credits: it goes on if its run is resumed."""
    Batch().fetch(_NOTE_NEED, [credit, node_execution_id])


def _explain(claimed: Claimed, *, needed: int, held: Held, lacks_balance: bool) -> str:
    if lacks_balance:
        return f"Not enough credits: this needs {needed}, and {held.spendable} can be spent."
    return (
        f"The run may cost {claimed.max_cost} credits (max_cost): it has cost or holds {held.committed},"
        f" and this needs {needed} more."
    )


def subject_of(claimed: Claimed) -> Subject:
    """Return what a charge is for."""
    graph = load_plan(claimed.graph_version_id)
    return Subject(
        execution_id=claimed.execution_id,
        root_execution_id=claimed.root_id or claimed.execution_id,
        graph_id=graph.graph_id,
        graph_version=graph.version,
        node_id=claimed.node_id,
        node_execution_id=claimed.id,
        block_id=graph.plan.nodes[claimed.node_id].block_id,
        root_graph_id=_find_graph(claimed.root_id) if claimed.root_id else None,
    )


@lru_cache(maxsize=10_000)
def _find_graph(execution_id: UUID) -> UUID:
    """Return the graph of a run, which stays the same."""
    found: UUID = Execution.objects.values_list("graph_version__graph_id", flat=True).get(pk=execution_id)
    return found


# A node execution that was charged before (it failed, and its run was resumed) is not charged again.
_CAPTURE = Prepared(
    "capture",
    "user int, key uuid, amount bigint, facts jsonb, max_cost bigint, run uuid",
    f"""
WITH captured AS MATERIALIZED (SELECT * FROM {metering.CAPTURE})
UPDATE execution_execution e SET cost = e.cost + captured.charged + captured.owed
  FROM captured WHERE e.id = %(run)s AND captured.is_new RETURNING e.user_id, captured.has_news
""",  # noqa: S608 - made of constants
)


def ask_to_charge(batch: Batch, claimed: Claimed, *, usage: Usage, status: Status) -> Answer | None:
    """Charge a node execution that has ended for what it used, and let go of the rest. The run is locked."""
    if claimed.price is None:
        return None
    captured = metering.describe_capture(
        user_id=claimed.user_id,
        subject=subject_of(claimed),
        price=claimed.price,
        usage=usage,
        has_failed=status is not Status.COMPLETED,
        max_cost=claimed.max_cost,
    )
    if captured is None:
        batch.ask(metering.RELEASE, [[claimed.id]])
        return None
    return batch.ask(_CAPTURE, {**captured, "run": claimed.execution_id})


def ask_to_release(batch: Batch, claimed: Claimed) -> None:
    """Let go of what is set aside for an attempt that has failed and will be repeated."""
    if claimed.price is not None:
        batch.ask(metering.RELEASE, [[claimed.id]])


# The fee for node executions. Those that were counted before, and those that a replay did not run, don't count.
_BILL = Prepared(
    "bill",
    "runs uuid[], per int",
    f"""
WITH due AS MATERIALIZED (
    SELECT e.id, e.user_id, e.node_count - e.billed_executions AS count, e.max_cost,
           json_build_object('execution_id', e.id, 'root_execution_id', COALESCE(e.root_id, e.id),
                             'graph_id', v.graph_id, 'graph_version', v.version,
                             'root_graph_id', top_version.graph_id)::jsonb AS facts
      FROM execution_execution e JOIN graphs_graphversion v ON v.id = e.graph_version_id
      LEFT JOIN execution_execution top ON top.id = e.root_id
      LEFT JOIN graphs_graphversion top_version ON top_version.id = top.graph_version_id
     WHERE e.id = ANY(%(runs)s) AND NOT e.simulate AND e.node_count > e.billed_executions ORDER BY e.id
), billed AS MATERIALIZED (
    SELECT due.id, fee.* FROM due, LATERAL {metering.CHARGE_FEE} AS fee
)
UPDATE execution_execution e SET billed_executions = e.node_count, cost = e.cost + billed.charged + billed.owed
  FROM billed WHERE e.id = billed.id RETURNING e.user_id, billed.has_news
""",  # noqa: S608 - made of constants
)

_LOCK_ACCOUNTS = """
SELECT FROM credits_account WHERE user_id IN (SELECT user_id FROM execution_execution WHERE id = ANY(%s))
 ORDER BY id FOR NO KEY UPDATE
"""


def ask_to_settle(batch: Batch, execution_ids: Collection[UUID], *, have_completed: bool = False) -> Answer | None:
    """Charge the fee for the node executions of runs that have ended, and let go of what is set aside for them.

    Call it last, for all runs that the transaction ends: it locks accounts, which come after all runs and node
    executions. Nothing is set aside any more for runs that `have_completed`.
    """
    keys, per = sorted(execution_ids), settings.NODE_EXECUTIONS_PER_CREDIT
    if not keys:
        return None
    if len(keys) > 1:  # may be of several users
        batch.ask(_LOCK_ACCOUNTS, [keys])
    if not have_completed:
        batch.ask(metering.RELEASE_RUNS, [keys])
    return batch.ask(_BILL, {"runs": keys, "per": per}) if per > 0 else None


def tell_news(answer: Answer | None) -> None:
    """See to it that users hear, after the commit, what a charge has led to."""
    for user_id, has_news in answer.rows if answer else []:
        if has_news:
            tell_after_commit(user_id)


def release_holds(*, keys: Collection[UUID]) -> None:
    """Let go of what is set aside for attempts that were lost or handed back."""
    metering.release(keys)
