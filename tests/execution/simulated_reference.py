"""What a simulated run must end with: the engine's machine in memory, sub-runs included."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from execution.engine.exceptions import InputsInvalidError
from execution.engine.inputs import resolve_inputs
from execution.engine.machine import Machine
from execution.engine.plan import PlanNode
from execution.engine.statuses import Status
from execution.planning import GraphPlan, NodeSpec
from execution.simulation import complete_inputs, fill_missing, find_mock, made_up_outputs
from execution.values import to_json_value
from graphs.blocks.registry import get_block
from tests.graphs.blocks.running import run_block

FindGraph = Callable[[UUID, int], GraphPlan]


class SimulatedTree:
    """A simulated run in memory, with the runs below it, each of which runs to its end at once."""

    def __init__(self, find_graph: FindGraph, *, mocks: Mapping[str, Any], limit: int = 10_000) -> None:
        self.machines: list[Machine] = []
        self._find_graph = find_graph
        self._mocks = mocks
        self._limit = limit

    def run(self, graph: GraphPlan, input_data: Mapping[str, Any]) -> Machine:
        """Run a graph, oldest node execution first."""
        inputs = complete_inputs(graph, input_data, masks={}, mocks=self._mocks)
        named = graph.input_nodes()
        machine = Machine(
            graph.plan,
            behave=lambda node, delivered: self._behave(graph.specs[node.id], node, delivered),
            inputs_of={node.id: {"value": value} for name, value in inputs.items() for node in named[name]},
            masks=graph.mask_pins({}, simulate=True),
            limit=self._limit,
        )
        self.machines.append(machine)
        machine.run(lambda runnable: runnable[0])
        return machine

    def count_firings(self) -> Counter[UUID]:
        """Return how often each node fired, in all runs."""
        return Counter(
            node_id
            for machine in self.machines
            for (node_id, _), step in machine.steps.items()
            if step.status is not Status.INCOMPLETE
        )

    def _behave(self, spec: NodeSpec, node: PlanNode, delivered: Mapping[str, Any]) -> list[tuple[str, Any]]:
        mocked = find_mock(self._mocks, spec)
        if mocked is not None:
            return mocked
        if not spec.runs_in_simulation:
            return made_up_outputs(spec)
        try:
            inputs = fill_missing(spec, resolve_inputs(node=node, delivered=delivered))
            if spec.is_agent:
                return self._run_sub_graph(spec.constants, inputs)
            ran = run_block(get_block(node.block_id), inputs)
        except (InputsInvalidError, ValidationError):
            return [("error", "Invalid inputs.")]
        return [(pin, to_json_value(value)) for pin, value in ran.outputs]

    def _run_sub_graph(self, constants: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[tuple[str, Any]]:
        graph = self._find_graph(UUID(constants["graph_id"]), constants["graph_version"])
        return self.run(graph, inputs).outputs
