"""Schedules in words."""

from datetime import UTC, datetime

import pytest

from scheduling.moments import read_zone
from scheduling.wording import describe_cron, describe_moment


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("*/15 * * * *", "Every 15 minutes"),
        ("@daily", "At 00:00, every day"),
        ("0 9 * * mon-fri", "At 09:00, Monday through Friday"),
        ("0 0 * * 7", "At 00:00, only on Sunday"),
        ("0 0 13 * fri", "At 00:00, on day 13 of the month, or on Friday"),
        ("0 0 */2 * mon", "At 00:00, every 2 days, only on Monday"),
        ("30 4 1 jan *", "At 04:30, on day 1 of the month, only in January"),
        ("0 0 1-7 * */7", "At 00:00, between day 1 and 7 of the month, only on Sunday"),
    ],
)
def test_expressions_are_told_in_words(cron: str, words: str) -> None:
    assert describe_cron(cron) == words


def test_moments_are_told_as_clock_and_calendar_show_them() -> None:
    moment = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)

    assert describe_moment(moment, read_zone("Europe/Berlin")) == "Sunday, 29 March 2026, 03:00 CEST"
