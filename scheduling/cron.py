"""Cron expressions: what their five fields say.

`minute hour day-of-month month day-of-week`, each `*`, a value, a range `a-b`, a step `*/n`, `a-b/n` or `a/n` (from a
to the end), or several of these with commas. Months and days of the week have names (`jan`, `mon`); Sunday is 0 and 7.
`@hourly`, `@daily` (`@midnight`), `@weekly`, `@monthly` and `@yearly` (`@annually`) stand for what one expects.

As everywhere since Vixie's cron, a day must match both of its fields, or one of them if neither begins with `*`.
"""

import calendar
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from scheduling.exceptions import CronInvalidError

MAX_LENGTH: Final = 300

_MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
# A 29th of February falls on a given day of the week every 28 years; every 40 where a century has none.
_LONGEST_WAIT: Final = timedelta(days=366 * 41)


@dataclass(frozen=True, kw_only=True)
class _Field:
    """What may stand in one of the fields."""

    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()

    def parse(self, text: str) -> frozenset[int]:
        """Return the values that a field's text means."""
        return frozenset(value for item in text.split(",") for value in self._parse_item(item))

    def _parse_item(self, item: str) -> range:
        span, slash, step_text = item.partition("/")
        step = self._parse_number(step_text, item) if slash else 1
        if step < 1:
            raise self._refuse(item, "the step must be 1 or more")
        if span == "*":
            return range(self.lowest, self.highest + 1, step)
        first_text, dash, last_text = span.partition("-")
        first = self._parse_value(first_text, item)
        if not dash:
            return range(first, (self.highest if slash else first) + 1, step)
        last = self._parse_value(last_text, item)
        # `sat-sun`: the week goes on to its seventh day.
        if last < first and last == 0 and self.highest == _SUNDAY:
            last = _SUNDAY
        if last < first:
            raise self._refuse(item, f"{last_text} comes before {first_text}")
        return range(first, last + 1, step)

    def _parse_value(self, text: str, item: str) -> int:
        if text in self.names:
            return self.names.index(text) + self.lowest
        value = self._parse_number(text, item)
        if not self.lowest <= value <= self.highest:
            raise self._refuse(item, f"{value} is not between {self.lowest} and {self.highest}")
        return value

    def _parse_number(self, text: str, item: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 4):
            raise self._refuse(item, f"{text!r} is not a number" + (" or a name" if self.names else ""))
        return int(text)

    def _refuse(self, item: str, why: str) -> CronInvalidError:
        return CronInvalidError(f"The {self.name} {item!r} can't be read: {why}.")


_SUNDAY: Final = 7
_MINUTE: Final = _Field(name="minute", lowest=0, highest=59)
_HOUR: Final = _Field(name="hour", lowest=0, highest=23)
_DAY: Final = _Field(name="day of the month", lowest=1, highest=31)
_MONTH: Final = _Field(
    name="month", lowest=1, highest=12, names=tuple(name.lower() for name in calendar.month_abbr if name)
)
_WEEKDAY: Final = _Field(
    name="day of the week", lowest=0, highest=_SUNDAY, names=("sun", "mon", "tue", "wed", "thu", "fri", "sat")
)


@dataclass(frozen=True, kw_only=True)
class Cron:
    """What a cron expression means. Days of the week count from Sunday, 0, to Saturday, 6.

    `text` is the expression with its macro written out; `needs_both_days`: a day must match both of its fields.
    """

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    needs_both_days: bool

    @property
    def runs_every_hour(self) -> bool:
        """Whether it means a rhythm rather than times of the day."""
        return len(self.hours) == _HOUR.highest + 1

    def matches_date(self, day: date) -> bool:
        """Whether it names this day."""
        if day.month not in self.months:
            return False
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_date and by_weekday if self.needs_both_days else by_date or by_weekday

    def next_date(self, day: date) -> date | None:
        """Return the first day, from this one on, that it names; None if it names none any more."""
        try:
            last = day + _LONGEST_WAIT
        except OverflowError:
            last = date.max
        while day < last:
            if self.matches_date(day):
                return day
            if day.month in self.months:
                day += timedelta(days=1)
            else:
                day = (day.replace(day=1) + timedelta(days=31)).replace(day=1)
        return None


@lru_cache(maxsize=4096)
def parse_cron(text: str) -> Cron:
    """Return what an expression means. Raises `CronInvalidError`."""
    if len(text) > MAX_LENGTH:
        raise CronInvalidError(f"A cron expression has at most {MAX_LENGTH} characters.")
    wanted = " ".join(text.lower().split())
    if wanted.startswith("@"):
        if wanted not in _MACROS:
            raise CronInvalidError(f"There is no {text!r}. There are {', '.join(_MACROS)}.")
        wanted = _MACROS[wanted]
    fields = wanted.split(" ")
    if len(fields) != 5:
        raise CronInvalidError(
            f"A cron expression has five fields (minute, hour, day of the month, month, day of the week),"
            f" and {text!r} has {len(fields) if wanted else 0}."
        )
    minute, hour, day, month, weekday = fields
    cron = Cron(
        text=wanted,
        minutes=_MINUTE.parse(minute),
        hours=_HOUR.parse(hour),
        days=_DAY.parse(day),
        months=_MONTH.parse(month),
        weekdays=frozenset(value % 7 for value in _WEEKDAY.parse(weekday)),
        needs_both_days=day.startswith("*") or weekday.startswith("*"),
    )
    if cron.next_date(date(2000, 1, 1)) is None:
        raise CronInvalidError(f"{text!r} names a day that never comes.")
    return cron
