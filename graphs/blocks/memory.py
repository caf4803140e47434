"""Blocks that remember values from one run to the next."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded

StorageScope = Literal["within_agent", "across_agents"]
SCOPE = "Who shares it: the runs of this graph (within_agent), or all graphs of the user (across_agents)."


class PersistInformationInputs(BlockInputs):
    """What to remember."""

    key: str = Field(description="The key to keep it under.")
    value: Any = Field(description="What to remember.")
    scope: StorageScope = Field(default="within_agent", description=SCOPE)


class PersistInformationOutputs(BlockOutputs):
    """What was remembered."""

    value: Any = Field(description="What was remembered.")


class PersistInformationBlock(Block[PersistInformationInputs]):
    """Remembers a value."""

    id = "1d055e55-a2b9-4547-8311-907d05b0304d"
    name = "PersistInformationBlock"
    description = "Remembers a value for later runs."
    Inputs = PersistInformationInputs
    Outputs = PersistInformationOutputs
    leaves_traces = True
    examples = (Example(inputs={"key": "theme", "value": {"dark": True}}, outputs=(("value", {"dark": True}),)),)

    def run(self, inputs: PersistInformationInputs, context: BlockContext) -> Iterator[Yielded]:
        """Keep the value, and hand it on."""
        context.memory.set(inputs.key, inputs.value, across_agents=inputs.scope == "across_agents")
        yield "value", inputs.value


class RetrieveInformationInputs(BlockInputs):
    """What to recall."""

    key: str = Field(description="The key it was kept under.")
    scope: StorageScope = Field(default="within_agent", description=SCOPE)
    default_value: Any = Field(default=None, description="What to emit if there is nothing under the key.")


class RetrieveInformationOutputs(BlockOutputs):
    """What was recalled."""

    value: Any = Field(description="What was kept, or the default value.")


class RetrieveInformationBlock(Block[RetrieveInformationInputs]):
    """Recalls what `PersistInformationBlock` kept. It emits in any case, if need be None."""

    id = "d8710fc9-6e29-481e-a7d5-165eb16f8471"
    name = "RetrieveInformationBlock"
    description = "Recalls a value that an earlier run remembered."
    static_output = True
    Inputs = RetrieveInformationInputs
    Outputs = RetrieveInformationOutputs
    examples = (
        Example(inputs={"key": "theme"}, memory={"theme": "dark"}, outputs=(("value", "dark"),)),
        Example(inputs={"key": "theme", "default_value": "light"}, outputs=(("value", "light"),)),
        Example(inputs={"key": "theme"}, outputs=(("value", None),)),
    )

    def run(self, inputs: RetrieveInformationInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit what is kept under the key."""
        kept = context.memory.get(inputs.key, across_agents=inputs.scope == "across_agents")
        yield "value", inputs.default_value if kept is None else kept
