"""How long blocks take in this process: which ones are so quick that several are worth one transaction.

A process claims some of those at once, runs them one after the other, and records them together. It may die before
that: then all of them run again. So they are blocks of which nobody notices that.
"""

import math
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from django.conf import settings

from execution.planning import NodeSpec

QUICK_SECONDS: Final = 0.002
IN_VAIN_SECONDS: Final = 60.0
"""So long a node is not run ahead any more after that was in vain."""
_MOST_IN_VAIN: Final = 10_000
_REMEMBERED: Final = 5


class Paces:
    """The times (seconds) that the last executions of each block took. One may have met a cold cache or a busy core."""

    def __init__(self) -> None:
        self._room = math.inf
        # By node, until when (monotonic seconds).
        self._in_vain: dict[UUID, float] = {}
        self._taken: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))

    def note(self, spec: NodeSpec, seconds: float, *, is_proof: bool = True) -> None:
        """Learn how long an execution of a node took. One that failed or was made up `is_proof` only of being slow."""
        if is_proof or seconds > QUICK_SECONDS:
            self._taken[spec.plan.block_id].append(seconds)

    def is_quick(self, spec: NodeSpec) -> bool:
        """Whether executions of a node can be expected to be done in no time, and may be repeated unnoticed."""
        taken = sorted(self._taken.get(spec.plan.block_id, ()))
        return bool(taken) and taken[len(taken) // 2] <= QUICK_SECONDS and _is_repeatable(spec)

    def count_quick(self, specs: Sequence[NodeSpec]) -> int:
        """Return how many of these, from the first on, go together."""
        slow = (number for number, spec in enumerate(specs) if not self.is_quick(spec))
        return next(slow, len(specs))

    def note_in_vain(self, specs: Sequence[NodeSpec]) -> None:
        """Learn that executions of these nodes were run ahead in vain (see `execution.foresight`)."""
        if len(self._in_vain) > _MOST_IN_VAIN:
            self._in_vain.clear()
        self._in_vain |= {spec.plan.id: time.monotonic() + IN_VAIN_SECONDS for spec in specs}

    def may_run_ahead(self, spec: NodeSpec) -> bool:
        """Whether an execution of a node is worth being run before it is claimed."""
        return time.monotonic() >= self._in_vain.get(spec.plan.id, 0.0) and self.is_quick(spec)

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
