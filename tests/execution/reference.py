"""What a run must end with: the engine's machine in memory, with the real blocks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from execution.engine.inputs import resolve_inputs
from execution.engine.machine import Key, Machine
from execution.engine.plan import PlanNode
from execution.planning import GraphPlan
from execution.values import to_json_value
from graphs.blocks.registry import get_block
from tests.graphs.blocks.running import run_block


def run_in_memory(graph: GraphPlan, input_data: Mapping[str, Any]) -> Machine:
    """Run a graph without waits to its end, oldest node execution first."""
    named = graph.input_nodes()
    inputs_of: dict[UUID, dict[str, Any]] = {
        node.id: {"value": value} for name, value in input_data.items() for node in named[name]
    }
    machine = Machine(graph.plan, behave=_behave, inputs_of=inputs_of)
    machine.run(_oldest)
    return machine


def outputs_by_name(outputs: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    """Return a run's outputs as users see them."""
    by_name: dict[str, list[Any]] = {}
    for name, value in outputs:
        by_name.setdefault(name, []).append(value)
    return by_name


def _behave(node: PlanNode, delivered: Mapping[str, Any]) -> list[tuple[str, Any]]:
    ran = run_block(get_block(node.block_id), resolve_inputs(node=node, delivered=delivered))
    return [(pin, to_json_value(value)) for pin, value in ran.outputs]


def _oldest(runnable: Sequence[Key]) -> Key:
    return runnable[0]
