"""The block that takes the fenced code out of a text, such as a language model's answer."""

import re
from collections.abc import Iterator
from typing import Final

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded

# The pin that a language goes to, and the names it has behind a fence.
LANGUAGES: Final = {
    "html": ("html", "htm"),
    "css": ("css",),
    "javascript": ("javascript", "js"),
    "python": ("python", "py"),
    "sql": ("sql",),
    "java": ("java",),
    "cpp": ("cpp", "c++"),
    "csharp": ("csharp", "c#", "cs"),
    "json_code": ("json",),
    "bash": ("bash", "shell", "sh"),
    "php": ("php",),
    "ruby": ("ruby", "rb"),
    "yaml": ("yaml", "yml"),
    "markdown": ("markdown", "md"),
    "typescript": ("typescript", "ts"),
    "xml": ("xml",),
}
PIN_OF_LANGUAGE: Final = {language: pin for pin, languages in LANGUAGES.items() for language in languages}

_OPENING = re.compile(rf"```({'|'.join(map(re.escape, PIN_OF_LANGUAGE))})[ \t]*(?=\n)", re.IGNORECASE)
_CLOSING = re.compile(r"\n[ \t]*```")
_EMPTY_LINES = re.compile(r"\n\s*\n")


def split_code(text: str) -> tuple[dict[str, list[str]], str]:
    """Return the code blocks of each pin, in the order of the text, and the text without them.

    A fence without a language that has a pin, or without an end, is left in the text.
    """
    blocks: dict[str, list[str]] = {}
    rest = []
    position = 0
    while (opening := _OPENING.search(text, position)) and (closing := _CLOSING.search(text, opening.end())):
        code = text[opening.end() : closing.start()].strip()
        blocks.setdefault(PIN_OF_LANGUAGE[opening.group(1).lower()], []).append(code)
        rest.append(text[position : opening.start()])
        position = closing.end()
    rest.append(text[position:])
    return blocks, _EMPTY_LINES.sub("\n", "".join(rest).strip())


class CodeExtractionInputs(BlockInputs):
    """A text with code in it."""

    text: str = Field(description="The text to take the code blocks from.")


class CodeExtractionOutputs(BlockOutputs):
    """The code, by language, and what is left."""

    html: str = Field(description="The HTML code.")
    css: str = Field(description="The CSS code.")
    javascript: str = Field(description="The JavaScript code.")
    python: str = Field(description="The Python code.")
    sql: str = Field(description="The SQL code.")
    java: str = Field(description="The Java code.")
    cpp: str = Field(description="The C++ code.")
    csharp: str = Field(description="The C# code.")
    json_code: str = Field(description="The JSON code.")
    bash: str = Field(description="The shell code.")
    php: str = Field(description="The PHP code.")
    ruby: str = Field(description="The Ruby code.")
    yaml: str = Field(description="The YAML code.")
    markdown: str = Field(description="The Markdown code.")
    typescript: str = Field(description="The TypeScript code.")
    xml: str = Field(description="The XML code.")
    remaining_text: str = Field(description="The text without the code blocks.")


class CodeExtractionBlock(Block[CodeExtractionInputs]):
    """Sorts fenced code by language; several blocks of one language are joined by an empty line."""

    id = "d3a7d896-3b78-4f44-8b4b-48fbf4f0bcd8"
    name = "CodeExtractionBlock"
    description = "Takes the fenced code blocks out of a text and sorts them by language."
    Inputs = CodeExtractionInputs
    Outputs = CodeExtractionOutputs
    examples = (
        Example(
            inputs={
                "text": "Here's Python:\n```python\nprint('Hello')\n```\nAnd some HTML:\n```html\n<h1>Title</h1>\n```"
            },
            outputs=(
                ("html", "<h1>Title</h1>"),
                ("python", "print('Hello')"),
                ("remaining_text", "Here's Python:\nAnd some HTML:"),
            ),
        ),
        Example(
            inputs={"text": "```py\na = 1\n```\nand\n```Python\nb = 2\n```"},
            outputs=(("python", "a = 1\n\nb = 2"), ("remaining_text", "and")),
        ),
    )

    def run(self, inputs: CodeExtractionInputs, context: BlockContext) -> Iterator[Yielded]:
        """Yield the code of each language that has some, in the order of the pins; then what is left, if anything."""
        blocks, rest = split_code(inputs.text)
        for pin in LANGUAGES:
            if code := "\n\n".join(filter(None, blocks.get(pin, []))):
                yield pin, code
        if rest:
            yield "remaining_text", rest
