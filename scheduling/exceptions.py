"""What can go wrong with schedules."""


class SchedulingError(Exception):
    """Anything that this app refuses; its text is meant for the user."""


class CronInvalidError(SchedulingError):
    """A text is no cron expression, or names days that never come; the text says which field and why."""


class TimeZoneUnknownError(SchedulingError):
    """There is no time zone of this name."""


class TimingInvalidError(SchedulingError):
    """The times of a schedule don't fit together."""


class ScheduleNotFoundError(SchedulingError):
    """There is no such schedule, or it is somebody else's."""


class OwnerInactiveError(SchedulingError):
    """The account of a schedule's owner is switched off."""
