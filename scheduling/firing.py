"""Starting what is due.

Each due time becomes an occurrence in the transaction that starts its run, under the lock of its schedule's row, and
the schedule goes on to its next time there. So whoever comes second, whenever and for whatever reason, finds nothing
due.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from typing import Final
from uuid import UUID

import structlog
from django.db import transaction

from execution.services import start_ordered, stop_executions
from execution.store.starting import Order
from scheduling.checking import OUR_FAULT, REFUSALS, Versions, explain, is_of_one, mark, order_run
from scheduling.models import Occurrence, Schedule
from scheduling.policies import Misfire, MisfireRule, Overlap, Pending, Turn, choose_fired, choose_turn
from scheduling.settling import settle
from scheduling.store import (
    Unfinished,
    advance,
    find_decided,
    find_unfinished,
    lock_due,
    lock_with_free_waiting,
    note_runs,
    read_clock,
)
from scheduling.timing import Due, Timing

# A row that can't be read is looked at again so much later.
UNREADABLE_REST: Final = timedelta(hours=1)
# Schedules that one transaction decides about: their rows are locked meanwhile.
AT_ONCE: Final = 100

REPLACED: Final = "A later one was started in its place."
WAS_ONCE: Final = "It was due once, and is not tried again."

State = Occurrence.State

logger = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class Round:
    """One transaction's work: what is known at its beginning, and what is written at its end."""

    now: datetime
    versions: Versions
    unfinished: dict[UUID, Unfinished]
    decided: set[tuple[UUID, datetime]] = field(default_factory=set)
    occurrences: list[Occurrence] = field(default_factory=list)
    to_start: list[Occurrence] = field(default_factory=list)
    started: dict[UUID, Schedule] = field(default_factory=dict)
    stopped: list[UUID] = field(default_factory=list)


def fire_due(*, limit: int, now: datetime | None = None, schedule_id: UUID | None = None) -> int:
    """Start what is due of at most `limit` schedules (or of one); return how many schedules that were.

    `now` is the database's time, unless it is given.
    """
    done = 0
    while done < limit:
        count = _fire_some(limit=min(AT_ONCE, limit - done), now=now, schedule_id=schedule_id)
        done += count
        if count < AT_ONCE:
            break
    return done


@transaction.atomic
def _fire_some(*, limit: int, now: datetime | None, schedule_id: UUID | None) -> int:
    now = now or read_clock()
    schedules = lock_due(now=now, limit=limit, schedule_id=schedule_id)
    if not schedules:
        return 0
    # How its last runs ended decides whether a schedule goes on.
    settle([schedule for schedule in schedules if schedule.pause_after_failures])
    current = Round(
        now=now,
        versions=Versions(schedules),
        unfinished=find_unfinished([schedule.pk for schedule in schedules]),
        decided=find_decided(schedules),
    )
    # In the order in which others do it: whoever starts a user's run has the user's place in the queue to themselves.
    for schedule in sorted(schedules, key=lambda each: each.user_id):
        if schedule.is_enabled:
            _fire_schedule(schedule, current)
    _start_all(current)
    Occurrence.objects.bulk_create(current.occurrences)
    advance(schedules)
    note_runs(list(current.started.values()), now=now)
    # Together and last: runs, and the accounts behind them, are locked in one order.
    stop_executions(execution_ids=current.stopped)
    return len(schedules)


