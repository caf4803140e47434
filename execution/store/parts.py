"""What an attempt brings into a record: outputs, its end, and the fence that it has to pass."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

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
    """What was run ahead: an execution that the record is to make ready, as `firing`, with `part` as its end.

    `text` is what is added to its inputs.
    """

    firing: Firing
    text: str
    part: Part

    @property
    def claimed(self) -> Claimed:
        """The claim that it was run with, which no row has yet."""
        return cast(Claimed, self.part.claimed)


class ForesightError(Exception):
    """It doesn't come as foreseen, or can't be paid: record without what was run ahead. `culprits` are at fault."""

    def __init__(self, culprits: Sequence[Foreseen] = ()) -> None:
        super().__init__(f"{len(culprits)} that were run ahead don't come")
        self.culprits = culprits


# What a mark is told of a node execution, as SQL writes the types.
_FACTS: Final = {
    "id": "uuid",
    "token": "uuid",
    "position": "int",
    "status": "text",
    "count": "int",
    "ended": "bool",
    "walltime": "float8",
    "cputime": "float8",
    "log": "text",
}

_MARK_TEXT: Final = """
UPDATE execution_nodeexecution
   SET status = {status}, output_count = output_count + {count},
       ended_at = CASE WHEN {ended} THEN clock_timestamp() END,
       walltime = walltime + {walltime}, cputime = cputime + {cputime}, log = log || {log}
 WHERE {which}
RETURNING token
"""

# The fence that keeps late attempts out: a node execution is moved on only if its claim still holds. Why `IS TRUE`:
# see `execution.store.claims`.
_FENCE: Final = "token = {token} AND (status = 'RUNNING') IS TRUE AND output_count = {position}"

_OF_ONE: Final = {name: f"%({name})s" for name in _FACTS}
_OF_EACH: Final = {name: f"(%({name})s)[array_position(%(id)s, id)]" for name in _FACTS}

MARK = Prepared(
    "mark",
    ", ".join(f"{name} {kind}" for name, kind in _FACTS.items()),
    _MARK_TEXT.format(**_OF_ONE, which=f"id = %(id)s AND {_FENCE}".format(**_OF_ONE)),
)

# Those that pass are locked in the order of their ids before the first is changed: who renews leases locks several too,
# and not their runs. For a single one this takes PostgreSQL longer.
MARK_SEVERAL = Prepared(
    "mark_several",
    ", ".join(f"{name} {kind}[]" for name, kind in _FACTS.items()),
    _MARK_TEXT.format(
        **_OF_EACH,
        which=f"""id = ANY(ARRAY(
       SELECT id FROM execution_nodeexecution WHERE id = ANY(%(id)s) AND {_FENCE.format(**_OF_EACH)}
        ORDER BY id FOR NO KEY UPDATE))""",  # noqa: S608 - our own
    ),
)


def ask_to_mark(batch: Batch, parts: Sequence[Part]) -> Answer:
    """Move node executions on: a row with its token for each claim that still holds."""
    facts = [_describe(part) for part in parts]
    if len(facts) == 1:
        return batch.ask(MARK, facts[0])
    return batch.ask(MARK_SEVERAL, {name: [each[name] for each in facts] for name in _FACTS})


def _describe(part: Part) -> dict[str, Any]:
    spent = part.end or NOTHING_SPENT
    return {
        "id": part.claimed.id,
        "token": part.claimed.token,
        "position": part.position,
        "status": part.end.status if part.end else Status.RUNNING,
        "count": len(part.outputs),
        "ended": part.end is not None,
        "walltime": spent.walltime,
        "cputime": spent.cputime,
        "log": spent.log,
    }
