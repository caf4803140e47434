"""Blocks that put texts together, take them apart and count them."""

from collections.abc import Iterator

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.exceptions import BlockError

# A long delimiter between many texts, or a long text for every letter of another, makes gigabytes of two short inputs.
MAX_LENGTH = 10_000_000


def check_length(length: int) -> None:
    """Raise `BlockError` if a text of `length` characters is too long to be made."""
    if length > MAX_LENGTH:
        raise BlockError(f"The text would be {length:,} characters long; at most {MAX_LENGTH:,} are allowed.")


class CombineTextsInputs(BlockInputs):
    """The texts and what goes between them."""

    input: list[str] = Field(description="The texts to combine.")
    delimiter: str = Field(default="", description="What to put between them.")


class CombineTextsOutputs(BlockOutputs):
    """One text."""

    output: str = Field(description="The combined text.")


class CombineTextsBlock(Block[CombineTextsInputs]):
    """Joins texts."""

    id = "e30a4d42-7b7d-4e6a-b36e-1f9b8e3b7d85"
    name = "CombineTextsBlock"
    description = "Combines several texts into one."
    Inputs = CombineTextsInputs
    Outputs = CombineTextsOutputs
    examples = (
        Example(inputs={"input": ["I like ", "cake"]}, outputs=(("output", "I like cake"),)),
        Example(
            inputs={"input": ["This is a test", "Hi!"], "delimiter": "! "}, outputs=(("output", "This is a test! Hi!"),)
        ),
    )

    def run(self, inputs: CombineTextsInputs, context: BlockContext) -> Iterator[Yielded]:
        """Yield the combined text."""
        gaps = max(len(inputs.input) - 1, 0)
        check_length(sum(map(len, inputs.input)) + gaps * len(inputs.delimiter))
        yield "output", inputs.delimiter.join(inputs.input)


class TextSplitInputs(BlockInputs):
    """A text and where to split it."""

    text: str = Field(description="The text to split.")
    delimiter: str = Field(description="Where to split it.")
    strip: bool = Field(default=True, description="Whether to take the white space off both ends of each part.")


class TextSplitOutputs(BlockOutputs):
    """The parts."""

    texts: list[str] = Field(description="The parts of the text.")


class TextSplitBlock(Block[TextSplitInputs]):
    """Splits a text; an empty one has no parts."""

    id = "d5ea33c8-a575-477a-b42f-2fe3be5055ec"
    name = "TextSplitBlock"
    description = "Splits a text into a list of texts."
    Inputs = TextSplitInputs
    Outputs = TextSplitOutputs
    examples = (
        Example(inputs={"text": "Hello, World!", "delimiter": ","}, outputs=(("texts", ["Hello", "World!"]),)),
        Example(
            inputs={"text": "Hello, World!", "delimiter": ",", "strip": False},
            outputs=(("texts", ["Hello", " World!"]),),
        ),
        Example(inputs={"text": "", "delimiter": ","}, outputs=(("texts", []),)),
    )

    def run(self, inputs: TextSplitInputs, context: BlockContext) -> Iterator[Yielded]:
        """Yield the parts."""
        if not inputs.delimiter:
            raise BlockError("The delimiter is empty: there is nowhere to split the text.")
        parts = inputs.text.split(inputs.delimiter) if inputs.text else []
        yield "texts", [part.strip() for part in parts] if inputs.strip else parts


class TextReplaceInputs(BlockInputs):
    """A text, and what to replace by what in it."""

    text: str = Field(description="The text to change.")
    old: str = Field(description="What to replace, letter by letter.")
    new: str = Field(description="What to put in its place.")


class TextReplaceOutputs(BlockOutputs):
    """The changed text."""

    output: str = Field(description="The text with every `old` replaced by `new`.")


class TextReplaceBlock(Block[TextReplaceInputs]):
    """Replaces one text by another, everywhere; patterns have no meaning here."""

    id = "7e7c87ab-3469-4bcc-9abe-67705091b713"
    name = "TextReplaceBlock"
    description = "Replaces one text by another inside a text."
    Inputs = TextReplaceInputs
    Outputs = TextReplaceOutputs
    examples = (
        Example(inputs={"text": "Hello, World!", "old": "Hello", "new": "Hi"}, outputs=(("output", "Hi, World!"),)),
        Example(inputs={"text": "a.b+c", "old": ".", "new": r"\1"}, outputs=(("output", r"a\1b+c"),)),
    )

    def run(self, inputs: TextReplaceInputs, context: BlockContext) -> Iterator[Yielded]:
        """Yield the changed text."""
        growth = inputs.text.count(inputs.old) * (len(inputs.new) - len(inputs.old))
        check_length(len(inputs.text) + growth)
        yield "output", inputs.text.replace(inputs.old, inputs.new)


class WordCharacterCountInputs(BlockInputs):
    """A text."""

    text: str = Field(description="The text to count in.")


class WordCharacterCountOutputs(BlockOutputs):
    """How long it is, in two ways."""

    word_count: int = Field(description="The number of words: what stands between white space.")
    character_count: int = Field(description="The number of characters, white space included.")


class WordCharacterCountBlock(Block[WordCharacterCountInputs]):
    """Counts words and characters."""

    id = "ab2a782d-22cf-4587-8a70-55b59b3f9f90"
    name = "WordCharacterCountBlock"
    description = "Counts the words and the characters of a text."
    Inputs = WordCharacterCountInputs
    Outputs = WordCharacterCountOutputs
    examples = (
        Example(
            inputs={"text": "Hello, how are you?"},
            outputs=(("word_count", 4), ("character_count", 19)),
        ),
    )

    def run(self, inputs: WordCharacterCountInputs, context: BlockContext) -> Iterator[Yielded]:
        """Yield both counts."""
        yield "word_count", len(inputs.text.split())
        yield "character_count", len(inputs.text)
