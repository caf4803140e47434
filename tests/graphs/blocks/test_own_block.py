"""A block in a module of somebody else's is a block like ours once BLOCK_MODULES names it."""

from collections.abc import Iterator

import pytest
from django.test import override_settings

from graphs.blocks.interfaces import Interface
from graphs.blocks.registry import find_block, find_interface, get_block
from tests.graphs.blocks.own_block import ShoutBlock
from tests.graphs.blocks.running import run_block


@pytest.fixture(autouse=True)
def _named_in_the_settings() -> Iterator[None]:
    with override_settings(BLOCK_MODULES=["graphs.blocks", "tests.graphs.blocks.own_block"]):
        yield


def test_it_is_found_beside_ours() -> None:
    assert isinstance(get_block(ShoutBlock.id), ShoutBlock)
    assert find_block("cc10ff7b-7753-4ff2-9af6-9399b1a7eddc") is not None


def test_without_the_setting_it_is_unknown() -> None:
    with override_settings(BLOCK_MODULES=["graphs.blocks"]):
        assert find_block(ShoutBlock.id) is None


def test_its_pins_are_those_of_its_models() -> None:
    interface = find_interface(ShoutBlock.id)

    assert isinstance(interface, Interface)
    assert interface.available
    assert interface.inputs["text"].required
    assert interface.inputs["times"].default == 1
    assert set(interface.outputs) == {"shouted", "error"}


def test_its_examples_hold() -> None:
    (example,) = ShoutBlock.examples

    assert tuple(run_block(ShoutBlock(), example.inputs).outputs) == example.outputs


def test_its_failure_is_an_error_output() -> None:
    assert run_block(ShoutBlock(), {"text": ""}).outputs == [("error", "There is nothing to shout.")]
