"""The statuses of runs and node executions, and the changes that are allowed between them."""

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """One enum for runs and node executions."""

    INCOMPLETE = "INCOMPLETE"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"
    REVIEW = "REVIEW"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TERMINATED = "TERMINATED"


WAITING_FOR_SOMETHING: Final = frozenset({Status.SUSPENDED, Status.REVIEW})
UNFINISHED: Final = frozenset({Status.QUEUED, Status.RUNNING, *WAITING_FOR_SOMETHING})
ENDED: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.TERMINATED})

ALLOWED_FROM: Final = {
    Status.INCOMPLETE: frozenset[Status](),
    Status.QUEUED: frozenset(
        {Status.INCOMPLETE, Status.TERMINATED, Status.FAILED, Status.REVIEW, Status.SUSPENDED, Status.RUNNING}
    ),
    Status.RUNNING: frozenset({Status.QUEUED}),
    Status.SUSPENDED: frozenset({Status.RUNNING}),
    Status.REVIEW: frozenset({Status.RUNNING}),
    Status.COMPLETED: frozenset({Status.RUNNING, Status.SUSPENDED}),
    Status.FAILED: frozenset({Status.INCOMPLETE, *UNFINISHED}),
    Status.TERMINATED: frozenset({Status.INCOMPLETE, *UNFINISHED}),
}


def may_change(*, old: Status, new: Status) -> bool:
    """Whether a node execution or a run in `old` may go to `new`."""
    return old in ALLOWED_FROM[new]
