"""Input blocks emit what they are given, as JSON, and nothing if they are given nothing."""

from typing import Any

import pytest
from pydantic import ValidationError

from graphs.blocks import inputs
from graphs.blocks.contract import Block, Kind
from graphs.blocks.registry import all_blocks
from tests.graphs.blocks.running import run_block

TEXT_BLOCKS = [inputs.AgentShortTextInputBlock(), inputs.AgentLongTextInputBlock(), inputs.AgentDropdownInputBlock()]
NULLABLE = [
    inputs.AgentInputBlock(),
    *TEXT_BLOCKS,
    inputs.AgentNumberInputBlock(),
    inputs.AgentDateInputBlock(),
    inputs.AgentTimeInputBlock(),
]


def test_every_input_block_is_static_and_of_kind_input() -> None:
    found = [block for block in all_blocks() if block.name.startswith("Agent") and block.name.endswith("InputBlock")]

    assert len(found) >= 9
    assert {(block.kind, block.static_output) for block in found} == {(Kind.INPUT, True)}


@pytest.mark.parametrize("block", NULLABLE, ids=lambda block: block.name)
def test_without_a_value_nothing_is_emitted(block: Block[Any]) -> None:
    assert run_block(block, {"name": "x"}).outputs == []
    assert run_block(block, {"name": "x", "value": None}).outputs == []


@pytest.mark.parametrize("value", [0, "", False, [], {}])
def test_a_falsy_value_is_a_value(value: Any) -> None:
    assert run_block(inputs.AgentInputBlock(), {"name": "x", "value": value}).outputs == [("result", value)]


@pytest.mark.parametrize("block", TEXT_BLOCKS, ids=lambda block: block.name)
def test_an_empty_text_is_a_value(block: Block[Any]) -> None:
    assert run_block(block, {"name": "x", "value": ""}).outputs == [("result", "")]


@pytest.mark.parametrize(("value", "expected"), [(3, 3), ("3", 3), (3.0, 3), (-1, -1), (10**30, 10**30)])
def test_a_number_may_come_as_text(value: Any, expected: int) -> None:
    assert run_block(inputs.AgentNumberInputBlock(), {"name": "x", "value": value}).outputs == [("result", expected)]


@pytest.mark.parametrize("value", ["three", 1.5, [1]])
def test_what_is_not_a_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        run_block(inputs.AgentNumberInputBlock(), {"name": "x", "value": value})


def test_dates_and_times_come_out_as_iso_text() -> None:
    day = run_block(inputs.AgentDateInputBlock(), {"name": "x", "value": "2023-12-31"})
    moment = run_block(inputs.AgentTimeInputBlock(), {"name": "x", "value": "23:59:59"})

    assert day.outputs == [("result", "2023-12-31")]
    assert moment.outputs == [("result", "23:59:59")]


def test_a_day_that_is_not_in_the_calendar_is_refused() -> None:
    with pytest.raises(ValidationError):
        run_block(inputs.AgentDateInputBlock(), {"name": "x", "value": "2023-02-29"})


def test_a_toggle_that_nobody_touched_is_off() -> None:
    toggle = inputs.AgentToggleInputBlock()

    assert run_block(toggle, {"name": "x", "value": None}).outputs == [("result", False)]
    assert run_block(toggle, {"name": "x", "value": "true"}).outputs == [("result", True)]


def test_a_table_without_rows_is_empty() -> None:
    table = inputs.AgentTableInputBlock()

    assert run_block(table, {"name": "x", "value": None}).outputs == [("result", [])]
    assert run_block(table, {"name": "x", "value": []}).outputs == [("result", [])]


def test_constants_that_older_agents_carry_are_ignored() -> None:
    constants = {"name": "x", "value": "v", "secret": False, "placeholder_values": ["v"], "title": None}

    assert run_block(inputs.AgentShortTextInputBlock(), constants).outputs == [("result", "v")]
