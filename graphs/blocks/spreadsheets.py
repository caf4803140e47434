"""The block that reads CSV texts and Excel workbooks."""

import asyncio
import csv
import io
from collections.abc import Iterator

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Files, Yielded
from graphs.blocks.media import check_file_size, is_url, load_media
from graphs.blocks.workbooks import is_workbook, read_workbook
from graphs.exceptions import BlockError

MAX_ROWS = 100_000
MAX_COLUMNS = 1_000
MAX_RESULT_CHARACTERS = 64 * 1024 * 1024
"""How long all names and values may be: every row repeats the names, so a small file can make a large result."""

OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_CSV = "a, b, c\n1,2,3\n4, five ,6"
_ROWS = [{"a": "1", "b": "2", "c": "3"}, {"a": "4", "b": "five", "c": "6"}]


class ReadSpreadsheetInputs(BlockInputs):
    """A table, and how to read it."""

    contents: str | None = Field(default=None, description="The table as CSV text. Not used if there is a file.")
    file_input: str | None = Field(
        default=None,
        description="A CSV file or an Excel workbook (.xlsx) whose first sheet is read: an http(s) URL, a data: URI, "
        "or a reference to a file of this run.",
    )
    delimiter: str = Field(default=",", description="The character between two values of a CSV text.")
    quotechar: str = Field(default='"', description="The character around a value; empty for none.")
    escapechar: str = Field(default="\\", description="The character before one that is to be read as it is.")
    has_header: bool = Field(default=True, description="Whether the first row names the columns.")
    skip_rows: int = Field(default=0, description="How many rows to leave out after the header.")
    strip: bool = Field(default=True, description="Whether white space around names and values is removed.")
    skip_columns: list[str] = Field(
        default_factory=list,
        description="The columns to leave out: their names, or their numbers from 0 if there is no header.",
    )
    produce_singular_result: bool = Field(default=False, description="Whether the rows are emitted one by one only.")


class ReadSpreadsheetOutputs(BlockOutputs):
    """The rows."""

    row: dict[str, str] = Field(description="Each row: its values by the names of the columns, or their numbers.")
    rows: list[dict[str, str]] = Field(description="All rows in one list, after the last of them.")


class ReadSpreadsheetBlock(Block[ReadSpreadsheetInputs]):
    """Reads a table of up to 10 MiB, 100,000 rows and 1,000 columns. Empty rows are left out."""

    id = "acf7625e-d2cb-4941-bfeb-2819fc6fc015"
    name = "ReadSpreadsheetBlock"
    description = "Reads a CSV text or an Excel workbook row by row."
    Inputs = ReadSpreadsheetInputs
    Outputs = ReadSpreadsheetOutputs
    examples = (
        Example(
            inputs={"contents": _CSV},
            outputs=(("row", _ROWS[0]), ("row", _ROWS[1]), ("rows", _ROWS)),
        ),
        Example(
            inputs={"contents": _CSV, "produce_singular_result": True},
            outputs=(("row", _ROWS[0]), ("row", _ROWS[1])),
        ),
        Example(
            inputs={"contents": "1;2\n3;4", "delimiter": ";", "has_header": False, "skip_columns": ["0"]},
            outputs=(("row", {"1": "2"}), ("row", {"1": "4"}), ("rows", [{"1": "2"}, {"1": "4"}])),
        ),
        Example(inputs={}, outputs=(("error", "Either 'contents' or 'file_input' must be provided"),)),
    )

    def run(self, inputs: ReadSpreadsheetInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit each row, then all of them."""
        rows = list(_name_columns(_read_table(inputs, context.files), inputs))
        for row in rows:
            yield "row", row
        if not inputs.produce_singular_result:
            yield "rows", rows


def _read_table(inputs: ReadSpreadsheetInputs, files: Files) -> Iterator[list[str]]:
    if not inputs.file_input:
        if not inputs.contents:
            raise BlockError("Either 'contents' or 'file_input' must be provided")
        check_file_size(len(inputs.contents))
        return _read_csv(inputs.contents, inputs)
    content = _fetch(inputs.file_input, files)
    if content.startswith(OLD_EXCEL):
        raise BlockError("The file is an old Excel workbook (.xls); save it as .xlsx.")
    if is_workbook(content):
        return iter(read_workbook(content, max_rows=MAX_ROWS, max_columns=MAX_COLUMNS))
    try:
        return _read_csv(content.decode("utf-8-sig"), inputs)
    except UnicodeDecodeError:
        raise BlockError("The file is neither a workbook nor a CSV text in UTF-8.") from None


def _fetch(file: str, files: Files) -> bytes:
    media = asyncio.run(files.fetch(file)) if is_url(file) else load_media(file, files=files)
    return media.content


def _read_csv(text: str, inputs: ReadSpreadsheetInputs) -> Iterator[list[str]]:
    try:
        reader = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=inputs.delimiter,
            quotechar=inputs.quotechar or None,
            escapechar=inputs.escapechar or None,
            quoting=csv.QUOTE_MINIMAL if inputs.quotechar else csv.QUOTE_NONE,
        )
        for row in reader:
            if row:
                yield row
    except (csv.Error, TypeError, ValueError) as error:
        raise BlockError(f"The table can't be read: {error}") from error


def _name_columns(table: Iterator[list[str]], inputs: ReadSpreadsheetInputs) -> Iterator[dict[str, str]]:
    """Yield each row by the names of its columns; a value without a name is left out."""
    clean = str.strip if inputs.strip else str
    header = [clean(name) for name in next(table, [])] if inputs.has_header else None
    skipped = set(inputs.skip_columns)
    size = 0
    for number, row in enumerate(table):
        if number < inputs.skip_rows:
            continue
        names = header or map(str, range(len(row)))
        named = {name: clean(value) for name, value in zip(names, row, strict=False) if name not in skipped}
        size += sum(len(name) + len(value) for name, value in named.items())
        _check_limits(rows=number + 1, columns=len(row), characters=size)
        yield named


def _check_limits(*, rows: int, columns: int, characters: int) -> None:
    if rows > MAX_ROWS or columns > MAX_COLUMNS:
        raise BlockError(f"The table is larger than {MAX_ROWS:,} rows of {MAX_COLUMNS:,} columns.")
    if characters > MAX_RESULT_CHARACTERS:
        raise BlockError(f"The rows are longer than {MAX_RESULT_CHARACTERS:,} characters in all.")
