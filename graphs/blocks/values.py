"""Blocks that hand a value on as it is: kept, printed or noted."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Kind, Yielded


class StoreValueInputs(BlockInputs):
    """A constant, and what to use without one."""

    input: Any = Field(description="Starts the block; it is emitted if `data` is empty.")
    data: Any = Field(default=None, description="The constant to keep.")


class StoreValueOutputs(BlockOutputs):
    """What is kept."""

    output: Any = Field(description="What is kept; later executions can use it again and again.")


class StoreValueBlock(Block[StoreValueInputs]):
    """Keeps a value. As its links are static, it may be used any number of times."""

    id = "1ff065e9-88e8-4358-9d82-8dc91f622ba9"
    name = "StoreValueBlock"
    description = "Keeps a value so that it can be used any number of times."
    static_output = True
    Inputs = StoreValueInputs
    Outputs = StoreValueOutputs
    examples = (
        Example(inputs={"input": "go", "data": "kept"}, outputs=(("output", "kept"),)),
        Example(inputs={"input": "go"}, outputs=(("output", "go"),)),
        Example(inputs={"input": "go", "data": 0}, outputs=(("output", "go"),)),
    )

    def run(self, inputs: StoreValueInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit `data`, or `input` if it is falsy."""
        yield "output", inputs.data or inputs.input


class PrintToConsoleInputs(BlockInputs):
    """What to print."""

    text: Any = Field(description="What to print.")


class PrintToConsoleOutputs(BlockOutputs):
    """What was printed."""

    output: Any = Field(description="What was printed.")
    status: str = Field(description='Always "printed".')


class PrintToConsoleBlock(Block[PrintToConsoleInputs]):
    """Writes to the node execution's log."""

    id = "f3b1c1b2-4c4f-4f0d-8d2f-4c4f0d8d2f4c"
    name = "PrintToConsoleBlock"
    description = "Writes a value to the log of the node execution, to see what passes there."
    Inputs = PrintToConsoleInputs
    Outputs = PrintToConsoleOutputs
    examples = (Example(inputs={"text": "Hello"}, outputs=(("output", "Hello"), ("status", "printed"))),)

    def run(self, inputs: PrintToConsoleInputs, context: BlockContext) -> Iterator[Yielded]:
        """Log the value and hand it on."""
        context.log(str(inputs.text))
        yield "output", inputs.text
        yield "status", "printed"


class NoteInputs(BlockInputs):
    """A note."""

    text: str = Field(description="The text of the note.")


class NoteOutputs(BlockOutputs):
    """A note."""

    output: str = Field(description="The text of the note.")


class NoteBlock(Block[NoteInputs]):
    """A note on the canvas. The engine never executes it."""

    id = "cc10ff7b-7753-4ff2-9af6-9399b1a7eddc"
    name = "NoteBlock"
    description = "A note for whoever reads the graph. It is never executed."
    kind = Kind.NOTE
    Inputs = NoteInputs
    Outputs = NoteOutputs
    examples = (Example(inputs={"text": "Mind the gap"}, outputs=(("output", "Mind the gap"),)),)

    def run(self, inputs: NoteInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the text."""
        yield "output", inputs.text
