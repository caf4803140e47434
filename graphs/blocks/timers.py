"""Blocks that wait."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Sleep, Yielded
from graphs.exceptions import BlockError

MAX_SECONDS = int(timedelta(days=7).total_seconds())


class CountdownTimerInputs(BlockInputs):
    """How long to wait, how often, and what to say then."""

    input_message: Any = Field(default="timer finished", description="What to emit when the time is over.")
    seconds: int | str = Field(default=0, description="Seconds to wait.")
    minutes: int | str = Field(default=0, description="Minutes to wait.")
    hours: int | str = Field(default=0, description="Hours to wait.")
    days: int | str = Field(default=0, description="Days to wait.")
    repeat: int = Field(default=1, ge=1, le=1000, description="How many times to wait and emit.")


class CountdownTimerOutputs(BlockOutputs):
    """The message."""

    output_message: Any = Field(description="The message, when the time is over.")


class CountdownTimerBlock(Block[CountdownTimerInputs]):
    """Waits, then emits a message; holds no worker meanwhile. All of its waiting together is at most 7 days."""

    id = "d67a9c52-5e4e-11e2-bcfd-0800200c9a71"
    name = "CountdownTimerBlock"
    description = "Emits a message after some time, once or again and again, for at most 7 days."
    Inputs = CountdownTimerInputs
    Outputs = CountdownTimerOutputs
    examples = (
        Example(inputs={"seconds": "3"}, outputs=(("output_message", "timer finished"),)),
        Example(
            inputs={"input_message": {"n": 1}, "minutes": 1, "repeat": 2},
            outputs=(("output_message", {"n": 1}), ("output_message", {"n": 1})),
        ),
        Example(inputs={"seconds": "soon"}, outputs=(("error", "seconds must be a whole number, not 'soon'."),)),
        Example(
            inputs={"days": 4, "repeat": 2},
            outputs=(("error", "The timer would run for 691,200 seconds; at most 604,800 (7 days) are allowed."),),
        ),
    )

    def run(self, inputs: CountdownTimerInputs, context: BlockContext) -> Iterator[Yielded]:
        """Wait and emit, `repeat` times."""
        seconds = _add_up(inputs)
        if seconds * inputs.repeat > MAX_SECONDS:
            raise BlockError(
                f"The timer would run for {seconds * inputs.repeat:,} seconds; "
                f"at most {MAX_SECONDS:,} (7 days) are allowed."
            )
        for _ in range(inputs.repeat):
            if seconds > 0:
                yield Sleep(seconds)
            yield "output_message", inputs.input_message


def _add_up(inputs: CountdownTimerInputs) -> int:
    return (
        _read("seconds", inputs.seconds)
        + _read("minutes", inputs.minutes) * 60
        + _read("hours", inputs.hours) * 3600
        + _read("days", inputs.days) * 86_400
    )


def _read(name: str, amount: int | str) -> int:
    try:
        return int(amount)
    except ValueError as error:
        raise BlockError(f"{name} must be a whole number, not {str(amount)[:100]!r}.") from error
