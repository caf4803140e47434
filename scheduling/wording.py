"""Schedules in words."""

from datetime import datetime
from zoneinfo import ZoneInfo

from cron_descriptor import FormatException, MissingFieldException, Options, WrongArgumentException, get_description

from scheduling.cron import Cron, parse_cron
from scheduling.exceptions import CronInvalidError


def describe_cron(text: str) -> str:
    """Return what a cron expression says, in English. Raises `CronInvalidError`."""
    cron = parse_cron(text)
    options = Options()
    options.use_24hour_time_format = True
    options.verbose = False
    try:
        words: str = get_description(_write_plainly(cron), options)
    except (FormatException, MissingFieldException, WrongArgumentException):
        return cron.text
    if words.startswith("At ") and cron.text.endswith(" * * *"):
        return f"{words}, every day"
    # One of the two days is enough.
    return words if cron.needs_both_days else words.replace(", only on ", ", or on ").replace(", only in ", ", in ")


def describe_kept_cron(text: str) -> str:
    """Return the same of an expression that was saved before: as it stands, should it be none any more."""
    try:
        return describe_cron(text)
    except CronInvalidError:
        return text


def describe_moment(moment: datetime, zone: ZoneInfo) -> str:
    """Return a moment as a clock and a calendar in the zone show it."""
    local = moment.astimezone(zone)
    return f"{local:%A}, {local.day} {local:%B %Y}, {local:%H:%M} {local.tzname()}"


def _write_plainly(cron: Cron) -> str:
    """Return the expression with its days of the week written out where they have steps."""
    *others, weekday = cron.text.split(" ")
    if "/" in weekday:
        weekday = ",".join(str(value) for value in sorted(cron.weekdays))
    return " ".join([*others, weekday])
