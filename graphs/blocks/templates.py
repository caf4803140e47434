"""The block that fills a text template in."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.blocks.templating import render


class FillTextTemplateInputs(BlockInputs):
    """The template and what goes into it."""

    values: dict[str, Any] = Field(description="What goes into the template: {{name}} stands for the value of `name`.")
    format: str = Field(description="The template, in Jinja2's syntax.")
    escape_html: bool = Field(
        default=False,
        description="Whether to escape the values for HTML.",
        json_schema_extra={"advanced": True},
    )


class FillTextTemplateOutputs(BlockOutputs):
    """The text."""

    output: str = Field(description="The template with the values filled in.")


class FillTextTemplateBlock(Block[FillTextTemplateInputs]):
    """Fills a Jinja2 template in; `templating` says what a template may not do."""

    id = "db7d8f02-2f44-4c55-ab7a-eae0941f0c30"
    name = "FillTextTemplateBlock"
    description = "Fills values into a text template."
    Inputs = FillTextTemplateInputs
    Outputs = FillTextTemplateOutputs
    examples = (
        Example(
            inputs={"values": {"name": "Alice", "hello": "Hello"}, "format": "{{hello}}, {{ name }}!"},
            outputs=(("output", "Hello, Alice!"),),
        ),
        Example(
            inputs={"values": {"list": ["a", "b"]}, "format": "{% for item in list %}{{ item|upper }}{% endfor %}"},
            outputs=(("output", "AB"),),
        ),
        Example(
            inputs={"values": {"tag": "<b>"}, "format": "<i>{{ tag }}</i>", "escape_html": True},
            outputs=(("output", "<i>&lt;b&gt;</i>"),),
        ),
        Example(inputs={"values": {}, "format": "[{{ missing }}]"}, outputs=(("output", "[]"),)),
    )

    async def run(self, inputs: FillTextTemplateInputs, context: BlockContext) -> AsyncIterator[Yielded]:
        """Yield the text; other blocks of the process go on while it is made."""
        text = await asyncio.to_thread(render, inputs.format, inputs.values, escape_html=inputs.escape_html)
        yield "output", text
