"""Blocks that do next to nothing, or one well-known thing: what remains is the engine's own time."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from bench.fibonacci import fibonacci
from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Cost, Example, Yielded

# Of each node execution that is measured: set aside before it, charged with its result, an entry in the ledger.
COSTS: Final = (Cost(amount=1),)


class NoOpInputs(BlockInputs):
    """What comes in is passed on, or thrown away."""

    value: Any = Field(default=None, description="What is passed on.")
    items: list[Any] = Field(default_factory=list, description="What several predecessors emit; it is only waited for.")


class ValueOutputs(BlockOutputs):
    """One value."""

    value: Any = Field(description="The value.")


class NoOpBlock(Block[NoOpInputs]):
    """Waits for all that comes in, and emits once."""

    id = "6c1d2f0a-93f5-4a4b-8d0e-5be5b1f4c001"
    name = "NoOpBlock"
    description = "Emits its value."
    Inputs = NoOpInputs
    Outputs = ValueOutputs
    costs = COSTS
    examples = (Example(inputs={"value": 1}, outputs=(("value", 1),)),)

    def run(self, inputs: NoOpInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit."""
        yield "value", inputs.value


class StampOutputs(BlockOutputs):
    """When it was."""

    stamp: dict[str, Any] = Field(description="`value`: what came in; `seen`: the time (seconds since 1970).")


class FibInputs(BlockInputs):
    """Which number."""

    value: Any = Field(default=None, description="Only waited for.")
    n: int = Field(default=33, ge=0, description="Which Fibonacci number to work out, the slow way.")


class FibBlock(Block[FibInputs]):
    """Keeps a core busy for a while."""

    id = "6c1d2f0a-93f5-4a4b-8d0e-5be5b1f4c002"
    name = "FibBlock"
    description = "Works out a Fibonacci number by recursion."
    Inputs = FibInputs
    Outputs = ValueOutputs
    costs = COSTS
    examples = (Example(inputs={"n": 10}, outputs=(("value", 55),)),)

    def run(self, inputs: FibInputs, context: BlockContext) -> Iterator[Yielded]:
        """Compute, emit."""
        yield "value", fibonacci(inputs.n)


class WaitInputs(BlockInputs):
    """How long."""

    value: Any = Field(default=None, description="What is passed on.")
    seconds: float = Field(default=1.0, ge=0, description="How long to wait, on the event loop.")


class WaitBlock(Block[WaitInputs]):
    """Waits without doing anything, as a call to a slow service does."""

    id = "6c1d2f0a-93f5-4a4b-8d0e-5be5b1f4c003"
    name = "WaitBlock"
    description = "Waits on the event loop, then emits."
    Inputs = WaitInputs
    Outputs = ValueOutputs
    costs = COSTS
    examples = (Example(inputs={"value": 1, "seconds": 0}, outputs=(("value", 1),)),)

    async def run(self, inputs: WaitInputs, context: BlockContext) -> AsyncIterator[Yielded]:
        """Wait, emit."""
        await asyncio.sleep(inputs.seconds)
        yield "value", inputs.value


class StampBlock(Block[NoOpInputs]):
    """Tells when it ran."""

    id = "6c1d2f0a-93f5-4a4b-8d0e-5be5b1f4c006"
    name = "StampBlock"
    description = "Emits what came in, and the time."
    Inputs = NoOpInputs
    Outputs = StampOutputs
    costs = COSTS
    # When it ran is what matters: so it is never taken along with others, and one of two goes by a message.
    leaves_traces = True
    examples = (Example(inputs={"value": 1}, outputs=(("stamp", lambda stamp: stamp["seen"] > stamp["value"]),)),)

    def run(self, inputs: NoOpInputs, context: BlockContext) -> Iterator[Yielded]:
        """Look at the clock, emit."""
        yield "stamp", {"value": inputs.value, "seen": time.time()}


class StreamInputs(BlockInputs):
    """How many, and how fast."""

    count: int = Field(default=100, ge=0, description="How many values to emit.")
    first_pause: float = Field(default=0.0, ge=0, description="How long (seconds) to go on after the first one.")


class StreamOutputs(BlockOutputs):
    """Times, and what it took to emit them."""

    value: float = Field(description="When it was emitted (seconds since 1970).")
    peak_kib: int = Field(description="The most memory (KiB) that the process has had so far; last of all.")


class StreamBlock(Block[StreamInputs]):
    """Emits many values while it runs."""

    id = "6c1d2f0a-93f5-4a4b-8d0e-5be5b1f4c004"
    name = "StreamBlock"
    description = "Emits many times, one after the other."
    Inputs = StreamInputs
    Outputs = StreamOutputs
    costs = COSTS
    examples = (
        Example(inputs={"count": 1}, outputs=(("value", lambda now: now > 0), ("peak_kib", lambda kib: kib > 0))),
    )

    def run(self, inputs: StreamInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit, now and then."""
        for number in range(inputs.count):
            yield "value", time.time()
            if number == 0:
                time.sleep(inputs.first_pause)
        yield "peak_kib", _peak_kib()


class EndlessInputs(BlockInputs):
    """Where to say that it runs."""

    mark: str = Field(description="A file that is made at the start; its end is marked beside it, with `.ended`.")


class EndlessBlock(Block[EndlessInputs]):
    """Never ends by itself: somebody has to stop it."""

    id = "6c1d2f0a-93f5-4a4b-8d0e-5be5b1f4c005"
    name = "EndlessBlock"
    description = "Keeps a process until it is stopped."
    Inputs = EndlessInputs
    Outputs = BlockOutputs
    costs = COSTS
    examples = ()

    def run(self, inputs: EndlessInputs, context: BlockContext) -> Iterator[Yielded]:
        """Mark the start, wait, mark the end."""
        yield from ()
        Path(inputs.mark).write_text(str(os.getpid()))
        try:
            while True:
                time.sleep(1000)
        finally:
            Path(f"{inputs.mark}.ended").touch()


def _peak_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0
