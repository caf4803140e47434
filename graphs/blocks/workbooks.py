"""Reads the first sheet of an Excel workbook (.xlsx) that nobody trusts.

A workbook is a zip of XML files, so it can be a bomb of either kind. Its unpacked size is looked at before anything is
unpacked; openpyxl refuses XML entities, as defusedxml is installed; and it works in a confined process, because a few
bytes of XML become a large object and a few megabytes of them all the memory there is.
"""

import base64
import codecs
import io
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

from openpyxl import DEFUSEDXML, load_workbook

from graphs.blocks.confinement import MEBIBYTE, Confined
from graphs.exceptions import BlockError

MAX_UNPACKED_BYTES = 100 * MEBIBYTE
MAX_PARTS = 2_000
TIME_LIMIT = 60.0
MEMORY_LIMIT = 1024 * MEBIBYTE

# The codec of names in a zip; a confined process can't open a file any more to load it when it is first needed.
codecs.lookup("cp437")


def is_workbook(content: bytes) -> bool:
    """Whether the file looks like an .xlsx workbook, whatever its name is."""
    return content.startswith(b"PK\x03\x04")


def read_workbook(
    content: bytes, *, max_rows: int, max_columns: int, time_limit: float = TIME_LIMIT
) -> list[list[str]]:
    """Return the rows of the first sheet as texts; empty rows are left out, and formulas are what they last were.

    Raises `BlockError` for what is no workbook, for one that is a bomb, and for more rows or columns than allowed.
    """
    encoded = base64.b64encode(content).decode("ascii")
    rows: list[list[str]] = _read_confined(encoded, max_rows, max_columns, time_limit=time_limit)
    return rows


def read_here(encoded: str, max_rows: int, max_columns: int) -> list[list[str]]:
    """Read a workbook (base64) in this process, which must be a confined one."""
    if not DEFUSEDXML:
        raise BlockError("Workbooks can't be read: defusedxml, which makes that safe, is not installed.")
    file = io.BytesIO(base64.b64decode(encoded))
    _check_archive(file)
    try:
        workbook = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        if not workbook.worksheets:
            raise BlockError("The workbook has no sheet.")
        sheet = workbook.worksheets[0]
        # What a sheet says about its own size need not be true.
        sheet.reset_dimensions()
        return list(_read_rows(sheet.iter_rows(values_only=True), max_rows, max_columns))
    except (BlockError, MemoryError):
        raise
    except Exception as error:  # openpyxl raises whatever a broken workbook leads to
        cause = error.__cause__ or error
        raise BlockError(f"The workbook can't be read: {type(cause).__name__}: {str(cause)[:200]}") from error


_read_confined = Confined(read_here, subject="The workbook", memory_limit=MEMORY_LIMIT, process_limit=2)


def _check_archive(file: io.BytesIO) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BlockError(f"The file is not an .xlsx workbook: {error}") from error
    # A part never unpacks to more than it says here: zipfile stops there.
    unpacked = sum(part.file_size for part in parts)
    if unpacked > MAX_UNPACKED_BYTES or len(parts) > MAX_PARTS:
        raise BlockError(
            f"The workbook unpacks to {len(parts):,} files of {unpacked:,} bytes; "
            f"{MAX_PARTS:,} files of {MAX_UNPACKED_BYTES:,} bytes are read."
        )


def _read_rows(rows: Iterator[tuple[Any, ...]], max_rows: int, max_columns: int) -> Iterator[list[str]]:
    """Yield the rows that aren't empty, each as wide as the first at least."""
    width = 0
    for number, row in enumerate(rows, start=1):
        if number > max_rows or len(row) > max_columns:
            raise BlockError(f"The sheet is larger than {max_rows:,} rows of {max_columns:,} columns.")
        cells = [_write(value) for value in row]
        if any(cells):
            width = width or len(cells)
            yield cells + [""] * (width - len(cells))


def _write(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)
