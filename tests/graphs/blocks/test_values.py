"""Values are kept, printed and noted as they are."""

from typing import Any

import pytest

from graphs.blocks.contract import Kind
from graphs.blocks.values import NoteBlock, PrintToConsoleBlock, StoreValueBlock
from tests.graphs.blocks.context import make_context
from tests.graphs.blocks.running import run_block


@pytest.mark.parametrize("data", [None, 0, "", [], {}, False])
def test_falsy_data_falls_back_to_the_input(data: Any) -> None:
    assert run_block(StoreValueBlock(), {"input": "fallback", "data": data}).outputs == [("output", "fallback")]


def test_what_is_kept_is_static() -> None:
    assert StoreValueBlock.static_output


@pytest.mark.parametrize("value", ["line", {"a": [1]}, None])
def test_printing_goes_to_the_log_and_hands_the_value_on(value: Any) -> None:
    log: list[str] = []

    ran = run_block(PrintToConsoleBlock(), {"text": value}, context=make_context(log=log))

    assert log == [str(value)]
    assert ran.outputs == [("output", value), ("status", "printed")]


def test_a_note_is_of_a_kind_that_never_runs() -> None:
    assert NoteBlock.kind is Kind.NOTE
