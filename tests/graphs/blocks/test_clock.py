"""The date and the time, as the run's clock and the chosen time zone say."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from graphs.blocks.clock import GetCurrentDateAndTimeBlock, GetCurrentDateBlock, GetCurrentTimeBlock
from graphs.blocks.contract import Block
from tests.graphs.blocks.context import make_context
from tests.graphs.blocks.running import run_block

LATE = datetime(2024, 2, 29, 23, 30, 15, 123456, tzinfo=UTC)


def tell(block: Block[Any], *, user_zone: str = "UTC", offset: Any = 0, **format_type: Any) -> str:
    inputs = {"trigger": "go", "offset": offset, **({"format_type": format_type} if format_type else {})}
    ((_, text),) = run_block(block, inputs, context=make_context(now=LATE, time_zone=user_zone)).outputs
    return str(text)


def test_without_a_format_it_is_utc_in_plain_digits() -> None:
    assert tell(GetCurrentTimeBlock()) == "23:30:15"
    assert tell(GetCurrentDateBlock()) == "2024-02-29"
    assert tell(GetCurrentDateAndTimeBlock()) == "2024-02-29 23:30:15"


def test_iso_8601_carries_the_offset_of_the_zone() -> None:
    tokyo = {"discriminator": "iso8601", "timezone": "Asia/Tokyo"}

    assert tell(GetCurrentTimeBlock(), **tokyo) == "T08:30:15+09:00"
    assert tell(GetCurrentDateBlock(), **tokyo) == "2024-03-01"
    assert tell(GetCurrentDateAndTimeBlock(), **tokyo) == "2024-03-01T08:30:15+09:00"
    assert tell(GetCurrentTimeBlock(), **tokyo, include_microseconds=True) == "T08:30:15.123456+09:00"


def test_the_users_own_zone_is_used_on_demand() -> None:
    iso = {"discriminator": "iso8601", "timezone": "Asia/Tokyo", "use_user_timezone": True}

    assert tell(GetCurrentDateAndTimeBlock(), user_zone="America/New_York", **iso) == "2024-02-29T18:30:15-05:00"
    assert tell(GetCurrentDateAndTimeBlock(), user_zone="", **iso) == "2024-03-01T08:30:15+09:00"


@pytest.mark.parametrize(
    ("offset", "day"),
    [(1, "2024-02-28"), ("1", "2024-02-28"), (-1, "2024-03-01"), ("soon", "2024-02-29"), (366, "2023-02-28")],
)
def test_the_offset_goes_back_in_days(offset: Any, day: str) -> None:
    assert tell(GetCurrentDateBlock(), offset=offset) == day


@pytest.mark.parametrize("offset", [10**6, -(10**7), 10**30, "9" * 40])
def test_a_day_before_or_after_all_calendars_is_an_error(offset: Any) -> None:
    assert "There is no date" in tell(GetCurrentDateBlock(), offset=offset)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "America", "", "\0", "/usr/share/zoneinfo/UTC"])
def test_a_zone_that_does_not_exist_is_an_error(zone: str) -> None:
    assert "There is no time zone" in tell(GetCurrentTimeBlock(), discriminator="iso8601", timezone=zone)


def test_an_endless_format_is_refused() -> None:
    with pytest.raises(ValidationError):
        tell(GetCurrentTimeBlock(), discriminator="strftime", format="%c" * 1000)
