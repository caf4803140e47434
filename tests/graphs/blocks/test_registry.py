"""Blocks are found in the modules that a setting names, and what is wrong there is said in one sentence."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from graphs.blocks.aliases import ALIASES
from graphs.blocks.registry import all_blocks, all_interfaces, find_block, find_interface, get_block
from graphs.exceptions import UnknownBlockError

NOTE = "cc10ff7b-7753-4ff2-9af6-9399b1a7eddc"
SEARCH_THE_WEB = "87840993-2053-44b7-8da4-187ad4ee518c"

HEAD = """
from abc import ABC
from graphs.blocks.contract import Block, BlockInputs, BlockOutputs
"""
BLOCK = """
class {name}Block(Block[BlockInputs]):
    id = "{block_id}"
    name = "{name}Block"
    Inputs = BlockInputs
    Outputs = BlockOutputs
    def run(self, inputs, context):
        yield "error", "{name}"
"""
ID_A = "11111111-1111-4111-8111-111111111111"
ID_B = "22222222-2222-4222-8222-222222222222"


class Package:
    """A package of blocks in a folder of its own, importable under a name that no other test uses."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / name
        self.name = name
        self.write("__init__", "")

    def write(self, module: str, text: str) -> None:
        path = self.folder / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Package:
    monkeypatch.syspath_prepend(str(tmp_path))
    return Package(tmp_path, f"blocks_of_{request.node.name}")


def names_found(*modules: str) -> list[str]:
    with override_settings(BLOCK_MODULES=list(modules)):
        return [block.name for block in all_blocks()]


def complaint(*modules: str) -> str:
    with override_settings(BLOCK_MODULES=list(modules)), pytest.raises(ImproperlyConfigured) as caught:
        all_blocks()
    return str(caught.value)


def test_blocks_in_all_modules_below_a_package_are_found(package: Package) -> None:
    package.write("first", HEAD + BLOCK.format(name="First", block_id=ID_A))
    package.write("deep/__init__", "")
    package.write("deep/second", HEAD + BLOCK.format(name="Second", block_id=ID_B))

    assert names_found(package.name) == ["FirstBlock", "SecondBlock"]
    assert names_found(f"{package.name}.first") == ["FirstBlock"]


def test_imported_and_abstract_classes_are_no_blocks_of_a_module(package: Package) -> None:
    package.write("first", HEAD + BLOCK.format(name="First", block_id=ID_A))
    base = "class Base(Block[BlockInputs], ABC):\n    def run(self, inputs, context):\n        yield 'error', ''\n"
    abstract = "class Abstract(Block[BlockInputs]):\n    pass\n"
    package.write("second", f"{HEAD}from {package.name}.first import FirstBlock\n{base}{abstract}")

    assert names_found(f"{package.name}.second") == []


def test_a_module_named_twice_is_loaded_once(package: Package) -> None:
    package.write("first", HEAD + BLOCK.format(name="First", block_id=ID_A))

    assert names_found(package.name, f"{package.name}.first") == ["FirstBlock"]


def test_two_blocks_with_one_id_are_refused_by_name(package: Package) -> None:
    package.write("first", HEAD + BLOCK.format(name="First", block_id=ID_A))
    package.write("second", HEAD + BLOCK.format(name="Second", block_id=ID_A))

    text = complaint(package.name)

    assert f"{package.name}.first.FirstBlock" in text
    assert f"{package.name}.second.SecondBlock" in text
    assert ID_A in text


def test_missing_attributes_are_all_named(package: Package) -> None:
    package.write("first", f"{HEAD}class Bare(Block[BlockInputs]):\n    def run(self, inputs, context):\n        ...\n")

    assert complaint(package.name) == f"The block {package.name}.first.Bare lacks id, name, Inputs, Outputs."


