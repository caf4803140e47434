"""The block that reads XML, with gravitasml: a small dialect that suits what language models write.

It is no XML library, so there are no entities to expand; but it searches some broken texts again and again, and needs
much memory for many small tags. So it works in a confined process, with 30 seconds and 1 GiB.
"""

from collections.abc import Iterator
from typing import Any

from gravitasml.parser import Parser
from gravitasml.token import Token, tokenize
from pydantic import Field

from graphs.blocks.confinement import MEBIBYTE, Confined
from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.exceptions import BlockError

MAX_BYTES = 10 * MEBIBYTE
MAX_DEPTH = 100
TIME_LIMIT = 30.0
MEMORY_LIMIT = 1024 * MEBIBYTE

# How many levels deeper a token leads.
STEPS = {"TAG_OPEN": 1, "TAG_CLOSE": -1}


def parse_xml(text: str, *, time_limit: float = TIME_LIMIT) -> dict[str, Any]:
    """Return the document as a dictionary: its root's tag, and inside it texts, dictionaries and lists.

    Raises `BlockError` for a text that is no document with one root, for more than 10 MiB, for tags nested more than
    100 levels deep, and for one that takes more than `time_limit` seconds or 1 GiB of memory.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise BlockError(f"The XML is {size:,} bytes long; at most {MAX_BYTES:,} are read.")
    document: dict[str, Any] = _parse_confined(text, time_limit=time_limit)
    return document


def parse_here(text: str) -> Any:
    """Parse in this process, which must be a confined one."""
    try:
        tokens = tokenize(text)
        _check(tokens)
        return Parser(tokens).parse()
    except (SyntaxError, ValueError) as error:
        raise BlockError(f"Error in input xml syntax: {error}") from error


_parse_confined = Confined(parse_here, subject="The XML", memory_limit=MEMORY_LIMIT)


def _check(tokens: list[Token]) -> None:
    """Raise `ValueError` unless the tokens are one root with everything inside it, as the parser takes for granted."""
    depth = roots = 0
    for token in tokens:
        step = STEPS.get(token.type, 0)
        if depth == 0 and step < 1:
            raise ValueError(f"{token.value[:40]!r} stands outside the root element.")
        roots += depth == 0
        depth += step
        if depth > MAX_DEPTH:
            raise ValueError(f"tags are nested more than {MAX_DEPTH} levels deep.")
    if depth:
        raise ValueError("a tag is not closed.")
    if roots != 1:
        raise ValueError(f"there must be one root element, there are {roots}.")


class XMLParserInputs(BlockInputs):
    """An XML text."""

    input_xml: str = Field(description="The XML to read.")


class XMLParserOutputs(BlockOutputs):
    """The document."""

    parsed_xml: dict[str, Any] = Field(description="The document as a dictionary.")


class XMLParserBlock(Block[XMLParserInputs]):
    """Reads XML into a dictionary."""

    id = "286380af-9529-4b55-8be0-1d7c854abdb5"
    name = "XMLParserBlock"
    description = "Reads XML into a dictionary."
    Inputs = XMLParserInputs
    Outputs = XMLParserOutputs
    examples = (
        Example(
            inputs={"input_xml": "<tag1><tag2>content</tag2></tag1>"},
            outputs=(("parsed_xml", {"tag1": {"tag2": "content"}}),),
        ),
        Example(
            inputs={"input_xml": "<list><item>a</item><item>b</item></list>"},
            outputs=(("parsed_xml", {"list": [{"item": "a"}, {"item": "b"}]}),),
        ),
    )

    def run(self, inputs: XMLParserInputs, context: BlockContext) -> Iterator[Yielded]:
        """Yield the dictionary."""
        yield "parsed_xml", parse_xml(inputs.input_xml)
