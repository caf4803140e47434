"""From a claim to something to run: the block's validated inputs, or the reason why there are none."""

from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from execution.engine.exceptions import InputsInvalidError
from execution.engine.inputs import resolve_inputs
from execution.engine.pins import TOOL_PREFIX, base_pin
from execution.exceptions import InputsRefusedError, ValueNotStorableError
from execution.large_values import read_all
from execution.planning import GraphPlan, NodeSpec, load_plan
from execution.simulation import Output, fill_missing, find_mock, made_up_outputs
from execution.store.claims import Claimed
from execution.values import to_json_value
from graphs.blocks.contract import ERROR_PIN, Block, BlockInputs, BlockOutputs
from graphs.exceptions import BlockError


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What an attempt does: run `block` on `inputs`, or emit `made_up` in its place."""

    graph: GraphPlan
    spec: NodeSpec
    block: Block[Any] | None = None
    inputs: BlockInputs | None = None
    made_up: list[Output] | None = None


def prepare(claimed: Claimed) -> Prepared:
    """Return what to do for a claim. Raises `BlockError` where the node can't run on these inputs."""
    graph = load_plan(claimed.graph_version_id)
    spec = graph.specs[claimed.node_id]
    if claimed.simulate:
        own = {key: form for key, form in claimed.mocks.items() if key in (str(spec.plan.id), spec.plan.block_id)}
        made_up = find_mock(read_all(own), spec)
        if made_up is None and not spec.runs_in_simulation:
            made_up = made_up_outputs(spec)
        if made_up is not None:
            return Prepared(graph=graph, spec=spec, made_up=made_up)
    if spec.block is None:
        raise InputsRefusedError(f"We have no block “{spec.name}”, so the node can't run.")
    return Prepared(graph=graph, spec=spec, block=spec.block, inputs=_validate_inputs(claimed, spec, spec.block))


def _validate_inputs(claimed: Claimed, spec: NodeSpec, block: Block[Any]) -> BlockInputs:
    try:
        inputs = resolve_inputs(node=spec.plan, delivered=read_all(claimed.inputs), mask=read_all(claimed.mask))
        if claimed.simulate:
            inputs = fill_missing(spec, inputs)
        if spec.is_agent:
            inputs = {**spec.constants, "user_id": str(claimed.user_id), "inputs": inputs}
        return block.Inputs.model_validate(inputs)
    except InputsInvalidError as error:
        raise InputsRefusedError(_explain_inputs(error.problems)) from error
    except ValidationError as error:
        problems = {".".join(str(part) for part in each["loc"]): each["msg"] for each in error.errors()}
        raise InputsRefusedError(_explain_inputs(problems)) from error


def _explain_inputs(problems: dict[str, str]) -> str:
    return "Invalid inputs: " + "; ".join(f"{pin}: {problem}" for pin, problem in sorted(problems.items()))


def check_output(block: Block[Any], pin: str, value: Any) -> Any:
    """Return an emitted value as JSON data.

    Raises `BlockError` if it has no JSON form, or if the block declares no such pin or another type for it.
    """
    if pin == ERROR_PIN:
        raise BlockError(str(value))
    adapter = _output_adapter(block.Outputs, TOOL_PREFIX if pin.startswith(TOOL_PREFIX) else base_pin(pin))
    if adapter is None:
        raise BlockError(f"The block emitted on a pin that it doesn't have: “{pin}”.")
    try:
        if value is not None:
            adapter.validate_python(value)
        return to_json_value(value)
    except ValidationError as error:
        raise BlockError(f"The block emitted a wrong value on “{pin}”: {error.errors()[0]['msg']}") from error
    except ValueNotStorableError as error:
        raise BlockError(f"The block emitted on “{pin}” what can't be stored. {error}") from error


@cache
def _output_adapter(outputs: type[BlockOutputs], pin: str) -> TypeAdapter[Any] | None:
    if pin == TOOL_PREFIX:
        return TypeAdapter(Any)
    for name, field in outputs.model_fields.items():
        if (field.alias or name) == pin:
            return TypeAdapter(cast(Any, field.annotation))
    return None
