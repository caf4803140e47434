"""Blocks for tests of what waits cost: they work before a wait and after it, and say what they use."""

import time
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

from pydantic import Field

from graphs.blocks.contract import (
    AskPerson,
    Block,
    BlockContext,
    BlockInputs,
    Cost,
    CostType,
    RetryPolicy,
    RunGraph,
    Sleep,
    Tokens,
    Yielded,
)
from graphs.exceptions import BlockError
from tests.execution.paid_blocks import PaidOutputs

WORKING = "9a3c5e70-1111-4222-8333-0000000000b1"
WORKING_ASYNC = "9a3c5e70-1111-4222-8333-0000000000b2"
TAKES = 0.2
"""Seconds that the work takes."""

# What a service elsewhere would remember: node executions by their idempotency keys.
_worked: set[str] = set()
_failed: set[str] = set()


class WorkingInputs(BlockInputs):
    """How it goes about its work."""

    waits: str = Field(default="sleep", description="What it waits for: sleep, ask, or a graph's id.")
    remembers: bool = Field(default=True, description="Whether what it has done is not done again after the wait.")
    fails: str = Field(default="", description="How it fails after the waits, once: for good, or to be tried again.")


class WorkingBlock(Block[WorkingInputs]):
    """Works and uses a bit of everything, waits twice, and uses a bit more: a credit for each started 0.1 seconds."""

    id = WORKING
    name = "WorkingBlock"
    Inputs = WorkingInputs
    Outputs = PaidOutputs
    costs = (Cost(amount=1, type=CostType.SECOND, divisor=0.1),)
    retry = RetryPolicy(max_attempts=2, first_delay=0.01, max_delay=0.02, retry_on=(ValueError,))

    def run(self, inputs: WorkingInputs, context: BlockContext) -> Iterator[Yielded]:
        work(inputs, context)
        yield wait_of(inputs)
        use(context, items=2)
        yield Sleep(0)
        fail_once(inputs, context)
        use(context, items=4)
        yield "value", 1


class WorkingAsyncBlock(Block[WorkingInputs]):
    """The same on the event loop."""

    id = WORKING_ASYNC
    name = "WorkingAsyncBlock"
    Inputs = WorkingInputs
    Outputs = PaidOutputs
    costs = WorkingBlock.costs

    async def run(self, inputs: WorkingInputs, context: BlockContext) -> AsyncIterator[Yielded]:
        work(inputs, context)
        yield wait_of(inputs)
        use(context, items=2)
        yield Sleep(0)
        use(context, items=4)
        yield "value", 1


def work(inputs: WorkingInputs, context: BlockContext) -> None:
    """Do what takes its time, once if the block remembers it."""
    if not (inputs.remembers and context.idempotency_key in _worked):
        time.sleep(TAKES)
        use(context, items=10)
        _worked.add(context.idempotency_key)


def fail_once(inputs: WorkingInputs, context: BlockContext) -> None:
    """Fail if it is to, and has not yet."""
    if inputs.fails and context.idempotency_key not in _failed:
        _failed.add(context.idempotency_key)
        raise BlockError("Not now.") if inputs.fails == "for good" else ValueError("Not yet.")


def use(context: BlockContext, *, items: int) -> None:
    """Say that something was used: so many items, each with a token and ten US dollars."""
    context.usage.add_items(items)
    context.usage.add_usd(10 * items)
    context.usage.add_tokens("large", Tokens(input=items))


def wait_of(inputs: WorkingInputs) -> Sleep | AskPerson | RunGraph:
    """Return the first wait."""
    if inputs.waits == "sleep":
        return Sleep(0)
    if inputs.waits == "ask":
        return AskPerson(name="question", data=1)
    return RunGraph(graph_id=UUID(inputs.waits), graph_version=1, inputs={})
