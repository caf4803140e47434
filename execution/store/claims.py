"""The one way into RUNNING, and the lease that keeps a node execution there."""

import os
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from credits.metering import Price
from execution.engine.statuses import Status
from execution.models import OnInsufficientCredits
from execution.paces import paces
from execution.planning import NodeSpec, load_plan
from execution.queues import QUEUES
from execution.store.batches import Batch
from execution.store.round_trips import Prepared, Row
from execution.store.window import room_in_window


@dataclass(frozen=True, kw_only=True)
class Hold:
    """The right to record what becomes of a node execution: `token` proves it.

    `output_count` is how many outputs had been recorded when the right was given. `run_holds_back`: there was more in
    its tree of runs that has no message yet, or is shared.
    """

    id: UUID
    execution_id: UUID
    graph_version_id: UUID
    node_id: UUID
    ordinal: int
    token: UUID
    output_count: int
    user_id: int
    run_holds_back: bool = False

    @property
    def spec(self) -> NodeSpec:
        """What its node is."""
        return load_plan(self.graph_version_id).specs[self.node_id]


@dataclass(frozen=True, kw_only=True)
class Claimed(Hold):
    """A node execution that this process may run now, with all that it needs for it.

    `attempt` counts from 1; `losses` of the attempts before lost their worker. `suspicions`: see `NodeExecution`.
    `waits` is how many suspensions it has gone through, `inputs` what links delivered; these, the `masks` of its run
    by node id and `mocks` are as rows keep them (`execution.large_values`). `may_send_next`: half of the room for the
    run's messages is free, and there is something for it.
    `is_paid`: it may cost something. `price` is what it costs, None if nothing; `spent` what it has used before its
    waits (see `NodeExecution`). With a `refusal` it is not to run: it `is_unpaid`, or its inputs are lost. One that
    `is_parked` waits for credits, and is nobody's any more.
    """

    attempt: int
    losses: int
    suspicions: int
    waits: int
    inputs: dict[str, Any]
    masks: dict[str, dict[str, Any]]
    simulate: bool
    mocks: dict[str, Any]
    depth: int
    root_id: UUID | None
    may_send_next: bool
    max_cost: int | None = None
    on_insufficient_credits: str = OnInsufficientCredits.FAIL
    price: Price | None = None
    spent: dict[str, Any] | None = None
    is_paid: bool = False
    refusal: str = ""
    is_unpaid: bool = False
    is_parked: bool = False

    @property
    def mask(self) -> dict[str, Any]:
        """What its node's pins are given instead of what links deliver."""
        return self.masks.get(str(self.node_id), {})

    @property
    def is_fresh(self) -> bool:
        """Whether nobody has tried it before."""
        return self.attempt == 1 and not (self.losses or self.suspicions or self.waits)

    @property
    def tree_id(self) -> UUID:
        """The run at the top of its tree."""
        return self.root_id or self.execution_id


