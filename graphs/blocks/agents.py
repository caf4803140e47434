"""The block that runs another graph."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Kind, RunGraph, Yielded
from graphs.exceptions import BlockError


class AgentExecutorInputs(BlockInputs):
    """Which graph to run, and with what."""

    user_id: str = Field(description="Whose graph it is; a run uses the graphs of its own user.")
    graph_id: str = Field(description="The graph.")
    graph_version: int = Field(description="Its version.")
    agent_name: str | None = Field(default=None, description="What it is called here.")
    inputs: dict[str, Any] = Field(description="The run's inputs by name.")
    input_schema: dict[str, Any] = Field(description="The graph's inputs, as a JSON Schema: the pins on the left.")
    output_schema: dict[str, Any] = Field(description="The graph's outputs, as a JSON Schema: the pins on the right.")
    nodes_input_masks: dict[str, Any] | None = Field(
        default=None, description="Values that replace inputs of its nodes."
    )


class AgentExecutorOutputs(BlockOutputs):
    """The outputs of the other graph, under their own names, come beside these."""


class AgentExecutorBlock(Block[AgentExecutorInputs]):
    """Runs another graph and emits its outputs; holds no worker meanwhile."""

    id = "e189baac-8c20-45a1-94a7-55177ea42565"
    name = "AgentExecutorBlock"
    description = "Runs another graph: its pins are that graph's inputs and outputs."
    kind = Kind.AGENT
    Inputs = AgentExecutorInputs
    Outputs = AgentExecutorOutputs
    examples = (
        Example(
            inputs={
                "user_id": "somebody",
                "graph_id": "0190f3f4-0000-7000-8000-000000000000",
                "graph_version": 1,
                "inputs": {"City": "Graz"},
                "input_schema": {},
                "output_schema": {},
            },
            outputs=(),
        ),
    )

    def run(self, inputs: AgentExecutorInputs, context: BlockContext) -> Iterator[Yielded]:
        """Have the graph run; the engine emits its outputs."""
        try:
            graph_id = UUID(inputs.graph_id)
        except ValueError as error:
            raise BlockError(f"There is no graph {inputs.graph_id[:100]!r}: that is not a UUID.") from error
        yield RunGraph(
            graph_id=graph_id,
            graph_version=inputs.graph_version,
            inputs=inputs.inputs,
            nodes_input_masks=inputs.nodes_input_masks,
        )
