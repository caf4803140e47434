"""Deleting runs that ended long ago: their rows, by which everything else of them is found.

A run goes as a tree: with its sub-runs, or not at all. Its replays stay, and no longer say what they replayed. Only
runs whose whole tree has ended are touched, and whoever holds one of them (to resume it, or to prune as well) is passed
over.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, Final
from uuid import UUID

from django.db import connection

from execution.engine.statuses import ENDED, Status

NO_ID: Final = UUID(int=0)

# Ids sort by time, so the oldest runs come first without an index of their own, and the walk can end early. An id is
# made by the clock of the process that starts the run: this is how wrong that may be.
SLACK: Final = timedelta(days=1)

_PRUNABLE = """
 e.id > %(after)s AND e.id < %(newest)s AND e.root_id IS NULL AND e.parent_id IS NULL
 AND e.status = ANY(%(statuses)s) AND e.ended_at < %(before)s
 AND NOT EXISTS (SELECT FROM execution_execution d
                  WHERE d.root_id = e.id AND (d.status <> ALL(%(ended)s) OR d.ended_at >= %(before)s))
"""

_LOCK_ROOTS = f"""
SELECT e.id, e.user_id, e.opened FROM execution_execution e
 WHERE {_PRUNABLE} ORDER BY e.id LIMIT %(limit)s FOR UPDATE OF e SKIP LOCKED
"""  # noqa: S608 - made of constants

_LOCK_BELOW = """
SELECT d.id, d.user_id, d.opened, d.root_id, d.status = ANY(%(ended)s) AND d.ended_at < %(before)s
  FROM execution_execution d WHERE d.root_id = ANY(%(roots)s) ORDER BY d.id FOR UPDATE OF d
"""

_COUNT = f"""
SELECT count(*), COALESCE(sum(below.runs), 0), COALESCE(sum(roots.opened + below.opened), 0)
  FROM (SELECT e.id, e.opened FROM execution_execution e WHERE {_PRUNABLE} ORDER BY e.id LIMIT %(limit)s) AS roots,
       LATERAL (SELECT count(*) AS runs, COALESCE(sum(d.opened), 0) AS opened
                  FROM execution_execution d WHERE d.root_id = roots.id) AS below
"""  # noqa: S608 - made of constants

# What goes with a run's own row. The rest of it is cleared away after that (`store.clearing`).
WITH_RUNS: Final = ("execution_sharelink", "execution_staticvalue", "execution_simulatedvalue")

_DELETES = (
    "UPDATE execution_execution SET origin_id = NULL, origin_node_execution_id = NULL WHERE origin_id = ANY(%(runs)s)",
    "INSERT INTO execution_deletedrun (execution_id, user_id, deleted_at)"
    " SELECT id, user_id, clock_timestamp() FROM execution_execution WHERE id = ANY(%(runs)s)",
    *(f"DELETE FROM {table} WHERE execution_id = ANY(%(runs)s)" for table in WITH_RUNS),  # noqa: S608
    "DELETE FROM execution_execution WHERE id = ANY(%(runs)s)",
)


@dataclass(frozen=True, kw_only=True)
class OldRuns:
    """Which runs may go: ended `before` with one of `statuses`."""

    before: datetime
    statuses: Collection[Status] = ENDED


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A run and the runs below it, as `(id, user)`, and how many `node_executions` they have."""

    root_id: UUID
    runs: tuple[tuple[UUID, int], ...]
    node_executions: int


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Locked runs that may go. `last` is the last run that was looked at; None if there are no more."""

    trees: tuple[Tree, ...] = ()
    last: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class PrunableCounts:
    """How much would go."""

    runs: int
    sub_runs: int
    node_executions: int


def find_moment(age: timedelta) -> datetime:
    """Return the moment that was `age` ago by the database's clock, which wrote all times of runs."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp() - make_interval(secs => %s)", [age.total_seconds()])
        (moment,) = cursor.fetchone()
    return moment  # type: ignore[no-any-return]


def count_prunable(old: OldRuns, *, limit: int | None) -> PrunableCounts:
    """Count what may go, of at most `limit` runs (and their sub-runs)."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {**_parameters(old, after=NO_ID), "limit": limit})
        runs, sub_runs, node_executions = cursor.fetchone()
    return PrunableCounts(runs=runs, sub_runs=int(sub_runs), node_executions=int(node_executions))


def lock_prunable(old: OldRuns, *, after: UUID, limit: int, most_runs: int) -> Batch:
    """Lock the next runs that may go, the oldest first, with those below them; call it in a transaction.

    They come after the run `after`; they are at most `limit`, and at most `most_runs` with those below them unless it
    is a single one.
    """
    parameters = _parameters(old, after=after)
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_ROOTS, {**parameters, "limit": limit})
        roots = cursor.fetchall()
        if not roots:
            return Batch()
        cursor.execute(_LOCK_BELOW, {**parameters, "roots": [key for key, _, _ in roots]})
        below = cursor.fetchall()
    trees = _within(_grow(roots, below), most_runs=most_runs)
    return Batch(
        # What was resumed before its lock was ours stays, and so does what is above it.
        trees=tuple(tree for tree in trees if tree.root_id not in {row[3] for row in below if not row[4]}),
        last=trees[-1].root_id,
    )


def delete_trees(trees: Iterable[Tree]) -> None:
    """Delete locked runs. Call it in the transaction that locked them, and clear them away after its commit.

    What that takes grows with the number of runs, not with what they have done.
    """
    runs = [key for tree in trees for key, _ in tree.runs]
    if not runs:
        return
    with connection.cursor() as cursor:
        # A batch is small: what it takes must not grow with what stays.
        cursor.execute("SET LOCAL enable_seqscan = off")
        for statement in _DELETES:
            cursor.execute(statement, {"runs": runs})


def _parameters(old: OldRuns, *, after: UUID) -> dict[str, Any]:
    return {
        "after": after,
        "newest": first_id_of(old.before + SLACK),
        "before": old.before,
        "statuses": sorted(set(old.statuses) & ENDED),
        "ended": sorted(ENDED),
    }


def first_id_of(moment: datetime) -> UUID:
    """Return an id before all that are made from `moment` on: they begin with 48 bits of milliseconds."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def _grow(roots: Sequence[tuple[UUID, int, int]], below: Sequence[tuple[UUID, int, int, UUID, bool]]) -> list[Tree]:
    rows: dict[UUID, list[tuple[UUID, int, int]]] = {root[0]: [root] for root in roots}
    for key, user_id, opened, root_id, _ in below:
        rows[root_id].append((key, user_id, opened))
    return [
        Tree(
            root_id=root_id,
            runs=tuple((key, user_id) for key, user_id, _ in of_root),
            node_executions=sum(opened for _, _, opened in of_root),
        )
        for root_id, of_root in rows.items()
    ]


def _within(trees: Sequence[Tree], *, most_runs: int) -> list[Tree]:
    """Return the first trees, as many as have no more than `most_runs` together, but one at least."""
    totals = accumulate(len(tree.runs) for tree in trees)
    fitting = sum(1 for total in totals if total <= most_runs)
    return list(trees[: max(1, fitting)])