# Values are never looked into here: PostgreSQL can't take `json` with \u0000 apart.
#
# `IS TRUE` keeps it from the small indexes of what is unfinished, which it would rather read from end to end, when it
# believes them to be empty, than look for an id: the statistics come from moments when nothing went on.
#
# Whose message comes late, twice, or after the run has ended gets no row, and does nothing. Who doesn't know whether
# an earlier try was committed asks again with the same token.
#
# Nor does a message begin a run that waits for its turn: it may be from before the run was stopped and resumed. What is
# held back in a run whose turn has come may be taken by such a message: it only comes before others of its tree, and
# who drops it would leave a worker idle.
#
# A run's row is locked before its node executions' everywhere but in `begun`, so whoever holds it is not waited for.
#
# The commit doesn't wait for the disk. If PostgreSQL crashes within the next moment the claim is forgotten, and what
# was done with it can't be recorded: it is queued again, as after any other loss. A record's commit does wait, and
# takes its claim with it.
_CLAIM_TEXT = """
WITH {picked}claimed AS (
    UPDATE execution_nodeexecution n
       SET status = 'RUNNING', attempt = n.attempt + (n.status = 'QUEUED')::int, token = {token}, wake_at = NULL,
           lease_until = clock_timestamp() + make_interval(secs => %(lease)s), held_back = false, is_backlog = false,
           is_shared = false, needs_credits = NULL,
           started_at = COALESCE(n.started_at, clock_timestamp()),
           claimed_at = CASE WHEN n.status = 'QUEUED' THEN clock_timestamp() ELSE n.claimed_at END,
           worker = CASE WHEN n.status = 'QUEUED' THEN %(worker)s ELSE n.worker END
      FROM execution_execution e
     WHERE n.id = {key} AND ({state}) IS TRUE
       AND e.id = n.execution_id AND e.status IN ('QUEUED', 'RUNNING')
       AND CASE WHEN e.root_id IS NULL THEN e.admitted
                ELSE (SELECT top.admitted FROM execution_execution top WHERE top.id = e.root_id) END
 RETURNING n.id, n.execution_id, n.node_id, n.ordinal, n.attempt, n.losses, n.output_count, n.waits, n.inputs,
           e.graph_version_id, e.user_id, e.nodes_input_masks, e.simulate, e.mocks, e.depth, e.root_id, e.status,
           n.queue, n.tree_id, n.suspicions, e.max_cost, e.on_insufficient_credits, n.spent, n.is_paid, n.token,
           {held_back} AS holds_back, {shared} AS shares
), begun AS (
    UPDATE execution_execution e SET status = 'RUNNING', started_at = clock_timestamp()
      FROM (SELECT r.id FROM claimed JOIN execution_execution r ON r.id = claimed.execution_id
             WHERE claimed.status = 'QUEUED' AND r.status = 'QUEUED' FOR NO KEY UPDATE OF r SKIP LOCKED) AS first
     WHERE e.id = first.id
)
SELECT claimed.*, CASE WHEN holds_back THEN {sent} END,
       (SELECT json_object_agg(pin, value) FROM execution_nodeinput i WHERE i.node_execution_id = claimed.id) AS later,
       set_config('synchronous_commit', 'off', true)
  FROM claimed ORDER BY claimed.id
"""

# What a claim leaves when it is taken back. `claimed_at` stays: where there was an attempt before, the list of past
# ones is written from it.
AS_BEFORE = """status = 'QUEUED', attempt = attempt - 1, token = NULL, lease_until = NULL,
           started_at = CASE WHEN attempt > 1 OR waits > 0 THEN started_at END"""

_PARAMETERS = "id uuid, lease float8, worker text, window int"

_HELD = "n.status = 'RUNNING' AND n.token = %(token)s"
_QUEUED_OR_HELD = f"n.status = 'QUEUED' OR {_HELD}"

_COUNT_SENT = """(SELECT count(*) FROM (
           SELECT FROM execution_nodeexecution s
            WHERE s.tree_id = {tree} AND (s.queue = {queue}) IS TRUE
              AND s.status = 'QUEUED' AND NOT s.held_back LIMIT %(window)s) AS sent)"""
_SENT = _COUNT_SENT.format(tree="claimed.tree_id", queue="claimed.queue")

_HOLDS_BACK = """EXISTS(SELECT FROM execution_nodeexecution h
                   WHERE h.tree_id = {tree} AND h.status = 'QUEUED' AND h.held_back AND h.id <> {others})"""

_SHARES = """EXISTS(SELECT FROM execution_nodeexecution h
                   WHERE h.tree_id = {tree} AND h.status = 'QUEUED' AND NOT h.held_back AND h.is_shared
                     AND h.id <> {others})"""

_ONE = {
    "picked": "",
    "key": "%(id)s",
    "token": "%(token)s",
    "held_back": _HOLDS_BACK.format(tree="n.tree_id", others="n.id"),
    "shared": _SHARES.format(tree="n.tree_id", others="n.id"),
}

