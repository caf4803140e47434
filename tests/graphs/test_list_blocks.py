"""`manage.py list_blocks` shows what there is."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from graphs.blocks.registry import all_interfaces


def list_blocks(*options: str) -> str:
    output = StringIO()
    call_command("list_blocks", *options, stdout=output)
    return output.getvalue()


def test_the_table_has_a_line_for_each_block() -> None:
    head, *lines = list_blocks().splitlines()

    assert head.split() == ["NAME", "ID", "KIND", "RUNS", "HERE", "DESCRIPTION"]
    assert [line.split()[:2] for line in lines] == [[block.name, block.id] for block in all_interfaces()]


def test_the_table_says_what_can_not_run_here_and_why() -> None:
    lines = {line.split()[0]: line for line in list_blocks().splitlines()}

    assert "  yes  " in lines["CalculatorBlock"]
    assert "  no: credentials, network  " in lines["GmailReadBlock"]


def test_json_holds_every_pin() -> None:
    blocks = {block["name"]: block for block in json.loads(list_blocks("--json"))}

    calculator = blocks["CalculatorBlock"]
    assert calculator["available"] is True
    assert calculator["inputs"]["a"]["schema"]["type"] == "number"
    assert calculator["inputs"]["a"]["required"] is True
    assert "default" not in calculator["inputs"]["a"]
    assert calculator["inputs"]["round_result"]["default"] is False
    assert calculator["outputs"]["result"]["type"] == "number"
    assert blocks["GmailReadBlock"]["available"] is False


def test_a_setting_that_can_not_be_loaded_is_one_clear_line() -> None:
    with override_settings(BLOCK_MODULES=["nowhere.to_be_found"]), pytest.raises(CommandError, match="nowhere"):
        list_blocks()
