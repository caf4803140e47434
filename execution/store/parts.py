"""What an attempt brings into a record: outputs, its end, and the fence that it has to pass."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from execution.engine.dataflow import Firing
from execution.engine.statuses import Status
from execution.large_values import ValueWriter
from execution.store.batches import Answer, Batch
from execution.store.claims import Claimed, Hold
from execution.store.round_trips import Prepared
from graphs.blocks.contract import Usage

Output = tuple[str, Any]


@dataclass(frozen=True, kw_only=True)
class End:
    """How an attempt ended, or went into a wait. `error` is the text of a FAILED one; times are in seconds.

    `usage` is what it used, if that was paid for. `is_unpaid`: it did not run, because that could not be paid, which
    fails its run.
    """

    status: Status
    error: str = ""
    walltime: float = 0.0
    cputime: float = 0.0
    log: str = ""
    usage: Usage = field(default_factory=Usage)
    is_unpaid: bool = False


NOTHING_SPENT = End(status=Status.SUSPENDED)


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one attempt has to record: `outputs`, the first of which has `position`, and its end if it has ended.

    `writer` has written the values that lie in the storage already.
    """

    claimed: Hold
    outputs: Sequence[Output]
    position: int
    writer: ValueWriter
    end: End | None = None

    @property
    def has_failed(self) -> bool:
        """Whether it is a failure that is recorded."""
        return self.end is not None and self.end.status is Status.FAILED


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """What was run ahead: an execution that its predecessor's record is to open, as `firing`, with `part` as its end.

    `text` is what its row has as inputs.
    """

    firing: Firing
    text: str
    part: Part

    @property
    def claimed(self) -> Claimed:
        """The claim that it was run with, which no row has yet."""
        return cast(Claimed, self.part.claimed)


class ForesightError(Exception):
    """It doesn't come as foreseen, or can't be paid: record without what was run ahead."""


# The fence that keeps late attempts out: it moves the node execution on only if the claim still holds.
MARK = Prepared(
    "mark",
    "id uuid, token uuid, position int, status text, count int, ended bool, walltime float8, cputime float8, log text",
    """
UPDATE execution_nodeexecution
   SET status = %(status)s, output_count = output_count + %(count)s,
       ended_at = CASE WHEN %(ended)s THEN clock_timestamp() END,
       walltime = walltime + %(walltime)s, cputime = cputime + %(cputime)s, log = log || %(log)s
 WHERE id = %(id)s AND token = %(token)s AND (status = 'RUNNING') IS TRUE AND output_count = %(position)s
RETURNING id
""",
)


def ask_to_mark(batch: Batch, part: Part) -> Answer:
    """Move the node execution on: a row, if the claim still holds."""
    spent = part.end or NOTHING_SPENT
    return batch.ask(
        MARK,
        {
            "status": part.end.status if part.end else Status.RUNNING,
            "count": len(part.outputs),
            "ended": part.end is not None,
            "walltime": spent.walltime,
            "cputime": spent.cputime,
            "log": spent.log,
            "id": part.claimed.id,
            "token": part.claimed.token,
            "position": part.position,
        },
    )
