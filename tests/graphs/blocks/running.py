"""Runs one block as the engine does, without an engine: inputs are validated, waits are answered at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import TypeAdapter

from graphs.blocks.contract import AskPerson, Block, BlockContext, Decision, Kind, RunGraph, Sleep, Yielded
from graphs.exceptions import BlockError
from tests.graphs.blocks.context import make_context

Wait = Sleep | AskPerson | RunGraph


@dataclass
class Ran:
    """What a block did: its outputs as `(pin, value)`, and what it waited for."""

    outputs: list[tuple[str, Any]] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)


def run_block(
    block: Block[Any],
    inputs: Mapping[str, Any],
    *,
    context: BlockContext | None = None,
    decision: Decision | None = None,
) -> Ran:
    """Run the block to its end. A `BlockError` becomes its `error` output; sleeps are skipped.

    Raises pydantic's `ValidationError` if the inputs don't fit the pins, and `AssertionError` if the block emits
    something that its pins don't declare or that is not JSON.
    """
    ran = Ran()
    prepared = block.Inputs.model_validate(_drop_nones(block, inputs))
    generator = block.run(prepared, context or make_context())
    try:
        if isinstance(generator, AsyncIterator):
            asyncio.run(_drain_async(block, generator, ran, decision))
        else:
            _drain(block, generator, ran, decision)
    except BlockError as error:
        ran.outputs.append(("error", str(error)))
    return ran


def _drop_nones(block: Block[Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    fields = {pin.alias or name: pin for name, pin in block.Inputs.model_fields.items()}
    return {
        name: value
        for name, value in inputs.items()
        if value is not None or name not in fields or fields[name].is_required()
    }


def _drain(block: Block[Any], iterator: Iterator[Yielded], ran: Ran, decision: Decision | None) -> None:
    answer: Decision | None = None
    send = getattr(iterator, "send", lambda _: next(iterator))
    while True:
        try:
            yielded = send(answer)
        except StopIteration:
            return
        answer = _take(block, yielded, ran, decision)


async def _drain_async(
    block: Block[Any], iterator: AsyncIterator[Yielded], ran: Ran, decision: Decision | None
) -> None:
    answer: Decision | None = None
    send = getattr(iterator, "asend", lambda _: anext(iterator))
    while True:
        try:
            yielded = await send(answer)
        except StopAsyncIteration:
            return
        answer = _take(block, yielded, ran, decision)


def _take(block: Block[Any], yielded: Yielded, ran: Ran, decision: Decision | None) -> Decision | None:
    """Note what was yielded; return what the generator is sent for it."""
    if isinstance(yielded, Wait):
        ran.waits.append(yielded)
        return decision if isinstance(yielded, AskPerson) else None
    pin, value = yielded
    _check_output(block, pin, value)
    ran.outputs.append((pin, value))
    return None


def _check_output(block: Block[Any], pin: str, value: Any) -> None:
    json.dumps(value)
    if block.kind is Kind.AGENT:
        return
    fields = {declared.alias or name: declared for name, declared in block.Outputs.model_fields.items()}
    assert pin in fields, f"{block.name} emits {pin!r}, which is not one of its pins"
    TypeAdapter(cast(Any, fields[pin].annotation)).validate_python(value)
