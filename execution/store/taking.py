"""What a process goes on with when it has recorded the ends of node executions: something that this made ready.

No message is sent for it, and if it is new it is claimed by being opened: its row is RUNNING from the start, in the
transaction of the record, and what it costs is set aside there, too. A process that dies then leaves a lease that runs
out, as with any other claim.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings

from credits.metering import Price
from execution.engine.dataflow import Firing
from execution.paces import paces
from execution.planning import NodeSpec
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

    spec: NodeSpec
    ready: Ready
    text: str
    inputs: dict[str, Any]
    mask: dict[str, Any]
    is_paid: bool = False
    price: Price | None = None


class Taker:
    """Takes some of the things that a record makes ready; who records again after an error uses the same one.

    One that suits this process is taken, or several if all are quick. `claimed` were claimed with the record. Those
    `to_claim` are still to be, each with its token. If there are neither, `run_holds_back` says whether the run's tree
    has more that no message was sent for. For those that are `unsent`, messages are to be sent. `opened` are those that
    the record has claimed, before that is known to be committed.
    """

    def __init__(self, previous: Claimed, *, lease_seconds: float) -> None:
        """`previous` is a claim whose end is recorded."""
        self._previous = previous
        self._lease_seconds = lease_seconds
        self.start_over()

    @property
    def tree_id(self) -> UUID:
        """The tree of runs in which the process goes on."""
        return self._previous.tree_id

    @property
    def most(self) -> int:
        """How many may be claimed of which nothing is known yet: several if the one before was quick."""
        return paces.room_after(self._previous.spec)

    def start_over(self) -> None:
        """Forget what was taken: the record was not committed, or its run has ended."""
        self.claimed: list[Claimed] = []
        self.to_claim: list[tuple[Ready, UUID]] = []
        self.run_holds_back = False
        self.unsent: tuple[Ready, ...] = ()
        self.opened: list[Claimed] = []
        self._are_quick = True

    def has_room_for(self, spec: NodeSpec) -> bool:
        """Whether an execution of this node would be taken, too."""
        if spec.queue != CPU_QUEUE:
            return False
        return not self.opened or (
            self._are_quick and len(self.opened) < settings.MOST_AT_ONCE and paces.is_quick(spec)
        )

    def open(self, batch: Batch, firing: Firing, opening: Opening) -> None:
        """Open a firing as claimed."""
        key, token = opening.ready.id, uuid4()
        batch.ask(
            _OPEN_CLAIMED,
            {
                "id": key,
                "run": self._previous.execution_id,
                "tree": self.tree_id,
                "node": firing.node_id,
                "ordinal": firing.ordinal,
                "inputs": opening.text,
                "token": token,
                "lease": self._lease_seconds,
                "worker": worker_name(),
                "paid": opening.is_paid,
            },
        )
        opened = replace(
            self._previous,
            id=key,
            node_id=firing.node_id,
            ordinal=firing.ordinal,
            token=token,
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
        self.opened.append(opened)
        self._are_quick = self._are_quick and paces.is_quick(opening.spec)
        # Until it is known that the record was committed, and paid for: whoever claims it with this token finds out.
        self.to_claim.append((opening.ready, token))

    def settle(self, ready: Sequence[Ready], *, held: Answer | None, run_holds_back: bool) -> None:
        """Take one that suits this process, if nothing was claimed; the others are left to be sent.

        Call it when the record was committed. `held` says for which of what was opened credits were set aside.
        """
        self.run_holds_back = run_holds_back
        if self.opened:
            granted = {key for *_, key, is_granted in (held.rows if held else []) if is_granted}
            running = [each for each in self.opened if each.id in granted or _is_free(each)]
            self.claimed = [replace(each, run_holds_back=run_holds_back) for each in running]
            tokens = {each.token for each in running}
            self.to_claim = [(each, token) for each, token in self.to_claim if token not in tokens]
            if self.claimed:
                # What is paid runs first: it may cost less than is set aside for it, or nothing.
                ready, self.to_claim = [*ready, *(each for each, _ in self.to_claim)], []
        else:
            self.to_claim = [(each, uuid4()) for each in ready if each.queue == CPU_QUEUE][:1]
        taken = [each for each, _ in self.to_claim]
        self.unsent = tuple(each for each in ready if each not in taken)


def _is_free(opened: Claimed) -> bool:
    return opened.price is None or opened.price.hold == 0
