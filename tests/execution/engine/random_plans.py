"""Random graphs, and blocks for them whose outputs depend on nothing but their inputs."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from execution.engine.inputs import resolve_inputs
from execution.engine.machine import Key, Machine
from execution.engine.plan import Plan, PlanNode
from tests.execution.engine.sketches import sketch

FUEL = 5
LIMIT = 400
SINK_PINS = ("a", "b", "c", "c_#_x", "c_#_y", "c_$_1")
SOURCE_PINS = ("out", "out", "more", "out_#_parts_$_0", "out_#_trace", "out_$_0", "out_#_parts_$_7", "error")
STATIC_SOURCES = ("kept", "stays")


@dataclass(frozen=True, kw_only=True, repr=False)
class Drawn:
    """A graph, and the values that the run puts in place of what links deliver."""

    plan: Plan
    masks: Mapping[UUID, Mapping[str, Any]] = field(default_factory=dict)

    def __repr__(self) -> str:
        names = {key: node.name for key, node in self.plan.nodes.items()}
        links = [
            f"{names[link.source_id]}.{link.source_name} {'=>' if link.is_static else '->'} {name}.{link.sink_name}"
            for key, name in names.items()
            for link in self.plan.nodes[key].incoming
        ]
        entries = [node.name for node in self.plan.nodes.values() if node.is_input]
        loose = [node.name for node in self.plan.nodes.values() if not node.ordered]
        masks = {names[key]: dict(mask) for key, mask in self.masks.items()}
        return f"Drawn({links=}, {entries=}, {loose=}, {masks=})"

    def run(self, schedule: bytes) -> Machine:
        """Run it to its end; each byte of `schedule` chooses who takes the next step."""
        machine = self.machine()
        machine.run(choose_by(schedule))
        return machine

    def machine(self) -> Machine:
        """Return it as it stands before its first step."""
        masked = {key: frozenset(mask) for key, mask in self.masks.items()}
        return Machine(self.plan, behave=self.behave, masks=masked, limit=LIMIT)

    def behave(self, node: PlanNode, delivered: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Emit what follows from the inputs alone. Fuel runs out, so every cycle ends."""
        inputs = self.resolve(node, delivered)
        trace = sha1(json.dumps([node.name, inputs]).encode(), usedforsecurity=False).hexdigest()
        if node.is_output:
            return [("output", trace)]
        fuel = min(_fuels(delivered), default=0 if delivered else FUEL) - 1
        if fuel < 0:
            return []
        if node.name in STATIC_SOURCES:
            return [("out", _make_value(trace, fuel))]
        count = int(trace[0], 16) % 3 + (not delivered)
        script = [
            (_choose_pin(trace[number]), _make_value(f"{trace}.{number}", fuel)) for number in range(1, 1 + count)
        ]
        failed = next((at for at, (pin, _) in enumerate(script) if pin == "error"), len(script))
        return script[: failed + 1]

    def resolve(self, node: PlanNode, delivered: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs that a block would see."""
        return resolve_inputs(node=node, delivered=delivered, mask=self.masks.get(node.id))


def is_masked(pin: str, masks: Collection[str]) -> bool:
    """Say whether a mask stands in for a sink pin of a random plan."""
    return pin in masks or pin.partition("_")[0] in masks


def _choose_pin(digit: str) -> str:
    return {"0": "error", "1": "more", "2": "more"}.get(digit, "out")


def _make_value(trace: str, fuel: int) -> dict[str, Any]:
    return {"trace": trace, "fuel": fuel, "parts": [{"trace": f"{trace}/0", "fuel": fuel}]}


def _fuels(value: Any) -> Iterator[int]:
    if isinstance(value, Mapping):
        yield from [value["fuel"]] if "fuel" in value else []
        for each in value.values():
            yield from _fuels(each)


def choose_by(schedule: bytes) -> Callable[[Sequence[Key]], Key]:
    """Return who goes next, as the bytes say, from the start again when they are used up."""
    taken = 0

    def choose(runnable: Sequence[Key]) -> Key:
        nonlocal taken
        byte = schedule[taken % len(schedule)] if schedule else 0
        taken += 1
        return runnable[byte % len(runnable)]

    return choose


schedules = st.binary(max_size=48)


@st.composite
def deterministic_plans(draw: st.DrawFn) -> Drawn:
    """One link into each pin, static links only from nodes that fire once: any schedule gives the same run."""
    count = draw(st.integers(2, 6))
    names = [f"n{number}" for number in range(count)]
    entries = {name for name in names[1:] if draw(st.integers(0, 3)) == 0}
    links = []
    for number, name in enumerate(names[1:], start=1):
        # Only an INPUT node fires before its links deliver, so only there a cycle can begin.
        sources = names if name in entries else names[:number]
        pins = draw(st.lists(st.sampled_from(SINK_PINS), min_size=1, max_size=3, unique=True))
        links += [_draw_deterministic_link(draw, sources, f"{name}.{pin}") for pin in pins]
    links += _link_outputs(draw, names)
    return _finish(draw, links, names, entries=entries, ordered=True)


def _draw_deterministic_link(draw: st.DrawFn, sources: Sequence[str], sink: str) -> str:
    if draw(st.integers(0, 4)) == 0:
        return f"{draw(st.sampled_from(STATIC_SOURCES))}.out => {sink}"
    return f"{draw(st.sampled_from(sources))}.{draw(st.sampled_from(SOURCE_PINS))} -> {sink}"


@st.composite
def arbitrary_plans(draw: st.DrawFn) -> Drawn:
    """Anything: several links into a pin, cycles, static links from nodes that fire often."""
    count = draw(st.integers(2, 6))
    names = [f"n{number}" for number in range(count)]
    entries = {name for name in names[1:] if draw(st.integers(0, 4)) == 0}
    links = []
    for number, name in enumerate(names[1:], start=1):
        for pin in draw(st.lists(st.sampled_from(SINK_PINS), min_size=1, max_size=2, unique=True)):
            sources = [names[draw(st.integers(0, number - 1))], *draw(st.lists(st.sampled_from(names), max_size=2))]
            links += [_draw_link(draw, source, f"{name}.{pin}") for source in sources]
    links += _link_outputs(draw, names)
    return _finish(draw, links, names, entries=entries, ordered=False)


def _draw_link(draw: st.DrawFn, source: str, sink: str) -> str:
    arrow = "=>" if draw(st.integers(0, 4)) == 0 else "->"
    return f"{source}.{draw(st.sampled_from(SOURCE_PINS))} {arrow} {sink}"


def _link_outputs(draw: st.DrawFn, names: Sequence[str]) -> list[str]:
    sources = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    return [f"{source}.out -> leaves{number}.value" for number, source in enumerate(sources)]


def _finish(draw: st.DrawFn, links: Sequence[str], names: Sequence[str], *, entries: set[str], ordered: bool) -> Drawn:
    fields: dict[str, dict[str, Any]] = {name: {"is_input": name in entries} for name in names}
    for name in names:
        fields[name]["ordered"] = ordered or draw(st.integers(0, 3)) > 0
    for number in range(2):
        fields[f"leaves{number}"] = {"is_output": True, "input_default": {"name": f"result {number}"}}
    plan = sketch(*links, **fields)
    masks = {}
    for node in plan.nodes.values():
        # A mask on every connected pin would make the node fire with each arrival, in whatever order they come.
        if node.connected and draw(st.integers(0, 5)) == 0:
            mask = draw(st.sampled_from(sorted(node.connected)))
            if any(not is_masked(pin, {mask}) for pin in node.connected):
                masks[node.id] = {mask: "masked"}
    return Drawn(plan=plan, masks=masks)


@st.composite
def endless_plans(draw: st.DrawFn) -> Plan:
    """A ring that is fed once and never stops, with links across it."""
    count = draw(st.integers(1, 5))
    ring = [f"n{number}.out -> n{(number + 1) % count}.a" for number in range(count)]
    numbers = st.integers(0, count - 1)
    across = draw(st.lists(st.tuples(numbers, numbers), max_size=3))
    return sketch("seed.out -> n0.a", *ring, *(f"n{source}.out -> n{sink}.a" for source, sink in across))


def emit_once(_node: PlanNode, _delivered: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Emit one value, whatever came."""
    return [("out", 1)]
