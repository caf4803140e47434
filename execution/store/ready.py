"""What became QUEUED, and where to send it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from execution.planning import load_plan
from execution.queues import CPU_QUEUE
from execution.store.round_trips import Row


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A node execution that became QUEUED: send a message with its id to `queue`. `name` is its block's.

    `is_revocable`: its messages may be called by its id. Not in a resumed run, whose earlier messages were revoked.
    `is_backlog`: its run has more to do than may be sent, so its message goes where it is in nobody's way.
    """

    id: UUID
    queue: str
    name: str
    is_revocable: bool = False
    is_backlog: bool = False


def describe_ready(rows: Sequence[Row]) -> list[Ready]:
    """Return where to send `(node execution, node, graph version)` rows that became QUEUED.

    A fourth column says whether their messages are revocable, a fifth whether they are of the backlog.
    """
    ready = []
    for key, node_id, version_id, *more in rows:
        spec = load_plan(version_id).specs.get(node_id)
        queue, name = (spec.queue, spec.name) if spec else (CPU_QUEUE, "unknown")
        is_revocable, is_backlog = (*more, False, False)[:2]
        ready.append(Ready(id=key, queue=queue, name=name, is_revocable=is_revocable, is_backlog=is_backlog))
    return ready
