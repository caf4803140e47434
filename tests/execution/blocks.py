"""Blocks that only tests need: they take their time, or misbehave."""

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx
from pydantic import Field

from graphs.blocks.contract import (
    Block,
    BlockContext,
    BlockInputs,
    BlockOutputs,
    Example,
    RunGraph,
    Sleep,
    Yielded,
)
from graphs.exceptions import BlockError


class LongTextInputs(BlockInputs):
    """How much to write."""

    value: int = Field(description="What the text begins with.")
    length: int = Field(description="How many letters there are.")


class LongTextOutputs(BlockOutputs):
    """What was written."""

    text: str = Field(description="The text.")


class LongTextBlock(Block[LongTextInputs]):
    """Emits a long text, another one for each value."""

    id = "0f8a5b0e-3d0b-4a57-9d7a-6c8f3f1f2a11"
    name = "LongTextBlock"
    description = "Writes a long text."
    Inputs = LongTextInputs
    Outputs = LongTextOutputs
    examples = (Example(inputs={"value": 7, "length": 3}, outputs=(("text", "7xx"),)),)

    def run(self, inputs: LongTextInputs, context: BlockContext) -> Iterator[Yielded]:
        """Write."""
        yield "text", str(inputs.value).ljust(inputs.length, "x")


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


class FailsOnceInputs(BlockInputs):
    """What to pass on, and what to fail at."""

    value: int = Field(description="What is passed on.")
    fails_at: int = Field(description="The value at which it fails the first time.")


class FailsOnceOutputs(BlockOutputs):
    """What comes before the failure and after it."""

    before: int = Field(description="The value, at once.")
    after: int = Field(description="The value, where it doesn't fail.")


class FailsOnceBlock(Block[FailsOnceInputs]):
    """Fails the first time that a value comes."""

    id = "5a2f0a52-2c6e-4f0b-9a55-4a8d3a9d2b77"
    name = "FailsOnceBlock"
    description = "Fails at one value, but not twice."
    Inputs = FailsOnceInputs
    Outputs = FailsOnceOutputs
    examples = ()

    def run(self, inputs: FailsOnceInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit, fail perhaps, emit."""
        yield "before", inputs.value
        if inputs.value == inputs.fails_at and not context.memory.get("failed", across_agents=False):
            context.memory.set("failed", True, across_agents=False)
            raise BlockError("Not yet.")
        yield "after", inputs.value


class EndlessInputs(BlockInputs):
    """What to do until somebody stops it."""

    how: str = Field(description="sleep, loop, c_call, stubborn; async: wait, http, once, crash, crash_in_thread, too.")
    mark: str = Field(description="The file into which the process id is written at the start.")
    address: str = Field(default="", description="Of a server that doesn't answer.")


class EndlessOutputs(BlockOutputs):
    """Nothing."""


class EndlessBlock(Block[EndlessInputs]):
    """Never ends by itself."""

    id = "5a2f0a52-2c6e-4f0b-9a55-4a8d3a9d2b05"
    name = "EndlessBlock"
    description = "Keeps a worker busy for ever, in a way to choose."
    Inputs = EndlessInputs
    Outputs = EndlessOutputs
    examples = ()

    def run(self, inputs: EndlessInputs, context: BlockContext) -> Iterator[Yielded]:
        """Mark the start, and don't end."""
        yield from ()
        Path(inputs.mark).write_text(str(os.getpid()))
        getattr(self, f"_{inputs.how}")()

    def _sleep(self) -> None:
        time.sleep(1000)

    def _loop(self) -> None:
        count = 0
        while True:
            count += 1

    def _c_call(self) -> None:
        sum(range(10**13))

    def _stubborn(self) -> None:
        while True:
            with suppress(BaseException):
                time.sleep(1000)


class EndlessAsyncBlock(Block[EndlessInputs]):
    """The same as a coroutine, which also marks its end."""

    id = "5a2f0a52-2c6e-4f0b-9a55-4a8d3a9d2b06"
    name = "EndlessAsyncBlock"
    description = "Waits for ever, in a way to choose."
    Inputs = EndlessInputs
    Outputs = EndlessOutputs
    examples = ()

    async def run(self, inputs: EndlessInputs, context: BlockContext) -> AsyncIterator[Yielded]:
        """Mark the start, and don't end."""
        nothing: list[Yielded] = []
        for item in nothing:
            yield item
        Path(inputs.mark).write_text(str(os.getpid()))
        if inputs.how == "once" and context.attempt > 1:
            return
        try:
            await getattr(self, f"_{inputs.how}")(inputs)
        finally:
            Path(f"{inputs.mark}.ended").touch()

    async def _wait(self, inputs: EndlessInputs) -> None:
        await asyncio.sleep(1000)

    async def _http(self, inputs: EndlessInputs) -> None:
        async with httpx.AsyncClient(timeout=1000) as client:
            await client.get(inputs.address)

    async def _sleep(self, inputs: EndlessInputs) -> None:
        time.sleep(1000)

    async def _once(self, inputs: EndlessInputs) -> None:
        time.sleep(1000)

    async def _loop(self, inputs: EndlessInputs) -> None:
        count = 0
        while True:
            count += 1

    async def _c_call(self, inputs: EndlessInputs) -> None:
        sum(range(10**13))

    async def _crash(self, inputs: EndlessInputs) -> None:
        await asyncio.sleep(0.3)  # for its neighbours to be there
        ctypes.string_at(0)

    async def _crash_in_thread(self, inputs: EndlessInputs) -> None:
        await asyncio.sleep(0.3)
        await asyncio.to_thread(self._die_late)

    def _die_late(self) -> None:
        time.sleep(0.1)  # the loop is in nobody's code by now
        os.kill(os.getpid(), signal.SIGKILL)

    async def _stubborn(self, inputs: EndlessInputs) -> None:
        with Path(f"{inputs.mark}.beats").open("a") as beats:
            while True:
                with suppress(BaseException):
                    await asyncio.sleep(0.05)
                beats.write("x")
                beats.flush()


class VisitInputs(BlockInputs):
    """Which graph to visit."""

    graph_id: str = Field(description="A graph without inputs.")


class VisitOutputs(BlockOutputs):
    """What comes between the waits."""

    item: float = Field(description="What the other graph emits under this name.")
    between: str = Field(description="Comes after the other graph's outputs.")
    last: str = Field(description="Comes after a moment's sleep.")


class VisitBlock(Block[VisitInputs]):
    """Runs another graph, emits, sleeps, emits: several waits in one block."""

    id = "5a2f0a52-2c6e-4f0b-9a55-4a8d3a9d2b07"
    name = "VisitBlock"
    description = "Waits in more than one way."
    Inputs = VisitInputs
    Outputs = VisitOutputs
    examples = ()

    def run(self, inputs: VisitInputs, context: BlockContext) -> Iterator[Yielded]:
        """Visit, emit, sleep, emit."""
        yield RunGraph(graph_id=UUID(inputs.graph_id), graph_version=1, inputs={})
        yield "between", "sub-run over"
        yield Sleep(0.01)
        yield "last", "slept"
