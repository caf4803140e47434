"""Files are kept once, passed on as they are wanted, and read in pieces."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.blocks import files as files_module
from graphs.blocks.files import AgentFileInputBlock, FileReadBlock, FileStoreBlock
from tests.graphs.blocks.context import FilesInMemory, make_context
from tests.graphs.blocks.running import run_block


def as_uri(text: str) -> str:
    return f"data:text/plain;base64,{base64.b64encode(text.encode()).decode()}"


def read(text: str, **inputs: Any) -> list[str]:
    ran = run_block(FileReadBlock(), {"file_input": as_uri(text), **inputs})
    assert {pin for pin, _ in ran.outputs} == {"content"}
    return [content for _, content in ran.outputs]


def test_a_stored_file_can_be_read_by_another_block() -> None:
    files = FilesInMemory()
    [(_, reference)] = run_block(FileStoreBlock(), {"file_in": as_uri("hi")}, context=make_context(files=files)).outputs

    ran = run_block(FileReadBlock(), {"file_input": reference}, context=make_context(files=files))

    assert ran.outputs == [("content", "hi")]
    assert files.media_types == {reference: "text/plain"}


def test_a_file_that_is_kept_is_not_kept_twice() -> None:
    files = FilesInMemory()
    reference = files.save(b"hi", name="a.txt", media_type="text/plain")

    ran = run_block(FileStoreBlock(), {"file_in": reference}, context=make_context(files=files))

    assert ran.outputs == [("file_out", reference)]
    assert len(files.contents) == 1


def test_a_file_that_is_kept_comes_out_as_a_data_uri_if_wanted() -> None:
    files = FilesInMemory()
    reference = files.save(b"hi", name="a.txt", media_type="text/plain")

    ran = run_block(
        AgentFileInputBlock(),
        {"name": "File", "value": reference, "base_64": True},
        context=make_context(files=files),
    )

    assert ran.outputs == [("result", as_uri("hi"))]


@pytest.mark.parametrize("file", ["", "plain text", "../../etc/passwd", "/etc/passwd", "data:,x", "http://10.0.0.1/"])
@pytest.mark.parametrize("block", [FileStoreBlock(), FileReadBlock()])
def test_what_is_no_file_is_an_error(block: FileStoreBlock | FileReadBlock, file: str) -> None:
    [(pin, _)] = run_block(block, {"file_in": file, "file_input": file}).outputs

    assert pin == "error"


def test_rows_are_skipped_limited_and_cut_in_this_order() -> None:
    text = "#head\nfirst\n\nsecond row\nthird"

    assert read(text, delimiter="\n") == ["#head", "first", "second row", "third"]
    assert read(text, delimiter="\n", skip_size=1, skip_rows=1, row_limit=3, size_limit=6) == [
        "first",
        "second",
        " row",
    ]


def test_lines_are_the_same_wherever_they_were_written() -> None:
    assert read("a\r\nb\rc", delimiter="\n") == ["a", "b", "c"]


@pytest.mark.parametrize("inputs", [{"skip_size": 99}, {"delimiter": "\n", "skip_rows": 9}, {"delimiter": "hi"}])
def test_if_nothing_is_left_an_empty_text_is_read(inputs: dict[str, Any]) -> None:
    assert read("hi", **inputs) == [""]


@pytest.mark.parametrize("pin", ["size_limit", "row_limit", "skip_size", "skip_rows"])
def test_a_negative_limit_is_none(pin: str) -> None:
    assert read("a\nb", delimiter="\n", **{pin: -1}) == ["a", "b"]


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\ufeff")), size=st.integers(1, 5))
def test_the_pieces_make_up_the_text(text: str, size: int) -> None:
    pieces = read(text, size_limit=size)

    assert "".join(pieces) == text
    assert all(len(piece) == size for piece in pieces[:-1])


def test_too_many_pieces_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "MAX_PIECES", 3)

    assert read("abc", size_limit=1) == ["a", "b", "c"]
    ran = run_block(FileReadBlock(), {"file_input": as_uri("abcd"), "size_limit": 1})
    assert ran.outputs == [("error", "The file would be read in 4 pieces; 3 are allowed.")]
