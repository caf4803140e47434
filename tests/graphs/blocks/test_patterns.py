"""The blocks that look for patterns, beyond their examples."""

from typing import Any

import pytest

from graphs.blocks.patterns import ExtractTextInformationBlock, MatchTextPatternBlock
from tests.graphs.blocks.context import make_context
from tests.graphs.blocks.running import run_block


@pytest.mark.parametrize(
    ("value", "pattern"),
    [
        ({"a": ["é"]}, r'^\{"a":\["é"\]\}$'),
        ([1, 2], r"^\[1,2\]$"),
        (12.5, r"^12\.5$"),
        (None, "^null$"),
        (True, "^true$"),
    ],
)
def test_what_is_no_text_is_searched_as_json(value: Any, pattern: str) -> None:
    ran = run_block(MatchTextPatternBlock(), {"text": value, "match": pattern, "data": "found"})

    assert ran.outputs == [("positive", "found")]


@pytest.mark.parametrize("data", ["", None, 0, [], {}])
def test_the_text_passes_where_there_is_no_data(data: Any) -> None:
    ran = run_block(MatchTextPatternBlock(), {"text": [1], "match": "2", "data": data})

    assert ran.outputs == [("negative", [1])]


def test_only_the_first_thousand_matches_are_extracted() -> None:
    ran = run_block(ExtractTextInformationBlock(), {"text": "ab" * 1_001, "pattern": "a", "find_all": True})

    assert ran.outputs[:-2] == [("positive", "a")] * 1_000
    assert ran.outputs[-2:] == [("matched_results", ["a"] * 1_000), ("matched_count", 1_000)]


def test_only_the_first_million_characters_are_searched_and_the_log_says_so() -> None:
    log: list[str] = []
    text = " " * 1_000_000 + "needle"

    ran = run_block(ExtractTextInformationBlock(), {"text": text, "pattern": "needle"}, context=make_context(log=log))

    assert ran.outputs == [("negative", text), ("matched_results", []), ("matched_count", 0)]
    assert log == ["Only the first 1,000,000 of 1,000,006 characters are searched."]


def test_a_value_that_did_not_match_is_passed_on_as_the_text_that_was_searched() -> None:
    ran = run_block(ExtractTextInformationBlock(), {"text": {"a": 1}, "pattern": "b"})

    assert ran.outputs[0] == ("negative", '{"a":1}')


@pytest.mark.parametrize(
    ("block", "inputs"),
    [
        (MatchTextPatternBlock(), {"text": "a", "match": "(", "data": 1}),
        (ExtractTextInformationBlock(), {"text": "a", "pattern": "("}),
        (ExtractTextInformationBlock(), {"text": "a", "pattern": "a", "group": -1}),
    ],
)
def test_what_can_not_be_searched_for_is_the_blocks_error(block: Any, inputs: dict[str, Any]) -> None:
    assert [pin for pin, _ in run_block(block, inputs).outputs] == ["error"]