def _fire_schedule(schedule: Schedule, current: Round) -> None:
    """Decide about all of a schedule's due times that have come, and go on to its next."""
    first = schedule.next_due
    if first is None:
        return
    try:
        timing = schedule.timing
    except REFUSALS as error:
        # A row that can't be read any more, as when a time zone has left the database of zones. What is due stays so:
        # when it can be read again, the times until then were missed.
        mark(schedule, problem=explain(error), now=current.now)
        schedule.next_start = current.now + UNREADABLE_REST
        return
    due = timing.list_due(first, now=current.now)
    times = [each for each in due.times if (schedule.pk, each) not in current.decided]
    pending = [Pending(due=each, late=current.now - started) for each, started in _find_starts(schedule, timing, times)]
    chosen = choose_fired(pending, _rule(schedule))
    fired = set(chosen)
    _note_missed(schedule, due, [each for each in times if each not in fired], current)
    for each in times:
        if each in fired and schedule.overlap == Overlap.CANCEL_RUNNING and each != chosen[-1]:
            # Its run would be stopped in the transaction that starts it.
            _note(schedule, each, State.SKIPPED, current, reason=REPLACED)
        elif each in fired:
            _take_turn(schedule, each, current)
    schedule.last_due = due.times[-1]
    decided = {time for key, time in current.decided if key == schedule.pk}
    schedule.next_due = timing.next_due(due.times[-1], but=decided)
    schedule.next_start = timing.start_of(schedule.next_due) if schedule.next_due else None
    if schedule.run_at is not None and times and not fired:
        reason = f"Nobody was there to start it in time, at {schedule.run_at:%Y-%m-%d %H:%M} UTC."
        mark(schedule, problem=f"{reason} {WAS_ONCE}", now=current.now)


