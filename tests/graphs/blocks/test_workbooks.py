"""Workbooks are read as texts; bombs and broken ones are errors. Real workbooks, made here."""

import io
import re
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any

import pytest
from openpyxl import Workbook

from graphs.blocks import workbooks
from graphs.blocks.workbooks import is_workbook, read_here, read_workbook
from graphs.exceptions import BlockError

SHEET = "xl/worksheets/sheet1.xml"


def make_workbook(*rows: list[Any]) -> bytes:
    workbook = Workbook()
    for row in rows:
        workbook.active.append(row)
    workbook.create_sheet("Second").append(["not read"])
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


def change_part(content: bytes, part: str, change: Callable[[str], str]) -> bytes:
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, change(text.decode()) if name == part else text)
    return changed.getvalue()


def read(content: bytes, *, max_rows: int = 1000, max_columns: int = 100) -> list[list[str]]:
    return read_workbook(content, max_rows=max_rows, max_columns=max_columns)


def test_the_cells_of_the_first_sheet_are_read_as_texts() -> None:
    content = make_workbook(
        ["text", 1, 2.5, True, None, date(2024, 5, 17), datetime(2024, 5, 17, 8, 30), time(8, 30)],  # noqa: DTZ001
        [None],
        ["N/A", -3],
    )

    assert is_workbook(content)
    assert read(content) == [
        ["text", "1", "2.5", "True", "", "2024-05-17", "2024-05-17 08:30:00", "08:30:00"],
        ["N/A", "-3", "", "", "", "", "", ""],
    ]


def test_a_formula_that_was_never_computed_is_empty() -> None:
    assert read(make_workbook(["a", "=1+1"])) == [["a", ""]]


def test_a_workbook_with_more_than_the_allowed_is_an_error() -> None:
    content = make_workbook([1, 2], [3, 4])

    assert read(content, max_rows=2, max_columns=2)
    with pytest.raises(BlockError, match="larger than 1 rows of 2 columns"):
        read(content, max_rows=1, max_columns=2)
    with pytest.raises(BlockError, match="larger than 2 rows of 1 columns"):
        read(content, max_rows=2, max_columns=1)


@pytest.mark.parametrize(
    ("old", "new"), [('<row r="2">', '<row r="1048576">'), ('r="B2"', 'r="XFD2"'), ('r="B2"', 'r="ZZZZZZZ2"')]
)
def test_a_cell_far_away_is_an_error(old: str, new: str) -> None:
    content = change_part(make_workbook([1, 2], [3, 4]), SHEET, lambda xml: xml.replace(old, new))

    with pytest.raises(BlockError):
        read(content)


def test_what_a_sheet_says_about_its_size_is_not_believed() -> None:
    content = change_part(make_workbook([1, 2]), SHEET, lambda xml: xml.replace("A1:B1", "A1:XFD1048576"))

    assert read(content) == [["1", "2"]]


@pytest.mark.parametrize("part", [SHEET, "xl/workbook.xml", "xl/styles.xml"])
def test_entities_are_an_error(part: str) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    content = change_part(make_workbook([1]), part, lambda xml: bomb + re.sub(r"^<\?.*?\?>", "", xml))

    with pytest.raises(BlockError, match="can't be read: EntitiesForbidden"):
        read(content)


def test_a_zip_bomb_is_an_error_before_it_is_unpacked() -> None:
    file = io.BytesIO(make_workbook([1]))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/zeros", bytes(workbooks.MAX_UNPACKED_BYTES))

    assert len(file.getvalue()) < 200_000
    with pytest.raises(BlockError, match="unpacks to"):
        read(file.getvalue())


def test_a_zip_of_very_many_files_is_an_error() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(workbooks.MAX_PARTS + 1):
            archive.writestr(str(number), b"")

    with pytest.raises(BlockError, match="unpacks to"):
        read(file.getvalue())


def test_a_small_workbook_that_keeps_the_reader_busy_is_stopped() -> None:
    styles = "<xf/>" * 1_000_000
    content = change_part(
        make_workbook([1]), "xl/styles.xml", lambda xml: re.sub("<cellXfs[^>]*>", rf"\g<0>{styles}", xml)
    )

    assert len(content) < 20_000
    with pytest.raises(BlockError, match="took longer than 1 s"):
        read_workbook(content, max_rows=10, max_columns=10, time_limit=1)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PK\x03\x04" + bytes(1000), b"a,b\n1,2"])
def test_what_is_no_workbook_is_an_error(content: bytes) -> None:
    with pytest.raises(BlockError, match=r"not an \.xlsx workbook"):
        read(content)


def test_another_zip_is_an_error() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "hello")

    with pytest.raises(BlockError, match="can't be read"):
        read(file.getvalue())


def test_without_protection_from_entities_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "DEFUSEDXML", False)

    with pytest.raises(BlockError, match="defusedxml"):
        read_here("", 1, 1)
