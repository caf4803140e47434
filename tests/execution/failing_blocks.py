"""Blocks for tests of recovery: they fail, kill their own process, or wait until they are let go."""

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
from django.core.exceptions import SuspiciousFileOperation
from django.db import DataError
from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, RetryPolicy, Yielded
from graphs.exceptions import BlockError

FLAKY = "7c1e8a34-0b57-4a0c-9d65-3f1a5b7c9e01"
DEADLY = "7c1e8a34-0b57-4a0c-9d65-3f1a5b7c9e02"
GATE = "7c1e8a34-0b57-4a0c-9d65-3f1a5b7c9e03"
ASYNC_GATE = "7c1e8a34-0b57-4a0c-9d65-3f1a5b7c9e04"
SLOW_ONCE = "7c1e8a34-0b57-4a0c-9d65-3f1a5b7c9e05"
TELLTALE = "7c1e8a34-0b57-4a0c-9d65-3f1a5b7c9e06"
COMPUTING = "7c1e8a34-0b57-4a0c-9d65-3f1a5b7c9e07"
DRIP = "7c1e8a34-0b57-4a0c-9d65-3f1a5b7c9e08"
ASYNC_DRIP = "7c1e8a34-0b57-4a0c-9d65-3f1a5b7c9e09"

TELLTALE_ERRORS: dict[str, type[Exception]] = {
    "PermissionError": PermissionError,
    "DataError": DataError,
    "SyntaxError": psycopg.errors.SyntaxError,
    "SuspiciousFileOperation": SuspiciousFileOperation,
}

MODULES = ["graphs.blocks", "tests.execution.failing_blocks"]


class FlakyInputs(BlockInputs):
    """How often to fail, and how."""

    value: int = Field(default=0, description="What is passed on.")
    failures: int = Field(default=2, description="How many attempts fail, or kill their process.")
    refuses: bool = Field(default=False, description="Whether it fails with a BlockError.")


class ValueOutputs(BlockOutputs):
    """What comes before the trouble and after it."""

    before: int = Field(description="The value, at once.")
    after: int = Field(description="The value, after the trouble.")


class FlakyBlock(Block[FlakyInputs]):
    """Emits, then fails in its first attempts."""

    id = FLAKY
    name = "FlakyBlock"
    Inputs = FlakyInputs
    Outputs = ValueOutputs
    retry = RetryPolicy(max_attempts=3, first_delay=0.02, max_delay=0.05)

    def run(self, inputs: FlakyInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit, fail, emit."""
        context.log(f"attempt {context.attempt}")
        yield "before", inputs.value
        if context.attempt <= inputs.failures:
            raise BlockError("I won't.") if inputs.refuses else RuntimeError(f"failure {context.attempt}")
        yield "after", inputs.value


class DeadlyBlock(Block[FlakyInputs]):
    """Emits, then kills its process in its first attempts."""

    id = DEADLY
    name = "DeadlyBlock"
    Inputs = FlakyInputs
    Outputs = ValueOutputs

    def run(self, inputs: FlakyInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit, die, emit."""
        yield "before", inputs.value
        if context.attempt <= inputs.failures:
            os.kill(os.getpid(), signal.SIGKILL)
        yield "after", inputs.value


class SlowOnceBlock(Block[FlakyInputs]):
    """Takes too long in its first attempt."""

    id = SLOW_ONCE
    name = "SlowOnceBlock"
    Inputs = FlakyInputs
    Outputs = ValueOutputs
    retry = RetryPolicy(max_attempts=2, first_delay=0.02, max_delay=0.05)
    time_limit = timedelta(seconds=60)

    def run(self, inputs: FlakyInputs, context: BlockContext) -> Iterator[Yielded]:
        """Wait longer than any test, the first time."""
        if context.attempt == 1:
            time.sleep(60)
        yield "after", inputs.value


class TelltaleInputs(BlockInputs):
    """What to raise."""

    error: str = Field(description="The name of the error.")


class TelltaleBlock(Block[TelltaleInputs]):
    """Raises an error whose text is nobody's business."""

    id = TELLTALE
    name = "TelltaleBlock"
    Inputs = TelltaleInputs
    Outputs = BlockOutputs

    def run(self, inputs: TelltaleInputs, context: BlockContext) -> Iterator[Yielded]:
        """Raise it."""
        yield from ()
        raise TELLTALE_ERRORS[inputs.error]("/secret/path")


class GateInputs(BlockInputs):
    """Where to say that it runs, and what to wait for."""

    value: int = Field(default=0, description="What is passed on.")
    mark: str = Field(description="A file to which each attempt adds its process id and its number.")
    gate: str = Field(description="A file for which it waits.")


class GateBlock(Block[GateInputs]):
    """Emits, waits for a file, and emits again."""

    id = GATE
    name = "GateBlock"
    Inputs = GateInputs
    Outputs = ValueOutputs

    def run(self, inputs: GateInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit, say so, wait, emit."""
        yield "before", inputs.value
        _mark(inputs, context)
        while not Path(inputs.gate).exists():
            time.sleep(0.01)
        yield "after", inputs.value


class ComputingBlock(Block[GateInputs]):
    """Does the same in C, with the interpreter's lock in its hands all the time, as who computes there has it."""

    id = COMPUTING
    name = "ComputingBlock"
    Inputs = GateInputs
    Outputs = ValueOutputs

    def run(self, inputs: GateInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit, say so, wait for somebody who opens the gate (a pipe) to write, emit."""
        yield "before", inputs.value
        _mark(inputs, context)
        ctypes.PyDLL(None).open(inputs.gate.encode(), os.O_RDONLY)
        yield "after", inputs.value


class AsyncGateBlock(Block[GateInputs]):
    """The same as a coroutine."""

    id = ASYNC_GATE
    name = "AsyncGateBlock"
    Inputs = GateInputs
    Outputs = ValueOutputs

    async def run(self, inputs: GateInputs, context: BlockContext) -> AsyncIterator[Yielded]:
        """Emit, say so, wait, emit."""
        yield "before", inputs.value
        _mark(inputs, context)
        while not Path(inputs.gate).exists():
            await asyncio.sleep(0.01)
        yield "after", inputs.value


class DripBlock(Block[GateInputs]):
    """Says so, waits for a file, and emits one after the other: in between, the first ones are recorded."""

    id = DRIP
    name = "DripBlock"
    Inputs = GateInputs
    Outputs = ValueOutputs

    def run(self, inputs: GateInputs, context: BlockContext) -> Iterator[Yielded]:
        """Say so, wait, emit, emit, emit."""
        _mark(inputs, context)
        while not Path(inputs.gate).exists():
            time.sleep(0.01)
        for _ in range(3):
            yield "before", inputs.value
            time.sleep(0.05)
        yield "after", inputs.value


class AsyncDripBlock(Block[GateInputs]):
    """The same as a coroutine."""

    id = ASYNC_DRIP
    name = "AsyncDripBlock"
    Inputs = GateInputs
    Outputs = ValueOutputs

    async def run(self, inputs: GateInputs, context: BlockContext) -> AsyncIterator[Yielded]:
        """Say so, wait, emit, emit, emit."""
        _mark(inputs, context)
        while not Path(inputs.gate).exists():
            await asyncio.sleep(0.01)
        for _ in range(3):
            yield "before", inputs.value
            await asyncio.sleep(0.05)
        yield "after", inputs.value


def _mark(inputs: GateInputs, context: BlockContext) -> None:
    with Path(inputs.mark).open("a") as mark:
        mark.write(f"{os.getpid()} {context.attempt}\n")
