"""A whole run in memory, one small step at a time, in whatever order the caller chooses.

It is the reference: the real store must end with what this machine ends with, however its workers interleave.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from execution.engine.dataflow import Deliveries, Emission, Firing, Masks, Sink, deliver, lacking_pins, start
from execution.engine.ordering import Held, released, travels_at_once
from execution.engine.outputs import ERROR_PIN, run_outputs
from execution.engine.plan import Plan, PlanNode
from execution.engine.rehearsal import Played, Rehearsal
from execution.engine.statuses import ENDED, UNFINISHED, Status

Behaviour = Callable[[PlanNode, Mapping[str, Any]], Iterable[tuple[str, Any]]]
Key = tuple[UUID, int]


@dataclass(kw_only=True)
class Step:
    """One node execution in memory: `script` holds what it has still to emit."""

    firing: Firing
    inputs: dict[str, Any] = field(default_factory=dict)
    status: Status = Status.INCOMPLETE
    script: list[tuple[str, Any]] = field(default_factory=list)
    emitted: list[tuple[str, Any]] = field(default_factory=list)


class Machine:
    """A run of `plan`. `behave` says what a node emits for its delivered inputs.

    `travelled` is the history of the run: every emission that went over the links, in order.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        behave: Behaviour,
        inputs_of: Mapping[UUID, Mapping[str, Any]] | None = None,
        masks: Masks | None = None,
        limit: int = 10_000,
    ) -> None:
        self.plan = plan
        self.steps: dict[Key, Step] = {}
        self.outputs: list[tuple[str, Any]] = []
        self.travelled: list[Emission] = []
        self.status = Status.RUNNING
        self._behave = behave
        self._masks = masks or {}
        self._limit = limit
        self._sinks = {node_id: Sink() for node_id in plan.nodes}
        started = start(plan, inputs_of=inputs_of or {}, masks=self._masks)
        for firing in started.firings:
            self._sinks[firing.node_id] = Sink(opened=1, waiting=[] if firing.is_ready else [firing])
        self._apply(started)

    def take_over(self, rehearsal: Rehearsal) -> None:
        """Go on from where a rehearsal of this plan has come to, instead of from the start."""
        self._sinks = rehearsal.sinks
        self.outputs = list(rehearsal.outputs)
        self.steps = {
            key: Step(
                firing=Firing(node_id=played.node_id, ordinal=played.ordinal, pins=set(played.inputs)),
                inputs=dict(played.inputs),
                status=_stands(played),
                emitted=list(played.emitted),
            )
            for key, played in rehearsal.played.items()
        }

    @property
    def runnable(self) -> list[Key]:
        """The node executions that can take a step now, oldest first."""
        return [key for key, step in self.steps.items() if step.status in (Status.QUEUED, Status.RUNNING)]

    def run(self, choose: Callable[[Sequence[Key]], Key]) -> None:
        """Take steps until nothing is left to do."""
        while self.status is Status.RUNNING and (runnable := self.runnable):
            self.advance(choose(runnable))
        if self.status is Status.RUNNING:
            self.status = Status.COMPLETED

    def advance(self, key: Key) -> None:
        """Let one node execution start, emit its next value, or end."""
        step = self.steps[key]
        node = self.plan.nodes[key[0]]
        if step.status is Status.QUEUED:
            step.status = Status.RUNNING
            step.script = list(self._behave(node, step.inputs))
            return
        emitted = [step.script.pop(0)] if step.script else []
        step.emitted += emitted
        if any(pin == ERROR_PIN for pin, _ in emitted):
            step.status = Status.FAILED
        elif not emitted:
            step.status = Status.COMPLETED
        travelling = self._travelling(node, key, emitted)
        self.outputs += run_outputs(node, travelling)
        emissions = [Emission(node.id, pin, value) for pin, value in travelling]
        self.travelled += emissions
        self._apply(deliver(self.plan, sinks=self._sinks, emissions=emissions, masks=self._masks))

    def warnings(self) -> dict[Key, frozenset[str]]:
        """Return what never fired, with the pins that it lacked."""
        return {
            key: lacking_pins(
                self.plan.nodes[key[0]],
                delivered=step.inputs,
                statics=self._sinks[key[0]].statics,
                masked=self._masks.get(key[0], frozenset()),
            )
            for key, step in self.steps.items()
            if step.status is Status.INCOMPLETE
        }

    def _travelling(self, node: PlanNode, key: Key, emitted: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        of_node = [step for (node_id, _), step in self.steps.items() if node_id == node.id]
        older = any(step.status in UNFINISHED for step in of_node if step.firing.ordinal < key[1])
        if not travels_at_once(node, older_unfinished=older):
            return []
        if self.steps[key].status not in ENDED or not node.ordered:
            return emitted
        later = sorted((step for step in of_node if step.firing.ordinal > key[1]), key=lambda s: s.firing.ordinal)
        return emitted + released(Held(outputs=s.emitted, has_ended=s.status in ENDED) for s in later)

    def _apply(self, deliveries: Deliveries) -> None:
        for firing in deliveries.firings:
            step = self.steps.setdefault((firing.node_id, firing.ordinal), Step(firing=firing))
            step.inputs |= firing.added
            firing.added, firing.is_new = {}, False
            if firing.is_ready:
                step.status = Status.QUEUED
        if len(self.steps) > self._limit:
            self.status = Status.FAILED


def _stands(played: Played) -> Status:
    if played.has_ended:
        return Status.COMPLETED
    return Status.QUEUED if played.is_ready else Status.INCOMPLETE
