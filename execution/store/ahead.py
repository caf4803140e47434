"""Writing what was run ahead with the record that it comes of: it has ended before anybody has seen it begin."""

from collections.abc import Sequence
from typing import Any

from execution.engine.dataflow import Deliveries, Firing
from execution.store.claims import worker_name
from execution.store.filling import add_inputs
from execution.store.parts import NOTHING_SPENT, Foreseen, ForesightError
from execution.store.reach import WaitingByOrdinal
from execution.store.round_trips import Prepared
from execution.store.runs import LockedRun

_OPEN_DONE = Prepared(
    "open_done",
    "run uuid, tree uuid, worker text, ids uuid[], tokens uuid[], nodes uuid[], inputs text[], paid bool[],"
    " counts int[], walltimes float8[], cputimes float8[], logs text[]",
    """
INSERT INTO execution_nodeexecution
       (id, execution_id, tree_id, node_id, ordinal, queue, status, inputs, opened_at, queued_at, started_at,
        claimed_at, ended_at, attempt, token, worker, is_paid, output_count, walltime, cputime, log)
SELECT f.id, %(run)s, %(tree)s, f.node_id, 0, 'cpu', 'COMPLETED', f.inputs::json, clock_timestamp(), clock_timestamp(),
       clock_timestamp(), clock_timestamp(), clock_timestamp(), 1, f.token, %(worker)s, f.is_paid, f.output_count,
       f.walltime, f.cputime, f.log
  FROM unnest(%(ids)s, %(tokens)s, %(nodes)s, %(inputs)s, %(paid)s, %(counts)s, %(walltimes)s, %(cputimes)s, %(logs)s)
       AS f(id, token, node_id, inputs, is_paid, output_count, walltime, cputime, log)
""",
)

# What others have delivered to stays with it. It waits still: that was read under the run's lock.
_COMPLETE_WAITING = Prepared(
    "complete_waiting",
    "worker text, ids uuid[], tokens uuid[], counts int[], walltimes float8[], cputimes float8[], logs text[]",
    """
UPDATE execution_nodeexecution n
   SET status = 'COMPLETED', queued_at = clock_timestamp(), started_at = clock_timestamp(),
       claimed_at = clock_timestamp(), ended_at = clock_timestamp(), attempt = 1, token = f.token, worker = %(worker)s,
       output_count = f.output_count, walltime = f.walltime, cputime = f.cputime, log = f.log
  FROM unnest(%(ids)s, %(tokens)s, %(counts)s, %(walltimes)s, %(cputimes)s, %(logs)s)
       AS f(id, token, output_count, walltime, cputime, log)
 WHERE n.id = f.id AND (n.status = 'INCOMPLETE') IS TRUE
""",
)


def write_foreseen(run: LockedRun, deliveries: Deliveries, waiting: WaitingByOrdinal) -> list[Firing]:
    """Write what was run ahead, and return it. Raises `ForesightError` if something else comes."""
    if not run.foreseen:
        return []
    coming = {(firing.node_id, firing.ordinal): firing for firing in deliveries.ready}
    others = [each for each in run.foreseen if coming.get((each.firing.node_id, each.firing.ordinal)) != each.firing]
    if others:
        raise ForesightError(others)
    if run.opened - run.opened_before > run.max_node_executions:
        # The run ends where it has opened too many: what comes after that doesn't run.
        raise ForesightError(run.foreseen)
    _open(run, [each for each in run.foreseen if each.firing.is_new])
    _complete(run, [each for each in run.foreseen if not each.firing.is_new], waiting)
    run.has_opened_foreseen = True
    return [each.firing for each in run.foreseen]


def _open(run: LockedRun, foreseen: Sequence[Foreseen]) -> None:
    if foreseen:
        run.batch.ask(
            _OPEN_DONE,
            {
                **_describe_ends(foreseen),
                "run": run.id,
                "tree": run.tree_id,
                "nodes": [each.claimed.node_id for each in foreseen],
                "inputs": [each.text for each in foreseen],
                "paid": [each.claimed.is_paid for each in foreseen],
            },
        )


def _complete(run: LockedRun, foreseen: Sequence[Foreseen], waiting: WaitingByOrdinal) -> None:
    """Write those that were opened before, and what is added to their inputs."""
    add_inputs(run, [each.firing for each in foreseen], waiting)
    if foreseen:
        run.batch.ask(_COMPLETE_WAITING, _describe_ends(foreseen))


def _describe_ends(foreseen: Sequence[Foreseen]) -> dict[str, Any]:
    ends = [(each.part, each.part.end or NOTHING_SPENT) for each in foreseen]
    return {
        "worker": worker_name(),
        "ids": [each.claimed.id for each in foreseen],
        "tokens": [each.claimed.token for each in foreseen],
        "counts": [len(part.outputs) for part, _ in ends],
        "walltimes": [end.walltime for _, end in ends],
        "cputimes": [end.cputime for _, end in ends],
        "logs": [end.log for _, end in ends],
    }
