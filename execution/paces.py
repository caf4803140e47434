"""How long blocks take in this process: which ones are so quick that several are worth one transaction.

A process claims some of those at once, runs them one after the other, and records them together. It may die before
that: then all of them run again. So they are blocks of which nobody notices that.
"""

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Final

from django.conf import settings

from execution.planning import NodeSpec

QUICK_SECONDS: Final = 0.002
_REMEMBERED: Final = 5


class Paces:
    """The times (seconds) that the last executions of each block took. One may have met a cold cache or a busy core."""

    def __init__(self) -> None:
        self._room = math.inf
        self._taken: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))

    def note(self, spec: NodeSpec, seconds: float) -> None:
        """Learn how long an execution of a node took."""
        self._taken[spec.plan.block_id].append(seconds)

    def is_quick(self, spec: NodeSpec) -> bool:
        """Whether executions of a node can be expected to be done in no time, and may be repeated unnoticed."""
        taken = sorted(self._taken.get(spec.plan.block_id, ()))
        return bool(taken) and taken[len(taken) // 2] <= QUICK_SECONDS and _is_repeatable(spec)

    def count_quick(self, specs: Sequence[NodeSpec]) -> int:
        """Return how many of these, from the first on, go together."""
        slow = (number for number, spec in enumerate(specs) if not self.is_quick(spec))
        return next(slow, len(specs))

    def note_claimed(self, *, kept: int, given_back: int) -> None:
        """Learn how many go together: where quick and slow blocks take turns, most would have to be given back."""
        self._room = 2 * kept if given_back else max(self._room, 2 * kept)

    def room_after(self, spec: NodeSpec) -> int:
        """Return how many may be claimed of which nothing is known yet, after an execution of this node."""
        return int(min(settings.MOST_AT_ONCE, self._room)) if self.is_quick(spec) else 1


def _is_repeatable(spec: NodeSpec) -> bool:
    block = spec.block
    return block is not None and not (spec.is_agent or block.needs or block.leaves_traces)


paces = Paces()
