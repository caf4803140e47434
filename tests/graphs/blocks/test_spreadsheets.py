"""Tables are read row by row, from texts and files of either kind; what would be too much is an error."""

import base64
import io
from typing import Any

import pytest
from openpyxl import Workbook

from graphs.blocks import media, spreadsheets
from graphs.blocks.spreadsheets import ReadSpreadsheetBlock
from tests.graphs.blocks.context import FilesInMemory, make_context
from tests.graphs.blocks.running import run_block


def run(**inputs: Any) -> list[tuple[str, Any]]:
    return run_block(ReadSpreadsheetBlock(), inputs).outputs


def rows(**inputs: Any) -> list[dict[str, str]]:
    outputs = run(**inputs)
    read = [row for pin, row in outputs if pin == "row"]
    assert outputs[-1] == ("rows", read)
    return read


def error(**inputs: Any) -> str:
    [(pin, text)] = run(**inputs)
    assert pin == "error"
    return str(text)


def as_uri(content: bytes) -> str:
    return f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"


def test_a_csv_file_is_read_as_its_text_is() -> None:
    files = FilesInMemory()
    reference = files.save("\ufeffnäme,b\n1,2\n".encode(), name="a.csv", media_type="text/csv")

    ran = run_block(
        ReadSpreadsheetBlock(),
        {"file_input": reference, "contents": "not,used"},
        context=make_context(files=files),
    )

    assert ran.outputs[-1] == ("rows", [{"näme": "1", "b": "2"}])


def test_a_workbook_is_read_as_a_csv_file_is() -> None:
    workbook = Workbook()
    for row in ([" name ", "n"], ["a", 1], [None, None], ["b", None]):
        workbook.active.append(row)
    file = io.BytesIO()
    workbook.save(file)

    assert rows(file_input=as_uri(file.getvalue())) == [{"name": "a", "n": "1"}, {"name": "b", "n": ""}]


def test_quotes_escapes_and_white_space_are_as_wanted() -> None:
    assert rows(contents="a;b\n'x;y'; z \nx\\;y;z\n", delimiter=";", quotechar="'") == [
        {"a": "x;y", "b": "z"},
        {"a": "x;y", "b": "z"},
    ]
    assert rows(contents="a , b\n 1, 2", strip=False) == [{"a ": " 1", " b": " 2"}]
    assert rows(contents='a\n"x"\n\\y', quotechar="", escapechar="") == [{"a": '"x"'}, {"a": "\\y"}]
    assert rows(contents='a,b\n"x\ny",2') == [{"a": "x\ny", "b": "2"}]


def test_rows_are_skipped_after_the_header_and_empty_ones_always() -> None:
    assert rows(contents="a\n\n1\n\n2\n3\n\n", skip_rows=2) == [{"a": "3"}]
    assert rows(contents="1\n2\n3", has_header=False, skip_rows=2) == [{"0": "3"}]
    assert rows(contents="a\n1", skip_rows=5) == []
    assert rows(contents="a\n1", skip_rows=-1) == [{"a": "1"}]


def test_columns_are_skipped_by_name_and_values_without_a_name_are_left_out() -> None:
    assert rows(contents="a,b,c\n1,2,3,4\n5", skip_columns=["b", "nowhere"]) == [{"a": "1", "c": "3"}, {"a": "5"}]


@pytest.mark.parametrize("inputs", [{"delimiter": ""}, {"delimiter": ";;"}, {"quotechar": "ab"}, {"escapechar": "ab"}])
def test_marks_that_are_not_one_character_are_an_error(inputs: dict[str, str]) -> None:
    assert "can't be read" in error(contents="a,b\n1,2", **inputs)


def test_an_endless_value_is_an_error() -> None:
    assert "field limit" in error(contents='a\n"' + "x" * 200_000)


def test_a_file_that_is_no_table_is_an_error() -> None:
    assert "neither a workbook nor a CSV" in error(file_input=as_uri(b"\x89PNG\xff\xfe"))
    assert ".xls" in error(file_input=as_uri(spreadsheets.OLD_EXCEL + bytes(600)))
    assert "workbook" in error(file_input=as_uri(b"PK\x03\x04 but no zip"))
    assert "not on the public internet" in error(file_input="http://127.0.0.1/a.csv")


def test_a_table_that_is_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    table = "a,b\n1,2\n3,4"
    for module, name, enough in (
        (spreadsheets, "MAX_ROWS", 2),
        (spreadsheets, "MAX_COLUMNS", 2),
        (spreadsheets, "MAX_RESULT_CHARACTERS", 8),
        (media, "MAX_FILE_BYTES", len(table)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, enough)
            assert len(rows(contents=table)) == 2
            patch.setattr(module, name, enough - 1)
            assert "larger" in (text := error(contents=table)) or "longer" in text


def test_long_names_repeated_in_many_rows_are_an_error() -> None:
    header = ",".join(f"{number:->100000}" for number in range(20))

    assert "characters in all" in error(contents=header + "\n" + "," * 19 * 1 + ("\n" + "," * 19) * 1000)
