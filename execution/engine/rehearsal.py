"""A run played through with what an earlier run has emitted, up to where somebody has to work (again).

Nothing is executed: an execution that becomes ready with the inputs of an earlier one is taken to emit what that one
emitted, in the order in which it was recorded. What can't be reused stays ready, and whatever would follow from it
does not come to pass.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import heappop, heappush
from typing import Any
from uuid import UUID

from execution.engine.dataflow import Deliveries, Emission, Firing, Masks, Select, Sink, deliver, start
from execution.engine.ordering import Held, released, travels_at_once
from execution.engine.outputs import run_outputs
from execution.engine.pins import select
from execution.engine.plan import Plan, PlanNode

Key = tuple[UUID, int]


def _itself(value: Any) -> Any:
    return value


@dataclass(frozen=True, kw_only=True)
class Values:
    """What a rehearsal does with values, and all that it does: it compares them and takes parts of them.

    So something else may stand for them. `identify` returns JSON data that only equal values have.
    """

    identify: Callable[[Any], Any] = _itself
    select: Select = select


PLAIN_VALUES = Values()


@dataclass(frozen=True, kw_only=True)
class PastFiring:
    """A node execution of the earlier run. `id` is the caller's name for it.

    `moments` says when each output was recorded and, as its last item, when it ended: numbers that only grow in the
    course of a run. `is_reusable`: it ended well, and nobody wants it to run again.
    """

    id: UUID
    node_id: UUID
    ordinal: int
    inputs: Mapping[str, Any]
    outputs: tuple[tuple[str, Any], ...] = ()
    moments: tuple[float, ...] = ()
    is_reusable: bool = True


@dataclass(kw_only=True)
class Played:
    """A node execution of the run that is played. `moments` numbers its outputs and its end among all that happened."""

    node_id: UUID
    ordinal: int
    inputs: dict[str, Any] = field(default_factory=dict)
    is_ready: bool = False
    has_ended: bool = False
    reused: PastFiring | None = None
    moments: list[int] = field(default_factory=list)

    @property
    def emitted(self) -> tuple[tuple[str, Any], ...]:
        """What it has emitted so far."""
        return self.reused.outputs[: len(self.moments)] if self.reused else ()


class Rehearsal:
    """Plays `past` on `plan`, which need not be the plan that it was recorded on.

    `played` holds all node executions in the order in which they were opened, `sinks` what deliveries look at, with
    the newest static values, `outputs` what left the run as `(name, value)`.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        past: Iterable[PastFiring],
        inputs_of: Mapping[UUID, Mapping[str, Any]],
        masks: Masks,
        values: Values = PLAIN_VALUES,
    ) -> None:
        self.played: dict[Key, Played] = {}
        self.outputs: list[tuple[str, Any]] = []
        self._plan = plan
        self._masks = masks
        self._values = values
        self.sinks = {node_id: Sink() for node_id in plan.nodes}
        # Of each node: its executions by ordinal, and a heap of the ordinals of those that are ready and unfinished.
        self._lines: dict[UUID, list[Played]] = {node_id: [] for node_id in plan.nodes}
        self._unfinished: dict[UUID, list[int]] = {node_id: [] for node_id in plan.nodes}
        self._past = _file_by_inputs(past, values)
        # What happens next: the moment at which it happened, and who it is.
        self._agenda: list[tuple[float, int, Key]] = []
        self._happened = self._planned = 0
        self._start(inputs_of)
        while self._agenda:
            _moment, _number, key = heappop(self._agenda)
            self._advance(self.played[key])

    def _start(self, inputs_of: Mapping[UUID, Mapping[str, Any]]) -> None:
        started = start(self._plan, inputs_of=inputs_of, masks=self._masks)
        for firing in started.firings:
            self.sinks[firing.node_id] = Sink(opened=1, waiting=[] if firing.is_ready else [firing])
        self._take(started)

    def _advance(self, played: Played) -> None:
        """Let a reused execution emit its next value, or end."""
        past = played.reused
        if past is None:
            raise ValueError("Only what is reused goes on.")
        emitted = list(past.outputs[len(played.moments) : len(played.moments) + 1])
        self._happened += 1
        played.moments.append(self._happened)
        if emitted:
            self._plan_next(played, past)
        else:
            played.has_ended = True
        node = self._plan.nodes[played.node_id]
        travelling = self._travelling(node, played, emitted)
        self.outputs += run_outputs(node, travelling)
        emissions = [Emission(node.id, pin, value) for pin, value in travelling]
        select = self._values.select
        self._take(deliver(self._plan, sinks=self.sinks, emissions=emissions, masks=self._masks, select=select))

    def _travelling(self, node: PlanNode, played: Played, emitted: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        line, unfinished = self._lines[node.id], self._unfinished[node.id]
        while unfinished and line[unfinished[0]].has_ended:
            heappop(unfinished)
        older = bool(unfinished) and unfinished[0] < played.ordinal
        if not travels_at_once(node, older_unfinished=older):
            return []
        if not played.has_ended or not node.ordered:
            return emitted
        later = (line[ordinal] for ordinal in range(played.ordinal + 1, len(line)))
        return emitted + released(Held(outputs=each.emitted, has_ended=each.has_ended) for each in later)

    def _take(self, deliveries: Deliveries) -> None:
        for firing in deliveries.firings:
            played = self._played(firing)
            played.inputs |= firing.added
            firing.added, firing.is_new = {}, False
            if firing.is_ready:
                self._make_ready(played)

    def _played(self, firing: Firing) -> Played:
        key = firing.node_id, firing.ordinal
        if key not in self.played:
            self.played[key] = Played(node_id=firing.node_id, ordinal=firing.ordinal)
            self._lines[firing.node_id].append(self.played[key])
        return self.played[key]

    def _make_ready(self, played: Played) -> None:
        played.is_ready = True
        heappush(self._unfinished[played.node_id], played.ordinal)
        same = self._past.get(_fingerprint(played.node_id, played.inputs, self._values), {})
        # What had the same inputs is the same, whatever its number; but the one with the same number is likelier meant.
        past = same.pop(played.ordinal if played.ordinal in same else next(iter(same))) if same else None
        if past is not None and past.is_reusable:
            played.reused = past
            self._plan_next(played, past)

    def _plan_next(self, played: Played, past: PastFiring) -> None:
        self._planned += 1
        moment = past.moments[len(played.moments)]
        heappush(self._agenda, (moment, self._planned, (played.node_id, played.ordinal)))


def find_changed(old: Plan, new: Plan) -> frozenset[UUID]:
    """Return the nodes of `new` that are not in `old`, or have another block, constant or incoming link there."""
    return frozenset(
        node.id for node in new.nodes.values() if node.id not in old.nodes or _differs(old.nodes[node.id], node)
    )


def _differs(old: PlanNode, new: PlanNode) -> bool:
    if old.block_id != new.block_id or frozenset(old.incoming) != frozenset(new.incoming):
        return True
    return _fingerprint(old.id, old.input_default) != _fingerprint(old.id, new.input_default)


def _file_by_inputs(past: Iterable[PastFiring], values: Values) -> dict[bytes, dict[int, PastFiring]]:
    """File the firings by their nodes and inputs; those with the same by their ordinals, the oldest first."""
    filed: dict[bytes, dict[int, PastFiring]] = {}
    for firing in sorted(past, key=lambda firing: firing.ordinal):
        filed.setdefault(_fingerprint(firing.node_id, firing.inputs, values), {})[firing.ordinal] = firing
    return filed


def _fingerprint(node_id: UUID, inputs: Mapping[str, Any], values: Values = PLAIN_VALUES) -> bytes:
    """Return what only the same inputs of the same node have: 1, 1.0 and true differ, and so do the orders of keys."""
    text = json.dumps([str(node_id), sorted((pin, values.identify(value)) for pin, value in inputs.items())])
    return sha256(text.encode()).digest()
