"""Text made loud."""

from collections.abc import Iterator

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.exceptions import BlockError


class ShoutInputs(BlockInputs):
    text: str = Field(description="What to shout.")
    times: int = Field(default=1, ge=1, description="How many exclamation marks to put behind it.")


class ShoutOutputs(BlockOutputs):
    shouted: str = Field(description="The text in capitals.")


class ShoutBlock(Block[ShoutInputs]):
    id = "7f0d2a35-58a8-4b62-9d0c-1f4f5a6b7c8d"  # python -c "import uuid; print(uuid.uuid4())", once and for ever
    name = "ShoutBlock"
    description = "Writes a text in capitals."
    Inputs = ShoutInputs
    Outputs = ShoutOutputs
    examples = (Example(inputs={"text": "hey", "times": 2}, outputs=(("shouted", "HEY!!"),)),)

    def run(self, inputs: ShoutInputs, context: BlockContext) -> Iterator[Yielded]:
        if not inputs.text:
            raise BlockError("There is nothing to shout.")
        yield "shouted", inputs.text.upper() + "!" * inputs.times
