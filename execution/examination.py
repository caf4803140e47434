"""The doctor: everything that should not be is found and, where that is safe, put right."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog
from django.conf import settings
from django.db import Error as DatabaseError

from credits.auditing import find_faults
from execution.clearing import Cleared, clear_away
from execution.file_examination import find_lost_values, find_orphaned_files, remove_orphaned_files
from execution.queue_examination import (
    empty_queue,
    find_broker_away,
    find_leftovers,
    find_stalled,
    find_without_workers,
)
from execution.recovery import BATCH, PATIENCE_OF_LEASE, sweep
from execution.store import examination as rows
from execution.store.clearing import remember_deleted
from execution.store.examination import Hit, Question, ask
from execution.store.mending import (
    admit_begun,
    count_cost,
    count_nodes,
    count_outputs,
    count_run_outputs,
    end_idle_run,
    end_node,
    end_sub_run,
    let_go,
    say_since_when,
    wake_up,
)
from execution.store.ready import Ready
from execution.store.run_limits import find_overdue
from execution.store.unfired import find_unfired, queue_unfired
from execution.store.waiting_examination import BEGUN_TOO_SOON, HELD_BACK_IN_VAIN, TURN_MISSED
from execution.tasks import send

MOST_ROUNDS: Final = 50
# How long (seconds) a living system gets to put something right by itself, beside the part of a lease that recovery
# waits before it calls anybody lost.
SETTLE_SECONDS: Final = 1.0

logger = structlog.get_logger(__name__)

Mend = Callable[[Sequence[Hit]], None]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing to look for. What `is_transient` counts only if it is still there a while later.

    `mend` puts right what it can; without it, or where hits remain, a person has to look.
    """

    name: str
    finds: str
    look: Callable[[], list[Hit]]
    mend: Mend | None = None
    is_transient: bool = False


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found."""

    check: Check
    hits: tuple[Hit, ...]


@dataclass(kw_only=True)
class Treatment:
    """What was found, and what of it is left. `mended` counts by the name of the check what isn't there any more."""

    found: list[Finding]
    left: list[Finding] = field(default_factory=list)
    mended: dict[str, int] = field(default_factory=dict)


def examine() -> list[Finding]:
    """Run all checks; an empty list means health."""
    findings = [Finding(check=check, hits=tuple(check.look())) for check in CHECKS]
    findings = [finding for finding in findings if finding.hits]
    if any(finding.check.is_transient for finding in findings):
        time.sleep(SETTLE_SECONDS + PATIENCE_OF_LEASE * settings.LEASE_SECONDS)
        findings = [_confirm(finding) for finding in findings]
    return [finding for finding in findings if finding.hits]


def treat() -> Treatment:
    """Examine, and mend until nothing is left that can be mended. To mend one thing may bring another to light."""
    treatment = Treatment(found=examine())
    seen = {finding.check.name: _subjects(finding) for finding in treatment.found}
    left = treatment.found
    for _ in range(MOST_ROUNDS):
        if all(finding.check.mend is None for finding in left):
            break
        for finding in left:
            if finding.check.mend is not None:
                finding.check.mend(finding.hits)
        before, left = left, examine()
        for finding in left:
            if finding.check.name not in seen:
                treatment.found.append(finding)
            seen.setdefault(finding.check.name, set()).update(_subjects(finding))
        if [_subjects(finding) for finding in left] == [_subjects(finding) for finding in before]:
            break
    treatment.left = left
    remaining = {finding.check.name: _subjects(finding) for finding in left}
    treatment.mended = {name: len(subjects - remaining.get(name, set())) for name, subjects in seen.items()}
    return treatment


def _confirm(finding: Finding) -> Finding:
    if not finding.check.is_transient:
        return finding
    still = {hit.subject: hit for hit in finding.check.look()}
    return Finding(check=finding.check, hits=tuple(still[key] for key in sorted(_subjects(finding) & still.keys())))


def _subjects(finding: Finding) -> set[str]:
    return {hit.subject for hit in finding.hits}


def _each(mend: Callable[[Hit], list[Ready] | None]) -> Mend:
    """Mend one by one, and send what became ready."""

    def mend_all(hits: Sequence[Hit]) -> None:
        for hit in hits:
            try:
                send(mend(hit) or [])
            except DatabaseError:
                logger.exception("can't mend", subject=hit.subject)

    return mend_all


