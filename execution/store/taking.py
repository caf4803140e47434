"""What a process goes on with when it has recorded the end of a node execution: something that this made ready.

No message is sent for it, and if it is new it is claimed by being opened: its row is RUNNING from the start, in the
transaction of the record, and what it costs is set aside there, too. A process that dies then leaves a lease that runs
out, as with any other claim.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from credits.metering import Price
from execution.engine.dataflow import Firing
from execution.queues import CPU_QUEUE
from execution.store.batches import Answer, Batch
from execution.store.claims import Claimed, worker_name
from execution.store.ready import Ready
from execution.store.round_trips import Prepared

_OPEN_CLAIMED = Prepared(
    "open_claimed",
    "id uuid, run uuid, tree uuid, node uuid, ordinal int, inputs text, token uuid, lease float8, worker text,"
    " paid bool",
    """
INSERT INTO execution_nodeexecution
       (id, execution_id, tree_id, node_id, ordinal, queue, status, inputs, opened_at, queued_at, started_at,
        claimed_at, attempt, token, lease_until, worker, is_paid)
SELECT %(id)s, %(run)s, %(tree)s, %(node)s, %(ordinal)s, 'cpu', 'RUNNING', %(inputs)s::json, now, now, now, now,
       1, %(token)s, now + make_interval(secs => %(lease)s), %(worker)s, %(paid)s
  FROM clock_timestamp() AS now
""",
)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What may be opened as claimed: the text for its row and the forms of its inputs and its mask.

    `ready` says what it is if it must be claimed like others; `price` what it costs, if it `is_paid` at all.
    """

    ready: Ready
    text: str
    inputs: dict[str, Any]
    mask: dict[str, Any]
    is_paid: bool = False
    price: Price | None = None


class Taker:
    """Takes at most one of the things that a record makes ready; who records again after an error uses the same one.

    `claimed` was claimed with the record. If there is none, `ready` is still to be claimed, with `token`. If there is
    neither, `run_holds_back` says whether the run's tree has more that no message was sent for. For those that are
    `unsent`, messages are to be sent. `opened` is what the record has claimed, before that is known to be committed.
    """

    def __init__(self, previous: Claimed, *, lease_seconds: float) -> None:
        """`previous` is the claim whose end is recorded."""
        self._previous = previous
        self._lease_seconds = lease_seconds
        self.start_over()

    @property
    def tree_id(self) -> UUID:
        """The tree of runs in which the process goes on."""
        return self._previous.tree_id

    def start_over(self) -> None:
        """Forget what was taken: the record was not committed, or its run has ended."""
        self.claimed: Claimed | None = None
        self.ready: Ready | None = None
        self.token = uuid4()
        self.run_holds_back = False
        self.unsent: tuple[Ready, ...] = ()
        self.opened: Claimed | None = None
        self._held: Answer | None = None

    def open(self, batch: Batch, firing: Firing, opening: Opening) -> None:
        """Open a firing as claimed."""
        key = opening.ready.id
        batch.ask(
            _OPEN_CLAIMED,
            {
                "id": key,
                "run": self._previous.execution_id,
                "tree": self.tree_id,
                "node": firing.node_id,
                "ordinal": firing.ordinal,
                "inputs": opening.text,
                "token": self.token,
                "lease": self._lease_seconds,
                "worker": worker_name(),
                "paid": opening.is_paid,
            },
        )
        self.opened = replace(
            self._previous,
            id=key,
            node_id=firing.node_id,
            ordinal=firing.ordinal,
            token=self.token,
            attempt=1,
            losses=0,
            suspicions=0,
            waits=0,
            output_count=0,
            inputs=opening.inputs,
            mask=opening.mask,
            is_paid=opening.is_paid,
            price=opening.price,
            spent=None,
            may_send_next=False,
        )
        # Until it is known that the record was committed, and paid for: whoever claims it with this token finds out.
        self.ready = opening.ready

    def await_hold(self, held: Answer | None) -> None:
        """Take the answer to whether the credits for what was opened were set aside."""
        self._held = held

    def _may_run(self, opened: Claimed) -> bool:
        is_free = opened.price is None or opened.price.hold == 0
        return is_free or (self._held is not None and self._held.rows[0][-1] is True)

    def settle(self, ready: Sequence[Ready], *, run_holds_back: bool) -> None:
        """Take one that suits this process, if nothing was claimed; the others are left to be sent.

        Call it when the record was committed.
        """
        self.run_holds_back = run_holds_back
        if self.opened is None:
            self.ready = next((each for each in ready if each.queue == CPU_QUEUE), None)
        elif self._may_run(self.opened):
            self.claimed, self.ready = replace(self.opened, run_holds_back=run_holds_back), None
        self.unsent = tuple(each for each in ready if each is not self.ready)
