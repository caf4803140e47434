"""A naive model of a run: a queue for each pin, one firing at a time, nothing shared with the engine.

It knows just enough for graphs with one link into each pin and static values that come once (a Kahn process
network): there the rules leave no choice, so the engine must come to the same end under every schedule.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from execution.engine.plan import PlanLink, PlanNode
from tests.execution.engine.random_plans import Drawn, is_masked

MISSING = object()


class Queues:
    """A run of `drawn`; `fired` lists per node what each firing was given and what it emitted."""

    def __init__(self, drawn: Drawn) -> None:
        self.fired: dict[UUID, list[tuple[dict[str, Any], list[tuple[str, Any]]]]] = {}
        self._drawn = drawn
        self._streams: dict[tuple[UUID, str], deque[Any]] = {}
        self._statics: dict[tuple[UUID, str], Any] = {}

    def run(self) -> None:
        """Fire what starts, then whatever can fire, until nothing can."""
        nodes = self._drawn.plan.nodes.values()
        for node in nodes:
            self.fired[node.id] = []
            if node.is_input or not node.incoming:
                self._fire(node, {})
        while any([self._fire_if_ready(node) for node in nodes]):
            pass

    def _fire_if_ready(self, node: PlanNode) -> bool:
        masked = self._masked(node)
        links = [link for link in node.incoming if link.sink_name not in masked]
        given = {link.sink_name: self._peek(link) for link in links}
        if not links or MISSING in given.values():
            return False
        # Each static value comes once, so all of them are there once.
        if all(link.is_static for link in links) and len(self.fired[node.id]) > node.is_input:
            return False
        for link in links:
            if not link.is_static:
                self._streams[link.sink_id, link.sink_name].popleft()
        self._fire(node, given)
        return True

    def _masked(self, node: PlanNode) -> set[str]:
        masks = self._drawn.masks.get(node.id, {})
        return {pin for pin in node.connected if is_masked(pin, masks)}

    def _peek(self, link: PlanLink) -> Any:
        where = link.sink_id, link.sink_name
        if link.is_static:
            return self._statics.get(where, MISSING)
        queue = self._streams.get(where)
        return queue[0] if queue else MISSING

    def _fire(self, node: PlanNode, given: dict[str, Any]) -> None:
        emitted = self._drawn.behave(node, given)
        self.fired[node.id].append((self._drawn.resolve(node, given), emitted))
        for pin, value in emitted:
            for link in node.outgoing:
                picked = pick(link.source_name, pin, value)
                where = link.sink_id, link.sink_name
                if picked is not MISSING and link.is_static:
                    self._statics[where] = picked
                elif picked is not MISSING:
                    self._streams.setdefault(where, deque()).append(picked)


def pick(source_name: str, pin: str, value: Mapping[str, Any]) -> Any:
    """Return what the links of random plans select."""
    if source_name == pin:
        return value
    if pin != "out":
        return MISSING
    parts = {"out_#_trace": value["trace"], "out_#_parts_$_0": value["parts"][0]}
    return parts.get(source_name, MISSING)
