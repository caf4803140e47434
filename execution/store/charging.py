"""Credits in the transactions of what they are for: taken with a record, let go with an end."""

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings

from credits import metering
from credits.metering import Subject
from credits.notices import tell_after_commit
from credits.pricing import Usage
from execution.engine.statuses import Status
from execution.models import Execution
from execution.planning import load_plan
from execution.store.batches import Answer, Batch
from execution.store.claims import Claimed
from execution.store.round_trips import Prepared


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


def describe_charge(claimed: Claimed, *, usage: Usage, status: Status) -> dict[str, Any] | None:
    """Return what a node execution that has ended is charged for what it used; None if that is nothing."""
    if claimed.price is None:
        return None
    return metering.describe_capture(
        user_id=claimed.user_id,
        subject=subject_of(claimed),
        price=claimed.price,
        usage=usage,
        has_failed=status is not Status.COMPLETED,
        max_cost=claimed.max_cost,
    )


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


def ask_to_settle(batch: Batch, execution_ids: Collection[UUID], *, have_completed: bool = False) -> list[Answer]:
    """Charge the fee for the node executions of runs that have ended, and let go of what is set aside for them.

    Call it last, for all runs that the transaction ends: it locks accounts, which come after all runs and node
    executions. Nothing is set aside any more for runs that `have_completed`. What is answered is for `tell_news`.
    """
    keys, per = sorted(execution_ids), settings.NODE_EXECUTIONS_PER_CREDIT
    if not keys:
        return []
    if len(keys) > 1:  # may be of several users
        batch.ask(_LOCK_ACCOUNTS, [keys])
    if not have_completed:
        batch.ask(metering.RELEASE_RUNS, [keys])
    return [batch.ask(_BILL, {"runs": keys, "per": per})] if per > 0 else []


def tell_news(answers: Iterable[Answer]) -> None:
    """See to it that users hear, after the commit, what charges have led to."""
    told = [user_id for answer in answers for user_id, has_news, *_ in answer.rows if has_news]
    for user_id in dict.fromkeys(told):
        tell_after_commit(user_id)


def release_holds(*, keys: Collection[UUID]) -> None:
    """Let go of what is set aside for attempts that were lost or handed back."""
    metering.release(keys)
