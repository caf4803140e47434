"""Simulated runs: the real engine, with made-up values where a block can't run."""

from collections.abc import Mapping, Sequence
from typing import Any

from execution.engine.pins import TOOLS_PIN, base_pin
from execution.engine.samples import make_sample
from execution.planning import NodeSpec
from graphs.blocks.contract import ERROR_PIN

Output = tuple[str, Any]


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