def _sweep(hits: Sequence[Hit]) -> None:
    """Do what recovery does; it takes so many at once."""
    for _ in range(len(hits) // BATCH + 1):
        sweep(send)


def _remove_files(hits: Sequence[Hit]) -> None:
    for hit in hits:
        remove_orphaned_files(hit)


def _clear_away(hits: Sequence[Hit]) -> None:
    for hit in hits:
        remember_deleted(hit.subject_id)
    clear_away(Cleared(), only=[hit.subject_id for hit in hits])


def _empty_queues(hits: Sequence[Hit]) -> None:
    for hit in hits:
        empty_queue(hit.subject)


def _find_faults_in_books() -> list[Hit]:
    return [Hit(subject=fault.subject, detail=f"{fault.check}: {fault.detail}") for fault in find_faults()]


def _find_overdue() -> list[Hit]:
    return [Hit(run_id=key, subject=str(key), detail="past one of its time limits") for key in find_overdue()]


def _check(question: Question, mend: Mend | None = None) -> Check:
    return Check(
        name=question.name,
        finds=question.finds,
        look=partial(ask, question),
        mend=mend,
        is_transient=question.is_transient,
    )


# In the order in which they are mended: first what other repairs count on, last what only then is known to be over.
CHECKS: Final = (
    _check(rows.UNFINISHED_IN_ENDED_RUN, _each(end_node)),
    _check(rows.UNFINISHED_COUNT, _each(count_nodes)),
    _check(rows.NODE_COUNTS, _each(count_nodes)),
    _check(rows.OUTPUT_POSITIONS, _each(count_outputs)),
    _check(rows.RUN_OUTPUT_POSITIONS, _each(count_run_outputs)),
    _check(rows.ORDINALS),
    _check(rows.TREES),
    _check(rows.ROWS_WITHOUT_RUN, _clear_away),
    _check(rows.NOT_CLEARED_AWAY, _clear_away),
    Check(
        name="ready_but_incomplete",
        finds="node executions that have all their pins and were never queued",
        look=find_unfired,
        mend=_each(queue_unfired),
    ),
    _check(rows.QUEUED_WITHOUT_TIME, _each(say_since_when)),
    *(
        _check(question, _each(partial(wake_up, question)))
        for question in (rows.SUB_RUN_OVER, rows.NOTHING_TO_WAIT_FOR, rows.REVIEW_WITHOUT_QUESTION)
    ),
    _check(BEGUN_TOO_SOON, _each(admit_begun)),
    *(
        _check(question, _sweep)
        for question in (
            rows.OVERSLEPT,
            rows.LEASE_RUN_OUT,
            rows.MESSAGE_LOST,
            TURN_MISSED,
            HELD_BACK_IN_VAIN,
        )
    ),
    Check(
        name="overdue",
        finds="runs that should have been ended for their time",
        look=_find_overdue,
        mend=_sweep,
        is_transient=True,
    ),
    _check(rows.SUB_RUN_ALONE, _each(end_sub_run)),
    _check(rows.NOTHING_TO_DO, _each(end_idle_run)),
    _check(rows.HOLD_ALONE, _each(let_go)),
    _check(rows.RUN_COST, _each(count_cost)),
    Check(name="books", finds="balances, entries and holds that don't agree", look=_find_faults_in_books),
    Check(
        name="orphaned_files",
        finds="files in the storage whose run is gone",
        look=find_orphaned_files,
        mend=_remove_files,
    ),
    Check(
        name="lost_values",
        finds="large values that rows refer to and that are not in the storage (any more)",
        look=find_lost_values,
        # A run that is deleted at this moment has lost its files as well.
        is_transient=True,
    ),
    Check(name="broker_away", finds="a broker that can't be reached", look=find_broker_away, is_transient=True),
    Check(
        name="queue_without_workers",
        finds="queues in which something waits and to which no worker listens",
        look=find_without_workers,
        is_transient=True,
    ),
    Check(
        name="queue_stalled",
        finds="queues from which workers take nothing although something waits",
        look=find_stalled,
        is_transient=True,
    ),
    Check(
        name="leftover_messages",
        finds="queues with messages about nothing",
        look=find_leftovers,
        mend=_empty_queues,
        is_transient=True,
    ),
)
