"""When cron expressions are due: the nights in which clocks are changed, and all others."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scheduling.cron import Cron, parse_cron
from scheduling.exceptions import TimeZoneUnknownError
from scheduling.moments import first_moment, moments_after, read_zone

DAILY = "30 2 * * *"
QUARTERS = "*/15 * * * *"

# The clock in each zone, and what is due from `begin` to `end` (UTC), written by hand from the zones' laws.
#   Berlin      2026-03-29 02:00 → 03:00 at 01:00 UTC; 2026-10-25 03:00 → 02:00 at 01:00 UTC
#   New York    2026-03-08 02:00 → 03:00 at 07:00 UTC; 2026-11-01 02:00 → 01:00 at 06:00 UTC
#   Lord Howe   2026-10-04 02:00 → 02:30 at 15:30 UTC of the 3rd; 2026-04-05 02:00 → 01:30 at 15:00 UTC of the 4th
#   São Paulo   2018-11-04 00:00 → 01:00 at 03:00 UTC; 2018-02-18 00:00 → 23:00 at 02:00 UTC; none since 2019
TABLE = [
    # The hour from two to three doesn't exist: once, at three o'clock.
    ("Europe/Berlin", DAILY, "2026-03-28 00:00", "2026-03-31 00:00", "28T01:30 29T01:00 30T00:30"),
    # It exists twice: once, the first time.
    ("Europe/Berlin", DAILY, "2026-10-24 00:00", "2026-10-27 00:00", "24T00:30 25T00:30 26T01:30"),
    ("Europe/Berlin", "0 2 * * *", "2026-03-28 00:00", "2026-03-30 22:00", "28T01:00 29T01:00 30T00:00"),
    ("Europe/Berlin", "*/20 2 * * *", "2026-03-29 00:00", "2026-03-29 12:00", "29T01:00"),
    ("Europe/Berlin", "*/20 2 * * *", "2026-10-25 00:00", "2026-10-25 12:00", "25T00:00 25T00:20 25T00:40"),
    ("Europe/Berlin", "0 2,3 * * *", "2026-03-29 00:00", "2026-03-29 12:00", "29T01:00"),
    # Every quarter of an hour goes on through both nights.
    ("Europe/Berlin", QUARTERS, "2026-03-29 00:30", "2026-03-29 01:30", "29T00:30 29T00:45 29T01:00 29T01:15"),
    (
        *("Europe/Berlin", QUARTERS, "2026-10-25 00:30", "2026-10-25 02:15"),
        "25T00:30 25T00:45 25T01:00 25T01:15 25T01:30 25T01:45 25T02:00",
    ),
    ("Europe/Berlin", "@hourly", "2026-10-25 00:00", "2026-10-25 03:00", "25T00:00 25T01:00 25T02:00"),
    ("Europe/Berlin", "30 * * * *", "2026-03-29 00:00", "2026-03-29 02:00", "29T00:30 29T01:30"),
    ("America/New_York", DAILY, "2026-03-07 00:00", "2026-03-10 00:00", "07T07:30 08T07:00 09T06:30"),
    ("America/New_York", DAILY, "2026-10-31 00:00", "2026-11-03 00:00", "31T06:30 01T07:30 02T07:30"),
    ("America/New_York", "30 1 * * *", "2026-10-31 00:00", "2026-11-03 00:00", "31T05:30 01T05:30 02T06:30"),
    ("America/New_York", QUARTERS, "2026-03-08 06:30", "2026-03-08 07:30", "08T06:30 08T06:45 08T07:00 08T07:15"),
    (
        *("America/New_York", QUARTERS, "2026-11-01 05:30", "2026-11-01 07:15"),
        "01T05:30 01T05:45 01T06:00 01T06:15 01T06:30 01T06:45 01T07:00",
    ),
    # Half past two is the first time there is after the jump by half an hour.
    ("Australia/Lord_Howe", DAILY, "2026-10-02 15:00", "2026-10-05 15:00", "02T16:00 03T15:30 04T15:30"),
    ("Australia/Lord_Howe", "15 2 * * *", "2026-10-02 15:00", "2026-10-05 15:00", "02T15:45 03T15:30 04T15:15"),
    ("Australia/Lord_Howe", DAILY, "2026-04-03 15:00", "2026-04-06 15:00", "03T15:30 04T16:00 05T16:00"),
    ("Australia/Lord_Howe", "45 1 * * *", "2026-04-03 14:00", "2026-04-06 15:00", "03T14:45 04T14:45 05T15:15"),
    ("Australia/Lord_Howe", QUARTERS, "2026-10-03 15:00", "2026-10-03 16:00", "03T15:00 03T15:15 03T15:30 03T15:45"),
    ("Australia/Lord_Howe", QUARTERS, "2026-04-04 14:30", "2026-04-04 15:30", "04T14:30 04T14:45 04T15:00 04T15:15"),
    # It changed at midnight, so two o'clock was never in doubt. Midnight was.
    ("America/Sao_Paulo", DAILY, "2018-11-03 00:00", "2018-11-06 00:00", "03T05:30 04T04:30 05T04:30"),
    ("America/Sao_Paulo", "30 0 * * *", "2018-11-03 00:00", "2018-11-06 00:00", "03T03:30 04T03:00 05T02:30"),
    ("America/Sao_Paulo", DAILY, "2018-02-17 00:00", "2018-02-20 00:00", "17T04:30 18T05:30 19T05:30"),
    ("America/Sao_Paulo", "30 23 * * *", "2018-02-16 12:00", "2018-02-19 12:00", "17T01:30 18T01:30 19T02:30"),
    ("America/Sao_Paulo", QUARTERS, "2018-11-04 02:45", "2018-11-04 03:30", "04T02:45 04T03:00 04T03:15"),
    (
        *("America/Sao_Paulo", QUARTERS, "2018-02-18 01:30", "2018-02-18 03:15"),
        "18T01:30 18T01:45 18T02:00 18T02:15 18T02:30 18T02:45 18T03:00",
    ),
    ("America/Sao_Paulo", DAILY, "2026-11-01 00:00", "2026-11-03 00:00", "01T05:30 02T05:30"),
    ("UTC", DAILY, "2026-03-28 00:00", "2026-03-31 00:00", "28T02:30 29T02:30 30T02:30"),
    ("UTC", DAILY, "2026-10-24 00:00", "2026-10-27 00:00", "24T02:30 25T02:30 26T02:30"),
    ("UTC", QUARTERS, "2026-03-29 00:30", "2026-03-29 01:30", "29T00:30 29T00:45 29T01:00 29T01:15"),
    ("UTC", QUARTERS, "2026-10-25 00:30", "2026-10-25 01:30", "25T00:30 25T00:45 25T01:00 25T01:15"),
]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def between(cron: Cron, zone: ZoneInfo, begin: datetime, end: datetime) -> list[datetime]:
    moments = moments_after(cron, zone, after=begin - timedelta(seconds=1))
    return list(takewhile(lambda each: each < end, moments))


@pytest.mark.parametrize(("zone", "cron", "begin", "end", "expected"), TABLE)
def test_the_nights_in_which_clocks_are_changed(zone: str, cron: str, begin: str, end: str, expected: str) -> None:
    due = between(parse_cron(cron), read_zone(zone), moment(begin), moment(end))

    assert " ".join(f"{each:%dT%H:%M}" for each in due) == expected
    assert all(each.utcoffset() == timedelta(0) for each in due)


def naive_moments(cron: Cron, zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[datetime]:
    """Watch the clock minute by minute, from a day before."""
    now = begin - timedelta(days=2)
    highest = (now - timedelta(minutes=1)).astimezone(zone).replace(tzinfo=None)
    while now < end:
        shown = now.astimezone(zone).replace(tzinfo=None)
        if len(cron.hours) == 24:
            is_due = is_named(cron, shown)
        else:
            # Everything up to what the clock shows now that it has never shown, or jumped over.
            passed = int((shown - highest) / timedelta(minutes=1))
            is_due = any(is_named(cron, highest + timedelta(minutes=number + 1)) for number in range(passed))
        highest = max(highest, shown)
        if is_due and now >= begin:
            yield now
        now += timedelta(minutes=1)


def is_named(cron: Cron, shown: datetime) -> bool:
    return cron.matches_date(shown.date()) and shown.hour in cron.hours and shown.minute in cron.minutes


ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC", "Pacific/Apia"]
NIGHTS = [
    *("2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-10-04", "2026-04-05", "2018-11-04", "2018-02-18"),
    *("2011-12-30", "2011-09-24", "2024-02-29", "2026-12-31", "1987-10-25", "1988-04-03"),
]


def field(lowest: int, highest: int) -> st.SearchStrategy[str]:
    value = st.integers(lowest, highest)
    span = st.tuples(value, value).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.integers(1, highest)
    item = st.one_of(
        value.map(str),
        span,
        st.tuples(span, step).map(lambda parts: f"{parts[0]}/{parts[1]}"),
        step.map(lambda each: f"*/{each}"),
    )
    return st.one_of(st.just("*"), st.lists(item, min_size=1, max_size=3).map(",".join))


EXPRESSIONS = st.tuples(
    field(0, 59),
    field(0, 23),
    st.one_of(st.just("*"), field(1, 28)),
    st.just("*"),
    st.one_of(st.just("*"), field(0, 7)),
).map(" ".join)


@settings(max_examples=30, deadline=None)
@given(cron=EXPRESSIONS, zone=st.sampled_from([*ZONES, "America/St_Johns"]), night=st.sampled_from(NIGHTS))
@example(cron="30 * * * *", zone="Australia/Lord_Howe", night="2026-04-05")
@example(cron="*/10 * * * *", zone="America/St_Johns", night="1987-10-25")
@example(cron="*/10 * 24 * *", zone="America/St_Johns", night="1987-10-25")
@example(cron="59 23,0 * * *", zone="America/St_Johns", night="1987-10-25")
def test_moments_are_those_that_somebody_sees_who_watches_the_clock(cron: str, zone: str, night: str) -> None:
    expression, where = parse_cron(cron), ZoneInfo(zone)
    begin = moment(night) - timedelta(days=1)
    end = begin + timedelta(days=3)

    assert between(expression, where, begin, end) == list(naive_moments(expression, where, begin, end))


@given(
    cron=EXPRESSIONS,
    zone=st.sampled_from(ZONES),
    after=st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_each_moment_is_the_next_one_seen_from_the_one_before(cron: str, zone: str, after: datetime) -> None:
    expression, where = parse_cron(cron), ZoneInfo(zone)
    moments = moments_after(expression, where, after=after)

    several = [next(moments) for _ in range(4)]

    assert all(earlier < later for earlier, later in zip([after, *several], several, strict=False))
    assert next(moments_after(expression, where, after=several[2])) == several[3]


def test_a_day_that_was_left_out_is_made_up_for_when_the_next_begins() -> None:
    samoa = read_zone("Pacific/Apia")

    due = between(parse_cron("0 12 * * *"), samoa, moment("2011-12-29 12:00"), moment("2011-12-31 20:00"))

    assert [f"{each.astimezone(samoa):%d %H:%M}" for each in due] == ["29 12:00", "31 00:00", "31 12:00"]


def test_the_first_moment_of_a_time_is_found_to_the_second() -> None:
    paris = read_zone("Europe/Paris")

    assert first_moment(datetime(2026, 3, 29, 2, 59), paris) == moment("2026-03-29 01:00")  # noqa: DTZ001
    assert first_moment(datetime(2026, 10, 25, 2, 59), paris) == moment("2026-10-25 00:59")  # noqa: DTZ001


def test_the_end_of_time_ends_it() -> None:
    assert list(moments_after(parse_cron("0 0 1 1 *"), ZoneInfo("UTC"), after=moment("8998-06-01"))) == [
        moment("8999-01-01")
    ]


@pytest.mark.parametrize("name", ["", "Berlin", "Europe/Nowhere", "../../etc/passwd", "localtime", "GMT+25"])
def test_zones_that_do_not_exist_are_refused(name: str) -> None:
    with pytest.raises(TimeZoneUnknownError, match="IANA"):
        read_zone(name)
