"""The text blocks, beyond their examples."""

from typing import Any

import pytest

from graphs.blocks.text import (
    MAX_LENGTH,
    CombineTextsBlock,
    TextReplaceBlock,
    TextSplitBlock,
    WordCharacterCountBlock,
)
from tests.graphs.blocks.running import run_block

LONG = "x" * 100_000


@pytest.mark.parametrize("texts", [[], [""], ["alone"]])
def test_a_delimiter_stands_only_between_texts(texts: list[str]) -> None:
    ran = run_block(CombineTextsBlock(), {"input": texts, "delimiter": ", "})

    assert ran.outputs == [("output", "".join(texts))]


def test_a_delimiter_is_taken_as_it_is() -> None:
    ran = run_block(CombineTextsBlock(), {"input": ["a", "b"], "delimiter": r"\n"})

    assert ran.outputs == [("output", r"a\nb")]


@pytest.mark.parametrize(
    ("block", "inputs"),
    [
        (CombineTextsBlock(), {"input": [""] * 100_000, "delimiter": LONG}),
        (TextReplaceBlock(), {"text": LONG, "old": "x", "new": LONG}),
        (TextReplaceBlock(), {"text": LONG, "old": "", "new": LONG}),
    ],
)
def test_short_inputs_do_not_make_gigabytes(block: Any, inputs: dict[str, Any]) -> None:
    ran = run_block(block, inputs)

    assert [pin for pin, _ in ran.outputs] == ["error"]
    assert f"at most {MAX_LENGTH:,}" in ran.outputs[0][1]


@pytest.mark.parametrize(("old", "expected"), [("", "-a-b-"), ("ab", "-"), ("x", "ab")])
def test_a_text_is_replaced_wherever_it_stands(old: str, expected: str) -> None:
    ran = run_block(TextReplaceBlock(), {"text": "ab", "old": old, "new": "-"})

    assert ran.outputs == [("output", expected)]


def test_a_text_is_not_split_at_nothing() -> None:
    ran = run_block(TextSplitBlock(), {"text": "abc", "delimiter": ""})

    assert [pin for pin, _ in ran.outputs] == ["error"]


def test_parts_may_be_empty() -> None:
    ran = run_block(TextSplitBlock(), {"text": "\na\n\n b ", "delimiter": "\n"})

    assert ran.outputs == [("texts", ["", "a", "", "b"])]


def test_words_are_what_stands_between_any_white_space() -> None:
    ran = run_block(WordCharacterCountBlock(), {"text": " one\n\ttwo  "})

    assert ran.outputs == [("word_count", 2), ("character_count", 11)]
