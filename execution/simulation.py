"""Simulated runs: the real engine, with made-up values where a block can't run or the run isn't given any."""

from collections.abc import Mapping, Sequence
from typing import Any

from execution.engine.pins import TOOLS_PIN, base_pin
from execution.engine.samples import make_sample
from execution.planning import GraphPlan, NodeSpec
from graphs.blocks.contract import ERROR_PIN
from graphs.blocks.interfaces import NO_DEFAULT

Output = tuple[str, Any]

VALUE_PIN = "value"
TYPE_KEYS = frozenset({"type", "anyOf", "oneOf", "allOf", "enum", "const"})


def made_up_outputs(spec: NodeSpec) -> list[Output]:
    """Return one value for each output pin, made from its declared type; `error` stays silent.

    Of a block that nobody knows, and of pins it doesn't declare, those that links leave from are taken.
    """
    declared = dict(spec.interface.outputs) if spec.interface else {}
    linked = {base_pin(link.source_name) for link in spec.plan.outgoing} - {TOOLS_PIN}
    pins: Mapping[str, Any] = {**declared, **{pin: {} for pin in sorted(linked) if pin not in declared}}
    return [(pin, make_sample(schema, name=pin)) for pin, schema in pins.items() if pin != ERROR_PIN]


def find_mock(mocks: Mapping[str, Any], spec: NodeSpec) -> list[Output] | None:
    """Return what the run's mocks say that the node emits; None if they say nothing.

    A mock is found by the node's id, else by its block's. It is `{pin: value}`, or `[[pin, value], …]` where the
    order matters or a pin emits more than once.
    """
    mock = mocks.get(str(spec.plan.id), mocks.get(spec.plan.block_id))
    if mock is None:
        return None
    if isinstance(mock, Mapping):
        return list(mock.items())
    return [(str(pin), value) for pin, value in _pairs(mock)]


def _pairs(mock: Any) -> Sequence[tuple[str, Any]]:
    return [tuple(pair) for pair in mock if isinstance(pair, list) and len(pair) == 2]


def fill_missing(spec: NodeSpec, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return `inputs` with made-up values for required pins that have none."""
    pins = spec.plan.pins
    missing = {name: make_sample(pin.schema, name=name) for name, pin in pins.items() if pin.required}
    return {**missing, **inputs}


def complete_inputs(
    graph: GraphPlan, given: Mapping[str, Any], *, masks: Mapping[str, Mapping[str, Any]], mocks: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the inputs of a simulated run: those that are `given`, and a sample for each that has no value otherwise.

    So an agent can be walked through without knowing what it wants. The sample has the type that the INPUT node
    declares, or, where it takes anything, that of the pin that its value goes to first; of options it is the first.
    """
    made_up = {
        name: _sample_input(graph, graph.specs[nodes[0].id], name)
        for name, nodes in graph.input_nodes().items()
        if name not in given
        and not any(_has_value(graph.specs[node.id], masks.get(str(node.id), {}), mocks) for node in nodes)
    }
    return {**given, **made_up}


def _has_value(spec: NodeSpec, mask: Mapping[str, Any], mocks: Mapping[str, Any]) -> bool:
    """Whether an INPUT node emits something, or is to get something, although the run isn't given its input."""
    if find_mock(mocks, spec) is not None or not spec.runs_in_simulation:
        return True
    pin = spec.interface.inputs.get(VALUE_PIN) if spec.interface else None
    linked = [link.sink_name for link in spec.plan.incoming]
    constants = [name for name, value in spec.plan.input_default.items() if value is not None]
    has_default = pin is not None and pin.default is not NO_DEFAULT and pin.default is not None
    return has_default or any(base_pin(name) == VALUE_PIN for name in (*linked, *constants, *mask))


def _sample_input(graph: GraphPlan, spec: NodeSpec, name: str) -> Any:
    options = spec.plan.input_default.get("options")
    if isinstance(options, list) and options:
        return options[0]
    wanted = [spec.plan.pins.get(VALUE_PIN)]
    wanted += [graph.specs[link.sink_id].plan.pins.get(link.sink_name) for link in spec.plan.outgoing]
    schemas = (pin.schema for pin in wanted if pin and not pin.schema.keys().isdisjoint(TYPE_KEYS))
    return make_sample(next(schemas, {}), name=name)
