"""Blocks that look for regular expressions in texts."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.blocks.encoding import to_json
from graphs.blocks.matching import MAX_MATCHES, find, search

MAX_TEXT_LENGTH = 1_000_000


def to_text(value: Any) -> str:
    """Return the text to search in: `value` itself if it is a text, its JSON otherwise."""
    return value if isinstance(value, str) else to_json(value)


class MatchTextPatternInputs(BlockInputs):
    """A text, a pattern, and what to pass on."""

    text: Any = Field(description="The text to search in; anything else is searched as JSON.")
    match: str = Field(description="The regular expression to look for.")
    data: Any = Field(description="What to pass on; the text if it is empty.")
    case_sensitive: bool = Field(default=True, description="Whether upper and lower case differ.")
    dot_all: bool = Field(default=True, description="Whether a dot matches a line break too.")


class MatchTextPatternOutputs(BlockOutputs):
    """The data, on one pin or the other."""

    positive: Any = Field(description="The data, if the pattern was found.")
    negative: Any = Field(description="The data, if it was not.")


class MatchTextPatternBlock(Block[MatchTextPatternInputs]):
    """Sends data one way or the other, depending on a pattern."""

    id = "3060088f-6ed9-4928-9ba7-9c92823a7ccd"
    name = "MatchTextPatternBlock"
    description = "Passes data on to one of two outputs, depending on whether a regular expression matches a text."
    Inputs = MatchTextPatternInputs
    Outputs = MatchTextPatternOutputs
    examples = (
        Example(
            inputs={"text": "ABC", "match": "ab", "data": "X", "case_sensitive": False},
            outputs=(("positive", "X"),),
        ),
        Example(inputs={"text": "ABC", "match": "ab", "data": "Y"}, outputs=(("negative", "Y"),)),
        Example(inputs={"text": "a\nb", "match": "a.b", "data": ""}, outputs=(("positive", "a\nb"),)),
        Example(
            inputs={"text": {"a": 1}, "match": '"a":1', "data": None},
            outputs=(("positive", {"a": 1}),),
        ),
    )

    def run(self, inputs: MatchTextPatternInputs, context: BlockContext) -> Iterator[Yielded]:
        """Yield the data, or the text in its place, on `positive` or `negative`."""
        matches = search(
            inputs.match, to_text(inputs.text), case_sensitive=inputs.case_sensitive, dot_all=inputs.dot_all
        )
        yield "positive" if matches else "negative", inputs.data or inputs.text


class ExtractTextInformationInputs(BlockInputs):
    """A text, a pattern, and which part of the match is wanted."""

    text: Any = Field(description="The text to search in; anything else is searched as JSON.")
    pattern: str = Field(description="The regular expression to look for.")
    group: int = Field(default=0, description="The number of the group to extract; 0 is the whole match.")
    case_sensitive: bool = Field(default=True, description="Whether upper and lower case differ.")
    dot_all: bool = Field(default=True, description="Whether a dot matches a line break too.")
    find_all: bool = Field(default=False, description="Whether to extract every match, not only the first.")


class ExtractTextInformationOutputs(BlockOutputs):
    """Each match by itself, then all of them."""

    positive: str = Field(description="An extracted text, once for each match.")
    negative: str = Field(description="The text that was searched, if nothing matched.")
    matched_results: list[str] = Field(description="All extracted texts.")
    matched_count: int = Field(description="How many there are.")


class ExtractTextInformationBlock(Block[ExtractTextInformationInputs]):
    """Extracts what a pattern matches: the first 1,000 matches in the first 1,000,000 characters."""

    id = "3146e4fe-2cdd-4f29-bd12-0c9d5bb4deb0"
    name = "ExtractTextInformationBlock"
    description = "Extracts what a regular expression matches in a text."
    Inputs = ExtractTextInformationInputs
    Outputs = ExtractTextInformationOutputs
    examples = (
        Example(
            inputs={"text": "Hello, World!! Hello, Earth!!", "pattern": r"Hello, (\S+)", "group": 1},
            outputs=(("positive", "World!!"), ("matched_results", ["World!!"]), ("matched_count", 1)),
        ),
        Example(
            inputs={"text": "Hello, World!! Hello, Earth!!", "pattern": r"Hello, (\S+)", "group": 1, "find_all": True},
            outputs=(
                ("positive", "World!!"),
                ("positive", "Earth!!"),
                ("matched_results", ["World!!", "Earth!!"]),
                ("matched_count", 2),
            ),
        ),
        Example(
            inputs={"text": "Hello, World!", "pattern": "Hello, (.+)", "group": 2},
            outputs=(("negative", "Hello, World!"), ("matched_results", []), ("matched_count", 0)),
        ),
        Example(
            inputs={"text": {"price": 12}, "pattern": r"\d+"},
            outputs=(("positive", "12"), ("matched_results", ["12"]), ("matched_count", 1)),
        ),
    )

    def run(self, inputs: ExtractTextInformationInputs, context: BlockContext) -> Iterator[Yielded]:
        """Yield every match, or the text if there is none; then the list and its length."""
        text = to_text(inputs.text)
        if len(text) > MAX_TEXT_LENGTH:
            context.log(f"Only the first {MAX_TEXT_LENGTH:,} of {len(text):,} characters are searched.")
        matches = find(
            inputs.pattern,
            text[:MAX_TEXT_LENGTH],
            group=inputs.group,
            limit=MAX_MATCHES if inputs.find_all else 1,
            case_sensitive=inputs.case_sensitive,
            dot_all=inputs.dot_all,
        )
        for match in matches:
            yield "positive", match
        if not matches:
            yield "negative", text
        yield "matched_results", matches
        yield "matched_count", len(matches)