# What is claimed and was sent is still among those that were.
CLAIM = Prepared(
    "claim", f"{_PARAMETERS}, token uuid", _CLAIM_TEXT.format(**_ONE, state=_QUEUED_OR_HELD, sent=f"{_SENT} - 1")
)

# Whoever holds it gets all that the attempt was given; nobody begins another.
CLAIM_AGAIN = Prepared("claim_again", f"{_PARAMETERS}, token uuid", _CLAIM_TEXT.format(**_ONE, state=_HELD, sent=_SENT))

# `id` is that of a tree of runs. What is claimed at once is recorded at once, so it is all of one run: of `only`, if
# that is given. If there is less of it, what is shared in `run` is taken along.
_FIRST_HELD_BACK = f"""oldest AS MATERIALIZED (
    SELECT id, execution_id FROM execution_nodeexecution
     WHERE tree_id = %(id)s AND queue = 'cpu' AND status = 'QUEUED' AND held_back
       AND EXISTS(SELECT FROM execution_execution top WHERE top.id = %(id)s AND top.admitted)
     ORDER BY id LIMIT cardinality(%(tokens)s) FOR UPDATE SKIP LOCKED
), held AS MATERIALIZED (SELECT COALESCE(
    %(only)s, (SELECT execution_id FROM oldest ORDER BY id LIMIT 1), %(run)s) AS run
), first AS MATERIALIZED (SELECT ARRAY(SELECT id FROM oldest WHERE execution_id = held.run) || ARRAY(
    SELECT n.id FROM execution_nodeexecution n
     WHERE n.tree_id = %(id)s AND n.status = 'QUEUED' AND NOT n.held_back AND n.is_shared
       AND n.execution_id = %(run)s AND held.run = %(run)s AND %(shares)s
     LIMIT cardinality(%(tokens)s) - (SELECT count(*) FROM oldest) FOR UPDATE SKIP LOCKED) AS ids FROM held
), picked AS MATERIALIZED (
    SELECT ids, {_COUNT_SENT.format(tree="%(id)s", queue="'cpu'")} AS sent,
           {_HOLDS_BACK.format(tree="%(id)s", others="ALL(ids)")} AS held_back,
           {_SHARES.format(tree="%(id)s", others="ALL(ids)")} AS shared FROM first
), """  # noqa: S608 - made of constants
CLAIM_HELD_BACK = Prepared(
    "claim_held_back",
    f"{_PARAMETERS}, run uuid, only uuid, tokens uuid[], shares bool",
    _CLAIM_TEXT.format(
        picked=_FIRST_HELD_BACK,
        key="ANY((SELECT ids FROM picked)::uuid[])",
        held_back="(SELECT held_back FROM picked)",
        shared="(SELECT shared FROM picked)",
        token="(%(tokens)s)[array_position((SELECT ids FROM picked), n.id)]",  # noqa: S106 - each has one of its own
        state="n.status = 'QUEUED'",
        sent="(SELECT sent FROM picked)",
    ),
)


