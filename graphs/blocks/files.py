"""Blocks that keep files with the run and read them. Files come as references, `data:` URIs or http(s) URLs."""

import asyncio
from collections.abc import AsyncIterator

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Files, Kind, Media, Yielded
from graphs.blocks.inputs import AgentInputInputs
from graphs.blocks.media import decode_text, is_data_uri, is_url, load_media, write_data_uri
from graphs.exceptions import BlockError

MAX_PIECES = 10_000
"""How many pieces a file may be read in."""

_HELLO = "data:text/plain;base64,SGVsbG8gV29ybGQ="
_THREE_LINES = "data:text/plain;base64,b25lCnR3bwp0aHJlZQ=="


def _is_reference(value: str) -> bool:
    return bool(value) and not is_url(value) and not is_data_uri(value)


async def _fetch(file: str, files: Files) -> Media:
    if is_url(file):
        return await files.fetch(file)
    return await asyncio.to_thread(load_media, file, files=files)


async def _store(file: str, files: Files, *, as_data_uri: bool) -> str:
    """Return a reference to the file, or its `data:` URI; a file that the run keeps already is not kept twice."""
    media = await _fetch(file, files)
    if as_data_uri:
        return write_data_uri(media)
    if _is_reference(file):
        return file
    return await asyncio.to_thread(files.save, media.content, name=media.name, media_type=media.media_type)


class FileStoreInputs(BlockInputs):
    """A file, and how to pass it on."""

    file_in: str = Field(description="The file: an http(s) URL, a data: URI, or a reference to a file of this run.")
    base_64: bool = Field(default=False, description="Whether a data: URI comes out instead of a reference.")


class FileStoreOutputs(BlockOutputs):
    """The file that is kept."""

    file_out: str = Field(description="A reference to the file that other blocks take, or its data: URI.")


class FileStoreBlock(Block[FileStoreInputs]):
    """Keeps a file with the run. It downloads from public addresses only; files may have up to 10 MiB."""

    id = "cbb50872-625b-42f0-8203-a2ae78242d8a"
    name = "FileStoreBlock"
    description = "Keeps a file with the run, for other blocks to read."
    Inputs = FileStoreInputs
    Outputs = FileStoreOutputs
    static_output = True
    examples = (
        Example(inputs={"file_in": _HELLO}, outputs=(("file_out", _is_reference),)),
        Example(inputs={"file_in": _HELLO, "base_64": True}, outputs=(("file_out", _HELLO),)),
        Example(
            inputs={"file_in": "http://127.0.0.1/secret"},
            outputs=(("error", lambda text: "not on the public internet" in text),),
        ),
    )

    async def run(self, inputs: FileStoreInputs, context: BlockContext) -> AsyncIterator[Yielded]:
        """Keep the file."""
        yield "file_out", await _store(inputs.file_in, context.files, as_data_uri=inputs.base_64)


class AgentFileInputInputs(AgentInputInputs):
    """A file, and how to pass it on."""

    value: str | None = Field(
        default=None,
        description="The file, if the run brings none: a URL, or a data: URI.",
        json_schema_extra={"format": "file"},
    )
    base_64: bool = Field(default=False, description="Whether a data: URI comes out instead of a reference.")


class AgentFileInputOutputs(BlockOutputs):
    """The file that is kept."""

    result: str = Field(description="A reference to the file, or its data: URI; nothing if there is no file.")


class AgentFileInputBlock(Block[AgentFileInputInputs]):
    """Where a file enters a graph."""

    id = "95ead23f-8283-4654-aef3-10c053b74a31"
    name = "AgentFileInputBlock"
    description = "An input of the graph: a file."
    kind = Kind.INPUT
    Inputs = AgentFileInputInputs
    Outputs = AgentFileInputOutputs
    static_output = True
    examples = (
        Example(inputs={"name": "Letter", "value": _HELLO}, outputs=(("result", _is_reference),)),
        Example(inputs={"name": "Letter", "value": _HELLO, "base_64": True}, outputs=(("result", _HELLO),)),
        Example(inputs={"name": "Letter"}, outputs=()),
        Example(inputs={"name": "Letter", "value": ""}, outputs=()),
    )

    async def run(self, inputs: AgentFileInputInputs, context: BlockContext) -> AsyncIterator[Yielded]:
        """Keep the file, if there is one."""
        if inputs.value:
            yield "result", await _store(inputs.value, context.files, as_data_uri=inputs.base_64)


class FileReadInputs(BlockInputs):
    """A file, and how to cut it. What is skipped and limited is counted in this order: characters, then rows."""

    file_input: str = Field(description="The file: an http(s) URL, a data: URI, or a reference to a file of this run.")
    delimiter: str = Field(default="", description="Where to cut the text into rows; without one, it is one row.")
    size_limit: int = Field(default=0, description="Cut rows longer than so many characters; 0 is no limit.")
    row_limit: int = Field(default=0, description="Read at most so many rows; 0 is no limit.")
    skip_size: int = Field(default=0, description="Leave out so many characters at the start.")
    skip_rows: int = Field(default=0, description="Leave out so many rows at the start.")


class FileReadOutputs(BlockOutputs):
    """The text of the file."""

    content: str = Field(description="The text, or each piece of it that isn't empty.")


class FileReadBlock(Block[FileReadInputs]):
    """Reads a file as text: UTF-8, or else Latin-1. If nothing is left to read, it emits one empty text."""

    id = "3735a31f-7e18-4aca-9e90-08a7120674bc"
    name = "FileReadBlock"
    description = "Reads the text of a file, whole or row by row, in pieces of a limited size if wanted."
    Inputs = FileReadInputs
    Outputs = FileReadOutputs
    examples = (
        Example(inputs={"file_input": _HELLO}, outputs=(("content", "Hello World"),)),
        Example(
            inputs={"file_input": _THREE_LINES, "delimiter": "\n", "skip_rows": 1},
            outputs=(("content", "two"), ("content", "three")),
        ),
        Example(
            inputs={"file_input": _HELLO, "size_limit": 4, "skip_size": 6},
            outputs=(("content", "Worl"), ("content", "d")),
        ),
        Example(inputs={"file_input": "data:text/plain;base64,"}, outputs=(("content", ""),)),
    )

    async def run(self, inputs: FileReadInputs, context: BlockContext) -> AsyncIterator[Yielded]:
        """Read the file, and emit its pieces."""
        media = await _fetch(inputs.file_input, context.files)
        rows = _read_rows(decode_text(media.content), inputs)
        size = inputs.size_limit if inputs.size_limit > 0 else max(map(len, rows), default=0) or 1
        pieces = sum(-(-len(row) // size) for row in rows)
        if pieces > MAX_PIECES:
            raise BlockError(f"The file would be read in {pieces:,} pieces; {MAX_PIECES:,} are allowed.")
        for row in rows:
            for start in range(0, len(row), size):
                yield "content", row[start : start + size]
        if not pieces:
            yield "content", ""


def _read_rows(text: str, inputs: FileReadInputs) -> list[str]:
    text = text[max(0, inputs.skip_size) :]
    rows = text.split(inputs.delimiter) if inputs.delimiter else [text]
    rows = rows[max(0, inputs.skip_rows) :]
    return rows[: inputs.row_limit] if inputs.row_limit > 0 else rows
