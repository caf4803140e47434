"""Blocks that ask a person."""

from collections.abc import Generator
from typing import Any

from pydantic import Field

from graphs.blocks.contract import (
    AskPerson,
    Block,
    BlockContext,
    BlockInputs,
    BlockOutputs,
    Decision,
    Example,
    Kind,
    Need,
    Yielded,
)


class HumanInTheLoopInputs(BlockInputs):
    """What to decide."""

    data: Any = Field(description="What the person is to look at.")
    name: str = Field(description="What it is called there.")
    editable: bool = Field(default=True, description="Whether the person may change it.")


class HumanInTheLoopOutputs(BlockOutputs):
    """The decision."""

    approved_data: Any = Field(description="The data, as the person left it, if they approved.")
    rejected_data: Any = Field(description="The data, as the person left it, if they rejected.")
    review_message: str = Field(default="", description="What the person said, if anything.")


class HumanInTheLoopBlock(Block[HumanInTheLoopInputs]):
    """Waits until a person has approved or rejected some data."""

    id = "8b2a7b3c-6e9d-4a5f-8c1b-2e3f4a5b6c7d"
    name = "HumanInTheLoopBlock"
    description = "Waits for a person to approve, change or reject some data."
    kind = Kind.HUMAN_IN_THE_LOOP
    needs = frozenset({Need.PERSON})
    Inputs = HumanInTheLoopInputs
    Outputs = HumanInTheLoopOutputs
    examples = (
        Example(
            inputs={"name": "Letter", "data": "Dear Ada"},
            decision=Decision(approved=True, data="Dear Ms Lovelace", message="More polite"),
            outputs=(("approved_data", "Dear Ms Lovelace"), ("review_message", "More polite")),
        ),
        Example(
            inputs={"name": "Letter", "data": "Dear Ada", "editable": False},
            decision=Decision(approved=False, data="Dear Ms Lovelace"),
            outputs=(("rejected_data", "Dear Ada"),),
        ),
    )

    def run(self, inputs: HumanInTheLoopInputs, context: BlockContext) -> Generator[Yielded, Decision, None]:
        """Ask, then emit the data on the pin of the decision, then what the person said."""
        decision = yield AskPerson(name=inputs.name, data=inputs.data, editable=inputs.editable)
        pin = "approved_data" if decision.approved else "rejected_data"
        yield pin, decision.data if inputs.editable else inputs.data
        if decision.message:
            yield "review_message", decision.message