def worker_name() -> str:
    """Return how rows call this process: its machine and its process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def new_tokens(count: int) -> list[UUID]:
    """Return tokens for so many claims."""
    return [uuid4() for _ in range(count)]


def claim(
    node_execution_id: UUID,
    *,
    lease_seconds: float,
    token: UUID | None = None,
    only_renews: bool = False,
) -> Claimed | None:
    """Take a QUEUED node execution for `lease_seconds`; None if there is nothing to take (any more).

    After an error that leaves open whether it was taken, call it again with the same `token`.
    `only_renews`: take what this token holds, and begin nothing. For one that `is_paid` credits have to be set aside
    before it runs (see `execution.store.holding`).
    """
    statement = CLAIM_AGAIN if only_renews else CLAIM
    asked = _describe_claim(node_execution_id, lease_seconds=lease_seconds) | {"token": token or uuid4()}
    return next((_read_claim(row) for row in Batch().fetch(statement, asked)), None)


def claim_held_back(
    tree_id: UUID,
    *,
    run_id: UUID,
    tokens: Sequence[UUID],
    lease_seconds: float,
    shares: bool = False,
    strictly: bool = False,
) -> list[Claimed]:
    """Take the oldest node executions of a tree that are held back and for the `cpu` queue's workers, all of one run.

    As many as there are `tokens`, at most. `strictly`: of the run `run_id`. If there are not so many, and one `shares`,
    those that are shared in that run are taken along. Don't repeat it after an error: others would be taken; what was
    taken is found by its tokens, or by its lease.
    """
    asked = _describe_claim(tree_id, lease_seconds=lease_seconds)
    asked |= {"run": run_id, "only": run_id if strictly else None, "tokens": list(tokens), "shares": shares}
    return [_read_claim(row) for row in Batch().fetch(CLAIM_HELD_BACK, asked)]


def _describe_claim(key: UUID, *, lease_seconds: float) -> dict[str, Any]:
    return {
        "id": key,
        "lease": lease_seconds,
        "worker": worker_name(),
        "window": max(room_in_window(queue) for queue in QUEUES),
    }


def _read_claim(row: Row) -> Claimed:
    (found, execution_id, node_id, ordinal, attempt, losses, output_count, waits, inputs, version_id, *rest) = row
    user_id, masks, simulate, mocks, depth, root_id, _, _, _, suspicions, *rest = rest
    max_cost, on_insufficient, spent, is_paid, token, holds_back, shares, sent, later, _ = rest
    claimed = Claimed(
        id=found,
        execution_id=execution_id,
        graph_version_id=version_id,
        node_id=node_id,
        ordinal=ordinal,
        attempt=attempt,
        losses=losses,
        suspicions=suspicions,
        token=token,
        output_count=output_count,
        waits=waits,
        inputs={**inputs, **(later or {})},
        user_id=user_id,
        masks=masks,
        simulate=simulate,
        mocks=mocks or {},
        depth=depth,
        root_id=root_id,
        run_holds_back=holds_back or shares,
        may_send_next=False,
        max_cost=max_cost,
        on_insufficient_credits=on_insufficient,
        spent=spent,
        is_paid=is_paid,
    )
    return replace(claimed, may_send_next=True) if holds_back and _is_half_free(claimed.spec, sent) else claimed


def _is_half_free(spec: NodeSpec, sent: int) -> bool:
    return 2 * sent <= room_in_window(spec.queue, for_few=paces.is_quick(spec))


# Locked in the order of their ids, as everywhere: whoever ends a run locks many of them, too.
_RENEW = """
WITH held AS MATERIALIZED (
    SELECT id FROM execution_nodeexecution
     WHERE status = 'RUNNING' AND token = ANY(%(tokens)s) ORDER BY id FOR NO KEY UPDATE
)
UPDATE execution_nodeexecution n SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
  FROM held WHERE n.id = held.id AND n.status = 'RUNNING' AND n.token = ANY(%(tokens)s) RETURNING n.token
"""


def renew_leases(tokens: Collection[UUID], *, lease_seconds: float) -> set[UUID]:
    """Extend the leases of these claims; return the tokens that still hold theirs."""
    with connection.cursor() as cursor:
        cursor.execute(_RENEW, {"lease": lease_seconds, "tokens": list(tokens)})
        return {token for (token,) in cursor.fetchall()}


def find_held(claims: Mapping[UUID, UUID]) -> set[UUID]:
    """Return the tokens that still hold their claims. `claims` maps node executions to tokens."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT token FROM execution_nodeexecution WHERE id = ANY(%s) AND token = ANY(%s) AND status = %s",
            [list(claims), list(claims.values()), Status.RUNNING],
        )
        return {token for (token,) in cursor.fetchall()}
