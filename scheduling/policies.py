"""What to do with due times: the rules, as values in and values out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import TextChoices

ON_TIME: Final = timedelta(seconds=60)
"""A start that is later than this (behind its due time and jitter) was missed: nobody was there to make it."""


class Misfire(TextChoices):
    """What becomes of times that were missed."""

    SKIP = "skip"
    FIRE_ONCE = "fire_once"
    FIRE_ALL = "fire_all"


class Overlap(TextChoices):
    """What becomes of a time that is due while a run of the schedule goes on."""

    ALLOW = "allow"
    SKIP = "skip"
    QUEUE_ONE = "queue_one"
    CANCEL_RUNNING = "cancel_running"


class Turn(TextChoices):
    """What the overlap policy says of one due time."""

    START = "start"
    SKIP = "skip"
    WAIT = "wait"
    STOP_OTHERS = "stop_others"


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A due time that has come: `late` is how long ago its run should have started."""

    due: datetime
    late: timedelta


@dataclass(frozen=True, kw_only=True)
class MisfireRule:
    """What becomes of missed times: of those `grace` late at most (None: however late), `limit` at most are fired."""

    policy: Misfire
    grace: timedelta | None
    limit: int


def choose_fired(pending: Sequence[Pending], rule: MisfireRule) -> list[datetime]:
    """Return which of the due times (oldest first) are fired, oldest first; the others were missed.

    What is on time is always fired, except that with FIRE_ONCE one run stands for all that came together.
    """
    on_time = [each.due for each in pending if each.late <= ON_TIME]
    if rule.policy is Misfire.SKIP:
        return on_time
    worth = [each.due for each in pending if each.late <= ON_TIME or rule.grace is None or each.late <= rule.grace]
    if rule.policy is Misfire.FIRE_ALL:
        return worth[-max(rule.limit, len(on_time)) :]
    return worth[-1:] if len(worth) > len(on_time) else on_time


def choose_turn(policy: Overlap, *, running: int, waiting: int) -> Turn:
    """Return what to do at a due time while so many runs of the schedule go on, and so many wait for them."""
    if policy is Overlap.ALLOW or not (running or waiting):
        return Turn.START
    if policy is Overlap.CANCEL_RUNNING:
        return Turn.STOP_OTHERS
    return Turn.WAIT if policy is Overlap.QUEUE_ONE and not waiting else Turn.SKIP
