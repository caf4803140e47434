"""When a schedule is due, and how many times were missed."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any
from uuid import UUID

from scheduling.cron import parse_cron
from scheduling.moments import read_zone
from scheduling.timing import MOST_COUNTED, MOST_LISTED, Timing

KEY = UUID("01900000-0000-7000-8000-000000000001")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def make(cron: str = "@hourly", **others: Any) -> Timing:
    return Timing(key=KEY, cron=parse_cron(cron), **others)


def test_the_zone_counts() -> None:
    timing = make("30 9 * * *", zone=read_zone("Asia/Kolkata"))

    assert timing.next_due(NOON) == datetime(2026, 6, 2, 4, tzinfo=UTC)


def test_a_start_and_an_end_that_are_named_are_due() -> None:
    timing = make(starts_at=NOON + HOUR, ends_at=NOON + 3 * HOUR)

    assert list(timing.due_after(NOON - DAY)) == [NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR]
    assert timing.next_due(NOON + 3 * HOUR) is None


def test_one_time_is_due_once() -> None:
    timing = Timing(key=KEY, run_at=NOON)

    assert (timing.next_due(NOON - HOUR), timing.next_due(NOON)) == (NOON, None)


def test_jitter_is_below_its_bound_and_always_the_same() -> None:
    timing = make(jitter=600)
    starts = [timing.start_of(NOON + number * HOUR) - (NOON + number * HOUR) for number in range(50)]

    assert all(timedelta(0) <= each < timedelta(seconds=600) for each in starts)
    assert len(set(starts)) == 50
    assert starts[7] == make(jitter=600).start_of(NOON + 7 * HOUR) - (NOON + 7 * HOUR)
    assert max(starts) - min(starts) > timedelta(seconds=300)


def test_schedules_of_the_same_time_are_spread() -> None:
    starts = {Timing(key=UUID(int=number), jitter=60).start_of(NOON) for number in range(20)}

    assert len(starts) == 20


def test_what_came_due_is_listed() -> None:
    due = make().list_due(NOON, now=NOON + 3 * HOUR + MINUTE)

    assert due.times == tuple(NOON + number * HOUR for number in range(4))
    assert due.left_out == 0


def test_what_has_not_come_yet_for_its_jitter_is_not_listed() -> None:
    timing = make(jitter=3000)
    second = timing.start_of(NOON + HOUR)

    assert timing.list_due(NOON, now=second - timedelta(seconds=1)).times == (NOON,)
    assert timing.list_due(NOON, now=second).times == (NOON, NOON + HOUR)


def test_what_is_listed_does_not_depend_on_the_jitter_of_earlier_times() -> None:
    now = NOON + 5 * MINUTE
    for number in range(100):
        timing = Timing(key=UUID(int=number), cron=parse_cron("* * * * *"), jitter=600)
        later = takewhile(lambda due, timing=timing: timing.start_of(due) <= now, timing.due_after(NOON))  # type: ignore[misc]

        assert timing.list_due(NOON, now=now).times == (NOON, *later)


def test_the_newest_of_many_are_listed_and_the_others_counted() -> None:
    due = make("* * * * *").list_due(NOON, now=NOON + DAY)

    assert len(due.times) == MOST_LISTED
    assert due.times[-1] == NOON + DAY
    assert (due.left_out, due.is_counted) == (24 * 60 + 1 - MOST_LISTED, True)


def test_a_year_of_minutes_is_gone_through_quickly() -> None:
    due = make("* * * * *").list_due(NOON, now=NOON + 366 * DAY)

    assert due.times == tuple(NOON + 366 * DAY - number * MINUTE for number in reversed(range(MOST_LISTED)))
    assert due.left_out >= MOST_COUNTED
    assert not due.is_counted


def test_an_end_before_the_middle_of_an_outage_does_not_hide_the_last_times() -> None:
    timing = make("* * * * *", ends_at=NOON + 3 * DAY)

    due = timing.list_due(NOON, now=NOON + 366 * DAY)

    assert due.times[-1] == NOON + 3 * DAY
    assert len(due.times) == MOST_LISTED
