"""When one schedule is due: its expression or its one time, between its start and its end."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from scheduling.cron import Cron
from scheduling.moments import moments_after

MOST_LISTED: Final = 100
"""Due times of an outage that are told one by one."""

MOST_COUNTED: Final = 2_000
"""Older due times of an outage that are counted."""

_FIRST_WINDOW: Final = timedelta(hours=1)
_INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The due times of a schedule: those of `cron` in `zone`, or `run_at` alone.

    `starts_at` and `ends_at` are due times themselves if the expression names them. `jitter` (seconds) puts each start
    off by some time below it: always by the same for a due time of a schedule (`key`).
    """

    key: UUID
    cron: Cron | None = None
    zone: ZoneInfo = ZoneInfo("UTC")
    run_at: datetime | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    jitter: int = 0

    def due_after(self, after: datetime) -> Iterator[datetime]:
        """Yield the due times after `after`, in order."""
        if self.run_at is not None:
            return iter([self.run_at] if self.run_at > after else [])
        if self.cron is None:
            return iter(())
        if self.starts_at is not None:
            after = max(after, self.starts_at - _INSTANT)
        moments = moments_after(self.cron, self.zone, after=after)
        return takewhile(lambda moment: self.ends_at is None or moment <= self.ends_at, moments)

    def next_due(self, after: datetime, *, but: Collection[datetime] = ()) -> datetime | None:
        """Return the first due time after `after` that is none of `but`; None if there is none any more."""
        return next((due for due in self.due_after(after) if due not in but), None)

    def has(self, moment: datetime) -> bool:
        """Whether this moment is one of the due times."""
        return self.next_due(moment - _INSTANT) == moment

    def start_of(self, due: datetime) -> datetime:
        """Return when the run of a due time starts: then, or later by its share of the jitter."""
        if not self.jitter:
            return due
        digest = hashlib.blake2b(f"{self.key} {due.timestamp()}".encode(), digest_size=8).digest()
        return due + timedelta(seconds=self.jitter * int.from_bytes(digest) / 2**64)

    def list_due(self, first: datetime, *, now: datetime) -> "Due":
        """Return the due times from `first` (one itself) until now: the newest `MOST_LISTED` of them."""
        # From the end of the outage backwards: its beginning may be a million due times ago.
        end = now if self.ends_at is None else min(now, self.ends_at)
        window = _FIRST_WINDOW + timedelta(seconds=self.jitter)
        # From `first` at the earliest: jitter may have one before it, which is nobody's, start later than now.
        times = [*self._started_after(max(first, end - window), now)]
        while len(times) < MOST_LISTED and end - window > first:
            window *= 4
            times = [*self._started_after(max(first, end - window), now)]
        if len(times) < MOST_LISTED:
            return Due(times=(first, *times))
        older = islice(takewhile(lambda due: due < times[-MOST_LISTED], self.due_after(first)), MOST_COUNTED)
        left_out = 1 + sum(1 for _ in older)
        return Due(times=tuple(times[-MOST_LISTED:]), left_out=left_out, is_counted=left_out <= MOST_COUNTED)

    def _started_after(self, after: datetime, now: datetime) -> Iterator[datetime]:
        return takewhile(lambda due: self.start_of(due) <= now, self.due_after(after))


@dataclass(frozen=True, kw_only=True)
class Due:
    """Due times, oldest first, and how many older ones are left out: at least so many, unless `is_counted`."""

    times: tuple[datetime, ...]
    left_out: int = 0
    is_counted: bool = True
