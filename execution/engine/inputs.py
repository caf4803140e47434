"""What a node execution works with: constants, overlaid by what links delivered, overlaid by the run's masks."""

from collections.abc import Collection, Mapping
from typing import Any

from execution.engine.coercion import coerce
from execution.engine.pins import assemble, base_pin
from execution.engine.plan import PlanNode


def resolve_inputs(
    *, node: PlanNode, delivered: Mapping[str, Any], mask: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the inputs of one node execution, assembled and coerced, ready to be validated by the block.

    Raises `InputsInvalidError` for a nested pin with an impossible list index.
    """
    mask = mask or {}
    below = {**node.input_default, **_in_link_order(node, delivered)}
    below = {name: value for name, value in below.items() if base_pin(name, known=node.pins) not in mask}
    overlaid = _without_defaulted_nones(node, {**below, **mask})
    # Twice: JSON text becomes a container that parts can be put into, and what was put together gets its type.
    return _coerced(node, assemble(_coerced(node, overlaid), known=node.pins))


def can_be_invalid(*, node: PlanNode, delivered: Collection[str], mask: Mapping[str, Any]) -> bool:
    """Whether `resolve_inputs` may refuse these, told quickly by their names; if it says no, it surely doesn't."""
    sound = node.sound
    return not (node.input_default.keys() <= sound and sound.issuperset(delivered) and mask.keys() <= sound)


def _in_link_order(node: PlanNode, delivered: Mapping[str, Any]) -> dict[str, Any]:
    """Which pin was filled first depends on timing; what is assembled from the pins must not."""
    linked = {link.sink_name: delivered[link.sink_name] for link in node.incoming if link.sink_name in delivered}
    return {**linked, **delivered}


def _without_defaulted_nones(node: PlanNode, inputs: Mapping[str, Any]) -> dict[str, Any]:
    def falls_back(name: str) -> bool:
        pin = node.pins.get(name)
        return pin is not None and pin.has_default

    return {name: value for name, value in inputs.items() if value is not None or not falls_back(name)}


def _coerced(node: PlanNode, inputs: Mapping[str, Any]) -> dict[str, Any]:
    pins = node.pins
    return {name: coerce(value, pins[name].schema) if name in pins else value for name, value in inputs.items()}
