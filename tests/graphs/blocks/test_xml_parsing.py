"""XML is read into dictionaries, and what is no XML, or too much of it, is refused."""

import time
from typing import Any

import pytest

from graphs.blocks.xml_parsing import MAX_BYTES, parse_xml
from graphs.exceptions import BlockError

PATIENCE = 20.0
SHORT = 0.5
AMPLE = 60.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<a>text</a>", {"a": "text"}),
        ("<a></a>", {"a": ""}),
        ("<a><b>1</b><c>2</c></a>", {"a": {"b": "1", "c": "2"}}),
        ("<a><b>1</b><b>2</b></a>", {"a": [{"b": "1"}, {"b": "2"}]}),
        ("\n<Some Tag>\n <!-- not this --> é </Some Tag>\n", {"some_tag": "é"}),
    ],
)
def test_a_document_becomes_a_dictionary(text: str, expected: dict[str, Any]) -> None:
    assert parse_xml(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "text", "<a>", "</a>", "<a></b>", "<a></a></a>", "<a></a><b></b>", "x<a></a>", "<a></a>x", "<!-- only -->"],
)
def test_what_is_no_document_with_one_root_is_refused(text: str) -> None:
    with pytest.raises(BlockError, match=r"^Error in input xml syntax: "):
        parse_xml(text)


def test_a_hundred_levels_are_read_and_no_more() -> None:
    assert parse_xml("<a>" * 100 + "</a>" * 100)
    for levels in (101, 20_000):
        with pytest.raises(BlockError, match="nested more than 100 levels"):
            parse_xml("<a>" * levels + "</a>" * levels, time_limit=AMPLE)


def test_more_than_ten_mebibytes_are_refused() -> None:
    assert parse_xml(f"<a>{'x' * (MAX_BYTES - 7)}</a>", time_limit=AMPLE)
    for content in ("x" * (MAX_BYTES - 6), "é" * (MAX_BYTES // 2)):
        with pytest.raises(BlockError, match="at most 10,485,760 are read"):
            parse_xml(f"<a>{content}</a>")


@pytest.mark.parametrize("text", ["<" + " " * 1_000_000, "<!--" * 500_000], ids=["tag", "comments"])
def test_a_text_that_is_searched_without_end_is_stopped_at_its_limit(text: str) -> None:
    started = time.monotonic()

    with pytest.raises(BlockError, match=r"The XML took longer than 0\.5 s and was stopped\."):
        parse_xml(text, time_limit=SHORT)

    assert time.monotonic() - started < PATIENCE


def test_entities_are_not_expanded() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "cc"><!ENTITY d "&b;&b;">]>'

    with pytest.raises(BlockError, match=r"^Error in input xml syntax: "):
        parse_xml(f"{bomb}<a>&d;</a>")
    assert parse_xml("<a>&lt;&d;</a>") == {"a": "&lt;&d;"}
