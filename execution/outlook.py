"""What comes of node executions of one run, told before they are recorded: by the function that the record asks, too.

What is not known is taken for empty. So it may come otherwise, which the record finds out.
"""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.conf import settings

from execution.engine.dataflow import Emission, Firing, Sink, deliver
from execution.large_values import find_reference, join_writers
from execution.models.values import FEW_PINS
from execution.paces import paces
from execution.planning import load_plan
from execution.queues import CPU_QUEUE
from execution.store.claims import Claimed
from execution.store.joins import FirstExecution, read_first_executions
from execution.store.opening import open_claim
from execution.store.parts import Part
from graphs.models import new_id

# At so many nodes is looked at most, those that come next and those that come later: most of what is read must matter.
_FAR: Final = 16


@dataclass(frozen=True, kw_only=True)
class Coming:
    """What becomes ready: `text` is what links add to its inputs, `claimed` the claim to run it with."""

    firing: Firing
    text: str
    claimed: Claimed


class Outlook:
    """What comes of node executions that have ended, of what comes of them, and so on.

    Joins are looked at once, without a lock: what waits there can be made ready by nobody who doesn't deliver the same.
    """

    def __init__(self, ended: Sequence[Part], *, first: Claimed) -> None:
        """`first` is the claim of one of them."""
        self._first = first
        self._graph = load_plan(first.graph_version_id)
        self._masks = self._graph.mask_pins(first.masks, simulate=first.simulate)
        self._writer = join_writers([part.writer for part in ended])
        self._seen = {part.claimed.node_id for part in ended}
        self._sinks: dict[UUID, Sink] = {}
        self._joins: dict[UUID, FirstExecution] | None = None

    def follow(self, ended: Sequence[Part], *, room: int) -> list[Coming]:
        """Return what becomes ready when these are recorded, in the order in which they would be.

        Nothing if that is more than there is `room` for, or something is not to be run ahead: others begin with it.
        """
        plan = self._graph.plan
        reached = plan.links_reached_from([part.claimed.node_id for part in ended])
        if not room or not reached or any(plan.nodes[node_id].static for node_id in reached):
            return []
        self._look_at(reached, room=room)
        emissions = [Emission(part.claimed.node_id, pin, value) for part in ended for pin, value in part.outputs]
        ready = deliver(plan, sinks=self._sinks, emissions=emissions, masks=self._masks).ready
        if len(ready) > room or not all(map(self._is_fit, ready)):
            return []
        join_writers([self._writer, *(part.writer for part in ended)])
        coming = [found for firing in ready if (found := self._open(firing)) is not None]
        self._seen |= {each.firing.node_id for each in coming}
        return coming if len(coming) == len(ready) else []

    def _look_at(self, node_ids: Collection[UUID], *, room: int) -> None:
        """Learn what waits at these nodes and behind them, if that may matter and be worth a question."""
        is_worth_it = 2 * room >= settings.MOST_AT_ONCE and len(node_ids) <= _FAR
        if self._joins is None and is_worth_it and any(map(self._joins_others, node_ids)):
            self._joins = read_first_executions(self._first.execution_id, self._find_joins(node_ids))
            for node_id, found in self._joins.items():
                self._sinks.setdefault(node_id, found.as_sink(node_id))
        for node_id in node_ids:
            self._sinks.setdefault(node_id, Sink())

    def _joins_others(self, node_id: UUID) -> bool:
        """Whether more leads to a node than what has been seen, be it to the same pin. Of a wide join little comes."""
        node = self._graph.plan.nodes[node_id]
        is_joint = len(node.incoming) > 1 and len(node.awaited) <= FEW_PINS
        return is_joint and any(link.source_id not in self._seen for link in node.incoming)

    def _find_joins(self, node_ids: Collection[UUID]) -> list[UUID]:
        found, waiting = set(node_ids), deque(node_ids)
        while waiting and len(found) < _FAR:
            reached = self._graph.plan.links_reached_from([waiting.popleft()])
            following = [node_id for node_id in reached if node_id not in found][: _FAR - len(found)]
            found.update(following)
            waiting.extend(following)
        return [node_id for node_id in found if self._joins_others(node_id)]

    def _is_fit(self, firing: Firing) -> bool:
        """Whether it is the first execution of its node, and quick."""
        spec = self._graph.specs[firing.node_id]
        is_first = firing.ordinal == 0 and firing.node_id not in self._seen
        return is_first and spec.queue == CPU_QUEUE and paces.may_run_ahead(spec)

    def _open(self, firing: Firing) -> Coming | None:
        """Return nothing if its price isn't at hand, or a value lies in the storage: that takes its time."""
        text = self._writer.write_all(firing.added)
        if firing.is_new:
            claimed = open_claim(self._first, firing, key=new_id(), text=text)
        else:
            before = (self._joins or {})[firing.node_id]
            claimed = open_claim(self._first, firing, key=before.id, text=text, before=before.inputs)
        if claimed is None or any(find_reference(form) for form in claimed.inputs.values()):
            return None
        return Coming(firing=firing, text=text, claimed=claimed)
