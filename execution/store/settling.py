"""What a record writes last: the run's counters, the charges, and the holds for what it has opened."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final
from uuid import UUID

from credits import metering
from execution.store.batches import Answer
from execution.store.charging import ask_to_release
from execution.store.claims import AS_BEFORE, Claimed
from execution.store.holding import describe_hold
from execution.store.round_trips import Prepared
from execution.store.runs import SAVING, LockedRun, describe_counters, save_counters

Charges = Mapping[UUID, dict[str, Any] | None]
"""What node executions are charged, by their ids; None where that is nothing."""

_NOTHING: Final[dict[str, Any]] = {"key": None, "amount": None, "facts": None}

# A node execution that was charged before (it failed, and its run was resumed) is not charged again.
#
# What was opened as claimed in this transaction waits for an ordinary claim if it can't be paid: that says why.
_SETTLE = Prepared(
    "settle",
    f"{SAVING.parameters}, user int, root uuid, max_cost bigint, keys uuid[], amounts bigint[], facts jsonb[],"
    " nexts uuid[], next_amounts bigint[]",
    f"""
WITH done AS MATERIALIZED (
    SELECT * FROM {metering.CAPTURE_AND_HOLD} AS step
), queued AS (
    UPDATE execution_nodeexecution SET {AS_BEFORE} FROM done WHERE id = done.next AND NOT done.granted
), saved AS (
    UPDATE execution_execution
       SET {SAVING.columns}, cost = cost + (SELECT COALESCE(sum(charged + owed) FILTER (WHERE is_new), 0) FROM done)
     WHERE id = %(run)s
)
SELECT %(user)s, has_news, next, granted FROM done
""",  # noqa: S608 - made of constants
)


def ask_to_charge_and_save(
    run: LockedRun, ended: Sequence[Claimed], *, charges: Charges, opened: Sequence[Claimed]
) -> Answer | None:
    """Charge what has ended, set aside what was `opened` as claimed costs, and write the run's counters.

    Each hold comes after the charges of all that ended before it, also of what was run ahead, which comes last in
    `ended` and first in `opened`: it may be denied for what those have cost.
    Ask last: an account is locked after all runs and node executions. What can't be paid is QUEUED.
    The answer is for `tell_news`; its rows end with the node execution for which credits were set aside, and whether
    that was granted. None if there was nothing to charge nor to set aside.
    """
    for claimed in ended:
        if charges[claimed.id] is None:
            ask_to_release(run.batch, claimed)
    asked = [charges[claimed.id] for claimed in ended]
    holds = [describe_hold(claimed, claimed.price) if claimed.price else None for claimed in opened]
    if run.foreseen:
        # What is set aside for one comes with the charge of the one before it.
        holds = [*[None] * (len(ended) - len(run.foreseen) - 1), *holds]
    else:
        # Whichever is charged may pass on what was set aside for it.
        asked, holds = list(filter(None, asked)), list(filter(None, holds))
    pairs = [(charge or _NOTHING, hold or _NOTHING) for charge, hold in zip_longest(asked, holds) if charge or hold]
    if not pairs:
        if not run.is_saved:
            save_counters(run)
        return None
    return run.batch.ask(
        _SETTLE,
        {
            **describe_counters(run),
            "user": run.user_id,
            "root": run.tree_id,
            "max_cost": (ended or opened)[0].max_cost,
            "keys": [charge["key"] for charge, _ in pairs],
            "amounts": [charge["amount"] for charge, _ in pairs],
            "facts": [charge["facts"] for charge, _ in pairs],
            "nexts": [hold["key"] for _, hold in pairs],
            "next_amounts": [hold["amount"] for _, hold in pairs],
        },
    )
