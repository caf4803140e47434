"""Every block keeps its interface, describes its pins, and does what its examples say."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from graphs.blocks.contract import Block, Example
from graphs.blocks.interfaces import NO_DEFAULT, InputPin, Interface
from graphs.blocks.registry import all_blocks
from graphs.blocks.schemas import describe_block
from tests.graphs.blocks.context import NOON, MemoryOfOneRun, make_context
from tests.graphs.blocks.running import run_block

OUR_PACKAGE = "graphs.blocks."
FROZEN: Mapping[str, Mapping[str, Any]] = {
    fact["id"]: fact for fact in json.loads(Path(__file__).with_name("interfaces.json").read_text(encoding="utf-8"))
}


def our_blocks() -> list[Block[Any]]:
    return [block for block in all_blocks() if type(block).__module__.startswith(OUR_PACKAGE)]


BLOCKS = [pytest.param(block, id=block.name) for block in our_blocks()]
EXAMPLES = [
    pytest.param(block, example, id=f"{block.name}-{number}")
    for block in our_blocks()
    for number, example in enumerate(block.examples, start=1)
]


def test_the_blocks_are_those_that_were_promised() -> None:
    names = {block.id: block.name for block in our_blocks()}

    assert names == {block_id: fact["name"] for block_id, fact in FROZEN.items()}


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_keeps_its_interface(block: Block[Any]) -> None:
    assert describe(describe_block(type(block))) == FROZEN[block.id]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_says_what_it_does_and_what_its_pins_are_for(block: Block[Any]) -> None:
    interface = describe_block(type(block))
    pins = {**{name: pin.schema for name, pin in interface.inputs.items()}, **interface.outputs}

    assert block.description
    assert [name for name, schema in pins.items() if not schema.get("description")] == []
    assert block.examples


@pytest.mark.parametrize(("block", "example"), EXAMPLES)
def test_a_block_does_what_its_example_says(block: Block[Any], example: Example) -> None:
    context = make_context(memory=MemoryOfOneRun(example.memory), now=example.now or NOON)

    ran = run_block(block, example.inputs, context=context, decision=example.decision)

    assert [pin for pin, _ in ran.outputs] == [pin for pin, _ in example.outputs]
    for (_, value), (_, expected) in zip(ran.outputs, example.outputs, strict=True):
        assert is_right(value, expected), f"{value!r} is not {expected!r}"


@pytest.mark.parametrize(("block", "example"), EXAMPLES)
def test_a_block_does_the_same_again_when_it_is_run_again(block: Block[Any], example: Example) -> None:
    runs = [
        run_block(
            block,
            example.inputs,
            context=make_context(memory=MemoryOfOneRun(example.memory), now=example.now or NOON),
            decision=example.decision,
        )
        for _ in range(2)
    ]

    assert repr(runs[0]) == repr(runs[1])


def is_right(value: Any, expected: Any | Callable[[Any], bool]) -> bool:
    if callable(expected):
        return bool(expected(value))
    return bool(value == expected) and type(value) is type(expected)


def describe(interface: Interface) -> dict[str, Any]:
    return {
        "id": interface.id,
        "name": interface.name,
        "kind": interface.kind.value,
        "static_output": interface.static_output,
        "inputs": {name: describe_pin(pin) for name, pin in interface.inputs.items()},
        "outputs": {name: spell(schema) for name, schema in interface.outputs.items()},
    }


def describe_pin(pin: InputPin) -> dict[str, Any]:
    limits = {key: pin.schema[key] for key in ("minimum", "maximum") if key in pin.schema}
    presence = {"required": True} if pin.default is NO_DEFAULT else {"default": pin.default}
    return {"type": spell(pin.schema), **limits, **presence}


def spell(schema: Mapping[str, Any]) -> str:
    """Write the type of a JSON Schema in a word or two, such as `array[string]` or `integer | null`."""
    variants = schema.get("anyOf", schema.get("oneOf"))
    if variants is not None:
        return " | ".join(sorted({spell(variant) for variant in variants}))
    kind = str(schema.get("type", "any"))
    parts = schema.get("items", schema.get("additionalProperties"))
    inner = spell(parts) if isinstance(parts, dict) else "any"
    return kind if inner == "any" else f"{kind}[{inner}]"
