"""What a process goes on with when it has recorded the ends of node executions: something that this made ready.

No message is sent for it, and it is claimed as it becomes ready: its row is RUNNING from then on, in the transaction
of the record, and what it costs is set aside there, too. A process that dies then leaves a lease that runs out, as with
any other claim.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings

from execution.paces import paces
from execution.planning import NodeSpec
from execution.queues import CPU_QUEUE
from execution.store.batches import Answer, Batch
from execution.store.claims import Claimed, worker_name
from execution.store.ready import Ready
from execution.store.round_trips import Prepared

_OPEN_CLAIMED = Prepared(
    "open_claimed",
    "run uuid, tree uuid, lease float8, worker text, ids uuid[], tokens uuid[], nodes uuid[], ordinals int[],"
    " inputs text[], paid bool[]",
    """
INSERT INTO execution_nodeexecution
       (id, execution_id, tree_id, node_id, ordinal, queue, status, inputs, opened_at, queued_at, started_at,
        claimed_at, attempt, token, lease_until, worker, is_paid)
SELECT f.id, %(run)s, %(tree)s, f.node_id, f.ordinal, 'cpu', 'RUNNING', f.inputs::json, now, now, now, now,
       1, f.token, now + make_interval(secs => %(lease)s), %(worker)s, f.is_paid
  FROM unnest(%(ids)s, %(tokens)s, %(nodes)s, %(ordinals)s, %(inputs)s, %(paid)s)
       AS f(id, token, node_id, ordinal, inputs, is_paid), clock_timestamp() AS now
""",
)

# What was delivered before comes back with it.
_CLAIM_FILLED = Prepared(
    "claim_filled",
    "lease float8, worker text, ids uuid[], tokens uuid[]",
    """
UPDATE execution_nodeexecution n
   SET status = 'RUNNING', queued_at = now, started_at = now, claimed_at = now, attempt = n.attempt + 1,
       token = f.token, lease_until = now + make_interval(secs => %(lease)s), worker = %(worker)s
  FROM unnest(%(ids)s, %(tokens)s) AS f(id, token), clock_timestamp() AS now
 WHERE n.id = f.id AND (n.status = 'INCOMPLETE') IS TRUE
RETURNING n.id, n.inputs,
          (SELECT json_object_agg(pin, value) FROM execution_nodeinput i WHERE i.node_execution_id = n.id)
""",
)


class Taker:
    """Takes some of the things that a record makes ready; who records again after an error uses the same one.

    One that suits this process is taken, or several if all are quick. `claimed` were claimed with the record. Those
    `to_claim` are still to be, each with its token. If there are neither, `run_holds_back` says whether the run's tree
    has more that no message was sent for. For those that are `unsent`, messages are to be sent. `opened` are those that
    the record has claimed, before that is known to be committed.
    """

    def __init__(self, previous: Claimed, *, lease_seconds: float) -> None:
        """`previous` is a claim whose end is recorded."""
        self.previous = previous
        self._lease_seconds = lease_seconds
        self.start_over()

    @property
    def tree_id(self) -> UUID:
        """The tree of runs in which the process goes on."""
        return self.previous.tree_id

    @property
    def run_id(self) -> UUID:
        """The run that it comes from."""
        return self.previous.execution_id

    @property
    def most(self) -> int:
        """How many may be claimed of which nothing is known yet: several if the one before was quick."""
        return paces.room_after(self.previous.spec)

    def start_over(self) -> None:
        """Forget what was taken: the record was not committed, or its run has ended."""
        self.claimed: list[Claimed] = []
        self.to_claim: list[tuple[Ready, UUID]] = []
        self.run_holds_back = False
        self.unsent: tuple[Ready, ...] = ()
        self.opened: list[Claimed] = []
        self._texts: dict[UUID, str] = {}
        self._filled: Answer | None = None
        self._are_quick = True

    def has_room_for(self, spec: NodeSpec) -> bool:
        """Whether an execution of this node would be taken, too."""
        if spec.queue != CPU_QUEUE:
            return False
        return not self.opened or (
            self._are_quick and len(self.opened) < settings.MOST_AT_ONCE and paces.is_quick(spec)
        )

    def take(self, claimed: Claimed, *, ready: Ready, text: str | None) -> None:
        """Claim what becomes ready (see `ask_to_claim`). `text`: what its row has as inputs, if it is new.

        `ready` says what it is if it must be claimed like others.
        """
        self.opened.append(claimed)
        if text is not None:
            self._texts[claimed.id] = text
        self._are_quick = self._are_quick and paces.is_quick(claimed.spec)
        # Until it is known that the record was committed, and paid for: whoever claims it with this token finds out.
        self.to_claim.append((ready, claimed.token))

    def ask_to_claim(self, batch: Batch) -> None:
        """Write what was taken. What others have delivered to it before must have been written."""
        new = [each for each in self.opened if each.id in self._texts]
        filled = [each for each in self.opened if each.id not in self._texts]
        claim = {"lease": self._lease_seconds, "worker": worker_name()}
        if new:
            batch.ask(
                _OPEN_CLAIMED,
                {
                    **claim,
                    **_list_keys(new),
                    "run": self.previous.execution_id,
                    "tree": self.tree_id,
                    "nodes": [each.node_id for each in new],
                    "ordinals": [each.ordinal for each in new],
                    "inputs": [self._texts[each.id] for each in new],
                    "paid": [each.is_paid for each in new],
                },
            )
        if filled:
            self._filled = batch.ask(_CLAIM_FILLED, {**claim, **_list_keys(filled)})

    def settle(self, ready: Sequence[Ready], *, held: Answer | None, run_holds_back: bool) -> None:
        """Take one that suits this process, if nothing was claimed; the others are left to be sent.

        Call it when the record was committed. `held` says for which of what was opened credits were set aside.
        """
        self.run_holds_back = run_holds_back
        if self.opened:
            granted = {key for *_, key, is_granted in (held.rows if held else []) if is_granted}
            running = [each for each in self.opened if each.id in granted or _is_free(each)]
            late = {key: {**inputs, **more} for key, inputs, more in (self._filled.rows if self._filled else [])}
            self.claimed = [
                replace(each, run_holds_back=run_holds_back, inputs=late.get(each.id, each.inputs)) for each in running
            ]
            tokens = {each.token for each in running}
            self.to_claim = [(each, token) for each, token in self.to_claim if token not in tokens]
            if self.claimed:
                # What is paid runs first: it may cost less than is set aside for it, or nothing.
                ready, self.to_claim = [*ready, *(each for each, _ in self.to_claim)], []
        else:
            self.to_claim = [(each, uuid4()) for each in ready if each.queue == CPU_QUEUE][:1]
        taken = [each for each, _ in self.to_claim]
        self.unsent = tuple(each for each in ready if each not in taken)


def _list_keys(claims: Sequence[Claimed]) -> dict[str, Any]:
    return {"ids": [each.id for each in claims], "tokens": [each.token for each in claims]}


def _is_free(opened: Claimed) -> bool:
    return opened.price is None or opened.price.hold == 0
