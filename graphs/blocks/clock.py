"""Blocks that tell the date and the time, in a time zone and a format of choice."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, Field

from graphs.blocks.contract import Block, BlockContext, BlockInputs, BlockOutputs, Example, Yielded
from graphs.exceptions import BlockError

MAX_FORMAT_LENGTH = 1_000


class Zoned(BaseModel):
    """A time zone by its IANA name; the user's own, if they have one, when `use_user_timezone` is set."""

    timezone: str = "UTC"
    use_user_timezone: bool = False


class TimeFormat(Zoned):
    """A time in a `strftime` format."""

    discriminator: Literal["strftime"]
    format: str = Field(default="%H:%M:%S", max_length=MAX_FORMAT_LENGTH)


class DateFormat(Zoned):
    """A date in a `strftime` format."""

    discriminator: Literal["strftime"]
    format: str = Field(default="%Y-%m-%d", max_length=MAX_FORMAT_LENGTH)


class DateAndTimeFormat(Zoned):
    """A date and a time in a `strftime` format."""

    discriminator: Literal["strftime"]
    format: str = Field(default="%Y-%m-%d %H:%M:%S", max_length=MAX_FORMAT_LENGTH)


class IsoDateFormat(Zoned):
    """A date as in ISO 8601."""

    discriminator: Literal["iso8601"]


class IsoTimeFormat(Zoned):
    """A time, or a date and a time, as in ISO 8601."""

    discriminator: Literal["iso8601"]
    include_microseconds: bool = False


class GetCurrentTimeInputs(BlockInputs):
    """How to write the time."""

    trigger: str = Field(description="Starts the block; what it is doesn't matter.")
    format_type: TimeFormat | IsoTimeFormat = Field(
        default=TimeFormat(discriminator="strftime"),
        discriminator="discriminator",
        description="How to write the time, and in which time zone.",
    )


class GetCurrentTimeOutputs(BlockOutputs):
    """The time."""

    time: str = Field(description="The time.")


class GetCurrentTimeBlock(Block[GetCurrentTimeInputs]):
    """Tells the time."""

    id = "a892b8d9-3e4e-4e9c-9c1e-75f8efcf1bfa"
    name = "GetCurrentTimeBlock"
    description = "Tells the time."
    Inputs = GetCurrentTimeInputs
    Outputs = GetCurrentTimeOutputs
    examples = (
        Example(inputs={"trigger": "go"}, outputs=(("time", "12:00:00"),)),
        Example(
            inputs={"trigger": "go", "format_type": {"discriminator": "iso8601", "timezone": "Asia/Tokyo"}},
            outputs=(("time", "T21:00:00+09:00"),),
        ),
    )

    def run(self, inputs: GetCurrentTimeInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the time."""
        now = _look_at_clock(inputs.format_type, context)
        if isinstance(inputs.format_type, IsoTimeFormat):
            _, _, time = now.isoformat(timespec=_choose_precision(inputs.format_type)).partition("T")
            yield "time", f"T{time}"
        else:
            yield "time", now.strftime(inputs.format_type.format)


class GetCurrentDateInputs(BlockInputs):
    """How to write the date, and of which day."""

    trigger: str = Field(description="Starts the block; what it is doesn't matter.")
    offset: int | str = Field(default=0, description="How many days to go back; what is not a number counts as 0.")
    format_type: DateFormat | IsoDateFormat = Field(
        default=DateFormat(discriminator="strftime"),
        discriminator="discriminator",
        description="How to write the date, and in which time zone.",
    )


class GetCurrentDateOutputs(BlockOutputs):
    """The date."""

    date: str = Field(description="The date.")


class GetCurrentDateBlock(Block[GetCurrentDateInputs]):
    """Tells the date, of today or of some days ago."""

    id = "b29c1b50-5d0e-4d9f-8f9d-1b0e6fcbf0b1"
    name = "GetCurrentDateBlock"
    description = "Tells the date, of today or of some days ago."
    Inputs = GetCurrentDateInputs
    Outputs = GetCurrentDateOutputs
    examples = (
        Example(inputs={"trigger": "go"}, outputs=(("date", "2024-05-17"),)),
        Example(inputs={"trigger": "go", "offset": "7"}, outputs=(("date", "2024-05-10"),)),
        Example(
            inputs={"trigger": "go", "format_type": {"discriminator": "strftime", "format": "%d/%m/%y"}},
            outputs=(("date", "17/05/24"),),
        ),
    )

    def run(self, inputs: GetCurrentDateInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the date."""
        day = _go_back(_look_at_clock(inputs.format_type, context), inputs.offset)
        if isinstance(inputs.format_type, IsoDateFormat):
            yield "date", day.date().isoformat()
        else:
            yield "date", day.strftime(inputs.format_type.format)


class GetCurrentDateAndTimeInputs(BlockInputs):
    """How to write the date and the time."""

    trigger: str = Field(description="Starts the block; what it is doesn't matter.")
    format_type: DateAndTimeFormat | IsoTimeFormat = Field(
        default=DateAndTimeFormat(discriminator="strftime"),
        discriminator="discriminator",
        description="How to write the date and the time, and in which time zone.",
    )


class GetCurrentDateAndTimeOutputs(BlockOutputs):
    """The date and the time."""

    date_time: str = Field(description="The date and the time.")


class GetCurrentDateAndTimeBlock(Block[GetCurrentDateAndTimeInputs]):
    """Tells the date and the time."""

    id = "716a67b3-6760-42e7-86dc-18645c6e00fc"
    name = "GetCurrentDateAndTimeBlock"
    description = "Tells the date and the time."
    Inputs = GetCurrentDateAndTimeInputs
    Outputs = GetCurrentDateAndTimeOutputs
    examples = (
        Example(inputs={"trigger": "go"}, outputs=(("date_time", "2024-05-17 12:00:00"),)),
        Example(
            inputs={"trigger": "go", "format_type": {"discriminator": "iso8601", "include_microseconds": True}},
            outputs=(("date_time", "2024-05-17T12:00:00.000000+00:00"),),
        ),
    )

    def run(self, inputs: GetCurrentDateAndTimeInputs, context: BlockContext) -> Iterator[Yielded]:
        """Emit the date and the time."""
        now = _look_at_clock(inputs.format_type, context)
        if isinstance(inputs.format_type, IsoTimeFormat):
            yield "date_time", now.isoformat(timespec=_choose_precision(inputs.format_type))
        else:
            yield "date_time", now.strftime(inputs.format_type.format)


def _look_at_clock(zoned: Zoned, context: BlockContext) -> datetime:
    name = context.time_zone if zoned.use_user_timezone and context.time_zone else zoned.timezone
    try:
        return context.now().astimezone(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: the name of a directory of zones
        raise BlockError(f"There is no time zone {name!r}.") from error


def _go_back(now: datetime, offset: int | str) -> datetime:
    try:
        days = int(offset)
    except ValueError:
        days = 0
    try:
        return now - timedelta(days=days)
    except OverflowError as error:
        raise BlockError(f"There is no date {days} days before today.") from error


def _choose_precision(iso: IsoTimeFormat) -> str:
    return "microseconds" if iso.include_microseconds else "seconds"
