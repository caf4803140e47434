"""Blocks that only tests need: they take their time, or misbehave."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded


class PauseInputs(BlockInputs):
    """How long to take."""

    value: float = Field(default=0, description="What is passed on.")
    seconds: float = Field(default=1.0, description="How long it takes.")


class PauseOutputs(BlockOutputs):
    """What comes before the pause and after it."""

    before: float = Field(description="The value, at once.")
    after: float = Field(description="The value, after the pause.")


class PlainPauseBlock(Block[PauseInputs]):
    """Emits, keeps its worker busy for a while, and emits again."""

    id = "5a2f0a52-2c6e-4f0b-9a55-4a8d3a9d2b01"
    name = "PlainPauseBlock"
    description = "Takes its time and a worker."
    Inputs = PauseInputs
    Outputs = PauseOutputs
    examples = (Example(inputs={"value": 1, "seconds": 0}, outputs=(("before", 1.0), ("after", 1.0))),)

    def run(self, inputs: PauseInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit, pause, emit."""
        yield "before", inputs.value
        time.sleep(inputs.seconds)
        yield "after", inputs.value


class AsyncPauseBlock(Block[PauseInputs]):
    """The same as a coroutine."""

    id = "5a2f0a52-2c6e-4f0b-9a55-4a8d3a9d2b02"
    name = "AsyncPauseBlock"
    description = "Takes its time on the event loop."
    Inputs = PauseInputs
    Outputs = PauseOutputs
    examples = (Example(inputs={"value": 1, "seconds": 0}, outputs=(("before", 1.0), ("after", 1.0))),)

    async def run(self, inputs: PauseInputs, context: BlockContext) -> AsyncIterator[Yielded]:
        """Emit, pause, emit."""
        yield "before", inputs.value
        await asyncio.sleep(inputs.seconds)
        yield "after", inputs.value


class TooSlowBlock(PlainPauseBlock):
    """A plain block that may take half a second."""

    id = "5a2f0a52-2c6e-4f0b-9a55-4a8d3a9d2b03"
    name = "TooSlowBlock"
    time_limit = timedelta(seconds=0.5)


class TooSlowAsyncBlock(AsyncPauseBlock):
    """A coroutine that may take half a second."""

    id = "5a2f0a52-2c6e-4f0b-9a55-4a8d3a9d2b04"
    name = "TooSlowAsyncBlock"
    time_limit = timedelta(seconds=0.5)
