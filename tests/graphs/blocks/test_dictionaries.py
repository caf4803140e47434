"""Dictionary blocks beyond their examples: hostile JSON, odd keys, and inputs that stay as they were."""

from copy import deepcopy
from typing import Any

import pytest

from graphs.blocks.contract import Block
from graphs.blocks.dictionaries import (
    AddToDictionaryBlock,
    FindInDictionaryBlock,
    RemoveFromDictionaryBlock,
    ReplaceDictionaryValueBlock,
)
from tests.graphs.blocks.running import run_block


def find(data: Any, key: str | int) -> tuple[str, Any]:
    [output] = run_block(FindInDictionaryBlock(), {"input": data, "key": key}).outputs
    return output


@pytest.mark.parametrize(
    ("block", "inputs"),
    [
        (AddToDictionaryBlock(), {"key": "a", "value": 9, "entries": {"b": 8}}),
        (RemoveFromDictionaryBlock(), {"key": "a"}),
        (ReplaceDictionaryValueBlock(), {"key": "a", "value": 9}),
    ],
)
def test_a_block_leaves_the_dictionary_it_got_as_it_was(block: Block[Any], inputs: dict[str, Any]) -> None:
    dictionary = {"a": 1, "b": {"c": 2}}
    before = deepcopy(dictionary)

    run_block(block, {"dictionary": dictionary, **inputs})

    assert dictionary == before


@pytest.mark.parametrize("falsy", [0, False, "", [], {}])
def test_a_falsy_value_is_added(falsy: Any) -> None:
    ran = run_block(AddToDictionaryBlock(), {"key": "k", "value": falsy})

    assert ran.outputs == [("updated_dictionary", {"k": falsy})]


def test_a_value_without_a_key_is_not_added() -> None:
    ran = run_block(AddToDictionaryBlock(), {"dictionary": {"a": 1}, "value": 2})

    assert ran.outputs == [("updated_dictionary", {"a": 1})]


def test_a_number_finds_the_key_that_json_made_text_of_it() -> None:
    assert find({"7": "seven"}, 7) == ("output", "seven")
    assert run_block(RemoveFromDictionaryBlock(), {"dictionary": {"7": 1}, "key": 7}).outputs == [
        ("updated_dictionary", {})
    ]


@pytest.mark.parametrize("data", [5, True, None, 1.5, "5", '"text"', "null"])
def test_nothing_is_found_in_what_is_no_dictionary_and_no_list(data: Any) -> None:
    assert find(data, "real") == ("missing", data)


@pytest.mark.parametrize("key", ["__class__", "keys", "copy", "append"])
@pytest.mark.parametrize("data", [{}, 5])
def test_an_attribute_is_not_found(data: Any, key: str) -> None:
    assert find(data, key) == ("missing", data)


@pytest.mark.parametrize("key", ["__class__", "append", "upper", "0"])
def test_a_column_holds_only_what_dictionaries_have(key: str) -> None:
    assert find(["text", [1], 5, None], key) == ("output", [])


def test_a_column_skips_what_is_no_dictionary() -> None:
    assert find(["a", {"b": 1}, {"a": 2}, None, {"a": 3}], "a") == ("output", [2, 3])


def test_a_negative_index_is_missing() -> None:
    assert find([1, 2], -1) == ("missing", [1, 2])


@pytest.mark.parametrize(
    "text",
    ["", "plain text", "{'a': 1}", '{"a": NaN}', '{"a": -Infinity}', '{"a": 1e999}', "[" * 100_000, "1" * 10_000],
    ids=lambda text: text[:12],
)
def test_a_text_that_is_not_safe_json_is_an_error(text: str) -> None:
    pin, message = find(text, "a")

    assert pin == "error"
    assert "JSON" in message
