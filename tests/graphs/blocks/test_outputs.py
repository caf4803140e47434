"""The output block hands a value out, written with a template if there is one."""

from typing import Any

import pytest

from graphs.blocks.outputs import AgentOutputBlock
from tests.graphs.blocks.running import run_block


def outputs(**inputs: Any) -> list[tuple[str, Any]]:
    return run_block(AgentOutputBlock(), {"name": "answer", **inputs}).outputs


@pytest.mark.parametrize("value", [41, "text", None, [1, {"a": None}], ""])
def test_without_a_format_the_value_and_the_name_come_out(value: Any) -> None:
    assert outputs(value=value) == [("output", value), ("name", "answer")]


def test_a_format_knows_the_value_by_the_name_of_the_output() -> None:
    assert outputs(value=[1, 2], format="{{ answer | length }} items") == [("output", "2 items")]


def test_a_format_knows_the_value_as_value() -> None:
    assert outputs(name="What now?", value="x", format="{{ value }}!") == [("output", "x!")]


def test_html_is_escaped_only_on_demand() -> None:
    assert outputs(value="<b>", format="{{ answer }}") == [("output", "<b>")]
    assert outputs(value="<b>", format="{{ answer }}", escape_html=True) == [("output", "&lt;b&gt;")]


def test_a_format_that_fails_spoils_the_text_but_not_the_run() -> None:
    ((pin, text),) = outputs(value=41, format="{{ answer ")

    assert pin == "output"
    assert text.startswith("Error: ")
    assert text.endswith(", 41")


def test_a_hostile_format_is_stopped() -> None:
    ((pin, text),) = outputs(value="x", format="{{ answer.__class__.__mro__[1].__subclasses__() }}")

    assert pin == "output"
    assert text.startswith("Error: ")
