"""Rule 6: for one node, outputs travel in the order in which its executions were opened.

The oldest execution that has not ended is the node's *head*: what it emits travels at once. What later ones emit is
held, and released when they become the head.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from execution.engine.plan import PlanNode


@dataclass(frozen=True, kw_only=True)
class Held:
    """An execution that stands behind the head, with what it has emitted so far."""

    outputs: Sequence[tuple[str, Any]]
    has_ended: bool


def travels_at_once(node: PlanNode, *, older_unfinished: bool) -> bool:
    """Whether what an execution emits may travel now."""
    return not node.ordered or not older_unfinished


def released(followers: Iterable[Held]) -> list[tuple[str, Any]]:
    """Return what the end of the head releases: `followers` are the later executions, oldest first.

    Outputs of those that have ended travel, and those of the first that has not: it is the new head.
    """
    outputs: list[tuple[str, Any]] = []
    for follower in followers:
        outputs.extend(follower.outputs)
        if not follower.has_ended:
            break
    return outputs