def _find_starts(schedule: Schedule, timing: Timing, times: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    """Return when each due time could be decided about: who stands behind one with more jitter is not late for that."""
    earliest = timing.start_of(schedule.last_due) if schedule.last_due else datetime.min.replace(tzinfo=UTC)
    starts = accumulate(map(timing.start_of, times), max, initial=earliest)
    return list(zip(times, islice(starts, 1, None), strict=True))


def _rule(schedule: Schedule) -> MisfireRule:
    grace = schedule.misfire_grace
    return MisfireRule(
        policy=Misfire(schedule.misfire),
        grace=None if grace is None else timedelta(seconds=grace),
        limit=schedule.misfire_limit,
    )


def _note_missed(schedule: Schedule, due: Due, missed: Iterable[datetime], current: Round) -> None:
    """Write down what was missed, the oldest with what is not told one by one."""
    before = ""
    if due.left_out:
        count = f"{due.left_out:,}" if due.is_counted else f"more than {due.left_out - 1:,}"
        before = f" So were {count} times before it, since {schedule.next_due:%Y-%m-%d %H:%M} UTC."
    for each in missed:
        _note(schedule, each, State.MISSED, current, reason=f"Nobody was there to start it in time.{before}")
        before = ""


def _take_turn(schedule: Schedule, due: datetime, current: Round) -> None:
    """Do at a due time what the overlap policy says."""
    if any(each.schedule is schedule for each in current.to_start[-1:]):
        # Whether that run goes on has a say in this one.
        _start_all(current)
    unfinished = current.unfinished[schedule.pk]
    turn = choose_turn(Overlap(schedule.overlap), running=len(unfinished.runs), waiting=len(unfinished.waiting))
    if turn is Turn.SKIP:
        _note(schedule, due, State.SKIPPED, current, reason=_explain_skip(unfinished))
    elif turn is Turn.WAIT:
        waiting = _note(schedule, due, State.WAITING, current, reason="It waits for the run before it to end.")
        unfinished.waiting.append(waiting.pk)
    else:
        if turn is Turn.STOP_OTHERS:
            _stop(unfinished, current)
        occurrence = Occurrence(schedule=schedule, due_at=due, decided_at=current.now)
        current.occurrences.append(occurrence)
        current.to_start.append(occurrence)


def _explain_skip(unfinished: Unfinished) -> str:
    if unfinished.waiting:
        return "Another one waited already for the run before it to end."
    return f"The run before it was still going on: {unfinished.runs[0]}."


def _stop(unfinished: Unfinished, current: Round) -> None:
    current.stopped += unfinished.runs
    unfinished.runs.clear()
    # One may wait since before the policy was changed.
    Occurrence.objects.filter(pk__in=unfinished.waiting, state=State.WAITING).update(
        state=State.SKIPPED, reason=REPLACED, decided_at=current.now
    )
    unfinished.waiting.clear()


def _note(schedule: Schedule, due: datetime, state: State, current: Round, *, reason: str) -> Occurrence:
    occurrence = Occurrence(schedule=schedule, due_at=due, state=state, reason=reason, decided_at=current.now)
    current.occurrences.append(occurrence)
    return occurrence


def _start_all(current: Round) -> None:
    """Start the runs of the occurrences that are to be started, which the caller writes; of others say why not."""
    occurrences, current.to_start = current.to_start, []
    ordered = [(each, order) for each in occurrences if (order := _order(each, current)) is not None]
    if not ordered:
        return
    try:
        _start_together(ordered, current)
    except Exception as error:
        if not is_of_one(error):
            raise
        _start_apart(ordered, current)


def _order(occurrence: Occurrence, current: Round) -> Order | None:
    """Return the run of an occurrence; if it can't start, say so there and mark the schedule."""
    schedule = occurrence.schedule
    try:
        return order_run(schedule, versions=current.versions)
    except REFUSALS as error:
        _refuse(occurrence, current, reason=explain(error))
    except Exception as error:
        if not is_of_one(error):
            raise
        _refuse_for_us(occurrence, current)
    return None


def _start_together(ordered: Sequence[tuple[Occurrence, Order]], current: Round) -> None:
    with transaction.atomic():
        runs = start_ordered([order for _, order in ordered])
    for (occurrence, _), run in zip(ordered, runs, strict=True):
        schedule = occurrence.schedule
        occurrence.state, occurrence.reason, occurrence.execution_id = State.STARTED, "", run.execution_id
        current.started[schedule.pk] = schedule
        if not run.has_ended:
            current.unfinished[schedule.pk].runs.append(run.execution_id)
        mark(schedule, problem="", now=current.now)


def _start_apart(ordered: Iterable[tuple[Occurrence, Order]], current: Round) -> None:
    """Start each by itself: one of them can't be written."""
    for occurrence, order in ordered:
        try:
            _start_together([(occurrence, order)], current)
        except Exception as error:
            if not is_of_one(error):
                raise
            _refuse_for_us(occurrence, current)


def _refuse(occurrence: Occurrence, current: Round, *, reason: str) -> None:
    occurrence.state, occurrence.reason = State.REFUSED, reason
    schedule = occurrence.schedule
    mark(schedule, problem=f"{reason} {WAS_ONCE}" if schedule.run_at else reason, now=current.now)


def _refuse_for_us(occurrence: Occurrence, current: Round) -> None:
    logger.exception("a schedule's run can't be started", schedule=str(occurrence.schedule_id))
    _refuse(occurrence, current, reason=OUR_FAULT)


@transaction.atomic
def start_waiting(*, limit: int, now: datetime | None = None) -> int:
    """Start what waited for a run that has ended, of at most `limit` schedules; return how many that were.

    Of a schedule that was paused meanwhile it is left out.
    """
    locked = lock_with_free_waiting(limit=limit)
    schedules = {schedule.pk: schedule for schedule in locked}
    current = Round(now=now or read_clock(), versions=Versions(locked), unfinished=find_unfinished(schedules.keys()))
    waiting = Occurrence.objects.filter(schedule__in=schedules.keys(), state=State.WAITING)
    for occurrence in waiting.order_by("schedule__user_id"):
        schedule = schedules[occurrence.schedule_id]
        if current.unfinished[schedule.pk].runs:
            continue
        occurrence.schedule, occurrence.decided_at = schedule, current.now
        if schedule.is_enabled:
            current.to_start.append(occurrence)
        else:
            occurrence.state, occurrence.reason = State.SKIPPED, "The schedule was paused while it waited."
        current.occurrences.append(occurrence)
    _start_all(current)
    Occurrence.objects.bulk_update(current.occurrences, ("state", "reason", "execution", "decided_at"))
    advance(locked)
    note_runs(list(current.started.values()), now=current.now)
    return len(schedules)
