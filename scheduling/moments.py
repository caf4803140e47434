"""From what a clock on a wall shows to moments: when a cron expression is due in a time zone.

Two nights of the year need a rule.

- An expression that names hours means times of the day. It is due at the first moment at which the clock shows that
  time or a later one. So a time that doesn't exist is due once, at the next moment that does; a time that exists twice
  is due once, the first time.
- An expression for every hour (`*/15 * * * *`, `@hourly`) means a rhythm. It is due whenever the clock shows one of its
  minutes, so it goes on through a night however often the clock is turned.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache, partial
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from scheduling.cron import Cron
from scheduling.exceptions import TimeZoneUnknownError

_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)
# Whoever counts on from here will not be there.
_END_OF_TIME: Final = datetime(9000, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1)
def list_zones() -> frozenset[str]:
    """Return the names of all time zones (IANA); what means the machine's own, or that nobody has chosen, is none."""
    return frozenset(available_timezones()) - {"localtime", "Factory"}


def read_zone(name: str) -> ZoneInfo:
    """Return the time zone of this name. Raises `TimeZoneUnknownError`."""
    if name not in list_zones():
        raise TimeZoneUnknownError(f"There is no time zone {name!r}: give an IANA name like Europe/Berlin or UTC.")
    return ZoneInfo(name)


def first_moment(shown: datetime, zone: ZoneInfo) -> datetime:
    """Return the first moment (UTC) at which the zone's clock shows this time (naive) or a later one."""
    moment = shown.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == shown:
        return moment
    # The clock jumps over it. `moment` lies behind the jump by as much as `shown` lies behind its beginning.
    offset = moment.astimezone(zone).utcoffset()
    before, behind = shown.replace(tzinfo=zone, fold=1).astimezone(UTC), moment
    while behind - before > timedelta(seconds=1):
        middle = before + (behind - before) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            behind = middle
        else:
            before = middle
    return behind


def moments_after(cron: Cron, zone: ZoneInfo, *, after: datetime) -> Iterator[datetime]:
    """Yield the moments (UTC) after `after` at which the expression is due, in order, each once."""
    moments = _rhythm(cron, zone, after) if cron.runs_every_hour else _times_of_day(cron, zone, after)
    return takewhile(lambda moment: moment < _END_OF_TIME, moments)


def _times_of_day(cron: Cron, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    times = _list_times(cron)
    # A day earlier: what a jump leaves out is due on the day behind it.
    day = cron.next_date(after.astimezone(zone).date() - _DAY)
    while day is not None:
        moment_of = partial(_moment_on, zone, day)
        for each in times[bisect_right(times, after, key=moment_of) :]:
            moment = moment_of(each)
            if moment > after:
                yield moment
                after = moment
        day = cron.next_date(day + _DAY)


def _moment_on(zone: ZoneInfo, day: date, shown: time) -> datetime:
    return first_moment(datetime.combine(day, shown), zone)


@lru_cache(maxsize=256)
def _list_times(cron: Cron) -> tuple[time, ...]:
    return tuple(time(hour, minute) for hour in sorted(cron.hours) for minute in sorted(cron.minutes))


def _rhythm(cron: Cron, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    moment: datetime | None = after.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE
    while moment is not None:
        shown = moment.astimezone(zone)
        if not cron.matches_date(shown.date()):
            moment = _skip_day(cron, zone, moment, shown.date())
        elif shown.minute in cron.minutes:
            yield moment
            moment += _MINUTE
        else:
            moment = _skip_minutes(cron, zone, moment, shown)


def _skip_minutes(cron: Cron, zone: ZoneInfo, moment: datetime, shown: datetime) -> datetime:
    """Return the next moment that may show one of the minutes: not beyond a change of the clock."""
    wait = min((minute - shown.minute) % 60 for minute in cron.minutes)
    later = moment + timedelta(minutes=wait)
    return later if later.astimezone(zone).utcoffset() == shown.utcoffset() else moment + _MINUTE


def _skip_day(cron: Cron, zone: ZoneInfo, moment: datetime, shown: date) -> datetime | None:
    """Return the beginning of the next day of the expression, or the next minute if that may be skipped over.

    A clock that is turned back at midnight shows the day before once more.
    """
    if cron.matches_date(shown - _DAY):
        return moment + _MINUTE
    day = cron.next_date(shown + _DAY)
    return None if day is None else first_moment(datetime.combine(day, time()), zone)