@pytest.mark.parametrize("wrong", ["", "Shout", ID_A.replace("-", ""), "ABCDEF00-1111-4111-8111-111111111111"])
def test_an_id_that_is_not_a_uuid_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package = Package(tmp_path, f"blocks_with_id_of_{len(wrong)}")
    package.write("first", HEAD + BLOCK.format(name="First", block_id=wrong))

    assert complaint(package.name) == (
        f"The block {package.name}.first.FirstBlock: the id {wrong!r} is not a UUID in lower case."
    )


def test_pins_of_another_kind_are_refused(package: Package) -> None:
    block = BLOCK.format(name="First", block_id=ID_A).replace("Outputs = BlockOutputs", "Outputs = BlockInputs")
    package.write("first", HEAD + block)

    assert f"{package.name}.first.FirstBlock: Outputs must be a BlockOutputs" in complaint(package.name)


def test_a_module_that_fails_to_import_is_named_with_its_reason(package: Package) -> None:
    package.write("broken", "1 / 0\n")

    text = complaint(package.name)

    assert f"{package.name}.broken" in text
    assert "ZeroDivisionError: division by zero" in text


def test_a_module_that_is_not_there_is_named() -> None:
    assert "no_such_package_of_blocks" in complaint("no_such_package_of_blocks")


def test_what_was_broken_is_tried_again(package: Package) -> None:
    package.write("first", "1 / 0\n")
    complaint(package.name)

    package.write("first", HEAD + BLOCK.format(name="First", block_id=ID_A) + "# mended\n")

    assert names_found(package.name) == ["FirstBlock"]


def test_many_threads_that_ask_first_get_the_same_blocks(package: Package) -> None:
    package.write("first", "TAKES_LONG = sum(range(2_000_000))\n" + HEAD + BLOCK.format(name="First", block_id=ID_A))
    start = Barrier(8)

    def ask() -> int:
        start.wait()
        return id(get_block(ID_A))

    with override_settings(BLOCK_MODULES=[package.name]), ThreadPoolExecutor(8) as threads:
        answers = [asked.result() for asked in [threads.submit(ask) for _ in range(8)]]

    assert len(set(answers)) == 1


def test_an_old_id_stands_for_a_block_that_is_there() -> None:
    for old, new in ALIASES.items():
        interface = find_interface(old)

        assert interface is not None, old
        assert interface.id == new


def test_a_block_we_lack_has_an_interface_but_can_not_be_got() -> None:
    interface = find_interface(SEARCH_THE_WEB)

    assert interface is not None
    assert not interface.available
    assert interface.inputs["credentials"].secret
    assert find_block(SEARCH_THE_WEB) is None
    with pytest.raises(UnknownBlockError, match=SEARCH_THE_WEB):
        get_block(SEARCH_THE_WEB)


def test_nobody_knows_an_invented_id() -> None:
    assert find_block(ID_A) is None
    assert find_interface(ID_A) is None


def test_a_block_takes_the_place_of_its_entry_in_the_catalogue(package: Package) -> None:
    package.write("first", HEAD + BLOCK.format(name="Search", block_id=SEARCH_THE_WEB))

    with override_settings(BLOCK_MODULES=[package.name]):
        interface = find_interface(SEARCH_THE_WEB)
        listed = [known.name for known in all_interfaces() if known.id == SEARCH_THE_WEB]

    assert interface is not None
    assert interface.available
    assert listed == ["SearchBlock"]


def test_all_interfaces_are_ours_then_the_others_each_by_name() -> None:
    interfaces = all_interfaces()
    ours = [interface.name for interface in interfaces if interface.available]
    others = [interface.name for interface in interfaces if not interface.available]

    assert [interface.name for interface in interfaces] == sorted(ours) + sorted(others)
    assert ours == [block.name for block in all_blocks()]
    assert len({interface.id for interface in interfaces}) == len(interfaces)


def test_every_pin_of_the_catalogue_stands_alone() -> None:
    for interface in all_interfaces():
        assert "$ref" not in repr([pin.schema for pin in interface.inputs.values()])
        assert "$ref" not in repr(interface.outputs)
        assert "error" in interface.outputs
