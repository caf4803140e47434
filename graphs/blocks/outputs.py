"""Where values leave a graph."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Kind, Yielded
from graphs.blocks.templating import render
from graphs.exceptions import BlockError


class AgentOutputInputs(BlockInputs):
    """A value, its name, and how to write it."""

    value: Any = Field(default=None, description="The value.")
    name: str = Field(description="The name of the output: the run's output of this name gets the value.")
    title: str | None = Field(default=None, description="How the output is called where it is shown.")
    description: str | None = Field(default=None, description="What the output is.")
    format: str = Field(
        default="",
        description="A Jinja2 template to write the value with; it is there under the output's name and as `value`.",
    )
    escape_html: bool = Field(default=False, description="Whether the template escapes what it inserts for HTML.")
    advanced: bool = Field(default=False, description="Whether the output is shown only on demand.")


class AgentOutputOutputs(BlockOutputs):
    """The value as it leaves."""

    output: Any = Field(description="The value, written with `format` if there is one.")
    name: Any = Field(description="The name of the output, if there is no `format`.")


class AgentOutputBlock(Block[AgentOutputInputs]):
    """Makes a value an output of the run. A template that fails spoils the text, not the run."""

    id = "363ae599-353e-4804-937e-b2ee3cef3da4"
    name = "AgentOutputBlock"
    description = "An output of the graph, written with a template if one is given."
    kind = Kind.OUTPUT
    static_output = True
    Inputs = AgentOutputInputs
    Outputs = AgentOutputOutputs
    examples = (
        Example(inputs={"name": "sum", "value": 41}, outputs=(("output", 41), ("name", "sum"))),
        Example(
            inputs={"name": "greeting", "value": "Ada", "format": "Hello {{ greeting }}!"},
            outputs=(("output", "Hello Ada!"),),
        ),
        Example(
            inputs={"name": "Full Name", "value": "<Ada>", "format": "{{ value }}", "escape_html": True},
            outputs=(("output", "&lt;Ada&gt;"),),
        ),
    )

    def run(self, inputs: AgentOutputInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the value and its name, or only the formatted value."""
        if not inputs.format:
            yield "output", inputs.value
            yield "name", inputs.name
            return
        yield "output", _write(inputs)


def _write(inputs: AgentOutputInputs) -> str:
    values = {"value": inputs.value, inputs.name: inputs.value}
    try:
        return render(inputs.format, values, escape_html=inputs.escape_html)
    except BlockError as error:
        return f"Error: {error}, {inputs.value}"
