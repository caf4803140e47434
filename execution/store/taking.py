"""What a process goes on with when it has recorded the end of a node execution: something that this made ready.

No message is sent for it, and if it is new it is claimed by being opened: its row is RUNNING from the start, in the
transaction of the record. A process that dies then leaves a lease that runs out, as with any other claim.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from execution.engine.dataflow import Firing
from execution.queues import CPU_QUEUE
from execution.store.batches import Batch
from execution.store.claims import Claimed, worker_name
from execution.store.ready import Ready
from execution.store.round_trips import Prepared

_OPEN_CLAIMED = Prepared(
    "open_claimed",
    "id uuid, run uuid, tree uuid, node uuid, ordinal int, inputs text, token uuid, lease float8, worker text",
    """
INSERT INTO execution_nodeexecution
       (id, execution_id, tree_id, node_id, ordinal, queue, status, inputs, opened_at, queued_at, started_at,
        claimed_at, attempt, token, lease_until, worker)
SELECT %(id)s, %(run)s, %(tree)s, %(node)s, %(ordinal)s, 'cpu', 'RUNNING', %(inputs)s::json, now, now, now, now,
       1, %(token)s, now + make_interval(secs => %(lease)s), %(worker)s
  FROM clock_timestamp() AS now
""",
)


class Taker:
    """Takes at most one of the things that a record makes ready; who records again after an error uses the same one.

    `claimed` was claimed with the record. If there is none, `ready` is still to be claimed. If there is neither,
    `run_holds_back` says whether the run's tree has more that no message was sent for. For those that are `unsent`,
    messages are to be sent.
    """

    def __init__(self, previous: Claimed, *, lease_seconds: float) -> None:
        """`previous` is the claim whose end is recorded."""
        self.claimed: Claimed | None = None
        self.ready: Ready | None = None
        self.run_holds_back = False
        self.unsent: tuple[Ready, ...] = ()
        self._previous = previous
        self._lease_seconds = lease_seconds

    @property
    def tree_id(self) -> UUID:
        """The tree of runs in which the process goes on."""
        return self._previous.tree_id

    def start_over(self) -> None:
        """Forget what was taken: the record was not committed, or its run has ended."""
        self.claimed = self.ready = None
        self.run_holds_back = False
        self.unsent = ()

    def open(self, batch: Batch, firing: Firing, *, key: UUID, inputs: str, mask: Mapping[str, Any]) -> None:
        """Open a firing as claimed. `inputs` is the JSON text for its row."""
        token = uuid4()
        batch.ask(
            _OPEN_CLAIMED,
            {
                "id": key,
                "run": self._previous.execution_id,
                "tree": self.tree_id,
                "node": firing.node_id,
                "ordinal": firing.ordinal,
                "inputs": inputs,
                "token": token,
                "lease": self._lease_seconds,
                "worker": worker_name(),
            },
        )
        self.claimed = replace(
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
            inputs=json.loads(inputs),
            mask=dict(mask),
            price=None,
            spent=None,
            may_send_next=False,
        )

    def settle(self, ready: Sequence[Ready], *, run_holds_back: bool) -> None:
        """Take one that suits this process, if nothing was taken yet; the others are left to be sent."""
        if self.claimed is not None:
            self.claimed = replace(self.claimed, run_holds_back=run_holds_back)
        else:
            self.ready = next((each for each in ready if each.queue == CPU_QUEUE), None)
            self.run_holds_back = run_holds_back
        self.unsent = tuple(each for each in ready if each is not self.ready)
