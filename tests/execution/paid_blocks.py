"""Blocks for tests of charges: each costs something."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from pydantic import Field

from graphs.blocks.contract import (
    Block,
    BlockContext,
    BlockInputs,
    BlockOutputs,
    Cost,
    CostType,
    RetryPolicy,
    Sleep,
    TokenRates,
    Tokens,
    Yielded,
)
from graphs.exceptions import BlockError

MODULES = ["graphs.blocks", "tests.execution.paid_blocks", "tests.execution.working_blocks"]

PAID = "9a3c5e70-1111-4222-8333-0000000000a1"
PAID_ASYNC = "9a3c5e70-1111-4222-8333-0000000000a2"
COUNTING = "9a3c5e70-1111-4222-8333-0000000000a3"
STERN = "9a3c5e70-1111-4222-8333-0000000000a4"
TALKING = "9a3c5e70-1111-4222-8333-0000000000a5"
BOASTING = "9a3c5e70-1111-4222-8333-0000000000a6"
BABBLING = "9a3c5e70-1111-4222-8333-0000000000a7"


class PaidInputs(BlockInputs):
    """What is passed on, for which price, and what goes wrong."""

    value: int = Field(default=0, description="What is passed on.")
    size: str = Field(default="small", description="Large ones cost more, free ones nothing.")
    failures: int = Field(default=0, description="How many attempts fail.")
    refuses: bool = Field(default=False, description="Whether it fails for good.")
    seconds: float = Field(default=0, description="How long it sleeps without a worker.")


class PaidOutputs(BlockOutputs):
    """The value."""

    value: int = Field(description="What came in.")


class PaidBlock(Block[PaidInputs]):
    """Costs 7 credits, or 20 where it is large."""

    id = PAID
    name = "PaidBlock"
    Inputs = PaidInputs
    Outputs = PaidOutputs
    costs = (
        Cost(amount=20, filter={"size": "large"}),
        Cost(amount=7, filter={"size": "small"}),
    )
    retry = RetryPolicy(max_attempts=3, first_delay=0.01, max_delay=0.02, retry_on=(ValueError,))

    def run(self, inputs: PaidInputs, context: BlockContext) -> Iterator[Yielded]:
        if inputs.refuses:
            raise BlockError("Never.")
        if context.attempt <= inputs.failures:
            raise ValueError("Not yet.")
        if inputs.seconds:
            yield Sleep(inputs.seconds)
        yield "value", inputs.value


class SternBlock(PaidBlock):
    """Costs 7 credits even if it fails."""

    id = STERN
    name = "SternBlock"
    charge_on_failure = True


class PaidAsyncBlock(Block[PaidInputs]):
    """Costs 7 credits, on the event loop."""

    id = PAID_ASYNC
    name = "PaidAsyncBlock"
    Inputs = PaidInputs
    Outputs = PaidOutputs
    costs = (Cost(amount=7),)

    async def run(self, inputs: PaidInputs, context: BlockContext) -> AsyncIterator[Yielded]:
        await asyncio.sleep(0)
        yield "value", inputs.value


class CountingInputs(BlockInputs):
    """How much is used."""

    items: int = Field(default=1, description="How many items it handles.")


class CountingBlock(Block[CountingInputs]):
    """Costs 3 credits for every started ten items."""

    id = COUNTING
    name = "CountingBlock"
    Inputs = CountingInputs
    Outputs = PaidOutputs
    costs = (Cost(amount=3, type=CostType.ITEMS, divisor=10),)

    def run(self, inputs: CountingInputs, context: BlockContext) -> Iterator[Yielded]:
        context.usage.add_items(inputs.items)
        yield "value", inputs.items


class TalkingBlock(Block[CountingInputs]):
    """Costs what a model's tokens cost; 5 credits are set aside."""

    id = TALKING
    name = "TalkingBlock"
    Inputs = CountingInputs
    Outputs = PaidOutputs
    costs = (Cost(amount=5, type=CostType.TOKENS, rates={"large": TokenRates(input=100, output=1_000)}),)

    def run(self, inputs: CountingInputs, context: BlockContext) -> Iterator[Yielded]:
        for _ in range(2):
            context.usage.add_tokens("large", Tokens(input=1_000, output=500 * inputs.items))
        yield "value", inputs.items


ODD_QUANTITIES: dict[str, Any] = {
    "inf": float("inf"),
    "nan": float("nan"),
    "negative": -5,
    "huge": 10**400,
    "text": "many",
    "list": [1],
}


class BoastingInputs(BlockInputs):
    """What it says of itself."""

    quantity: str = Field(description="Which of the odd quantities.")


class BoastingBlock(Block[BoastingInputs]):
    """Costs 3 credits for every started ten items, and says of itself what makes no sense."""

    id = BOASTING
    name = "BoastingBlock"
    Inputs = BoastingInputs
    Outputs = PaidOutputs
    costs = (Cost(amount=3, type=CostType.ITEMS, divisor=10),)

    def run(self, inputs: BoastingInputs, context: BlockContext) -> Iterator[Yielded]:
        context.usage.items = ODD_QUANTITIES[inputs.quantity]
        yield "value", 1


class BabblingBlock(Block[BoastingInputs]):
    """Costs what tokens cost, of models that nobody knows."""

    id = BABBLING
    name = "BabblingBlock"
    Inputs = BoastingInputs
    Outputs = PaidOutputs
    costs = (Cost(amount=5, type=CostType.TOKENS, rates={"large": TokenRates(input=100)}),)

    def run(self, inputs: BoastingInputs, context: BlockContext) -> Iterator[Yielded]:
        odd = ODD_QUANTITIES[inputs.quantity]
        context.usage.tokens = {"large": Tokens(input=odd), "\0\ud800": Tokens(output=odd), "dict": {}}  # type: ignore[dict-item]
        yield "value", 1
