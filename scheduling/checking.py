"""Whether a schedule's run could start at this moment, and saying so when it can't."""

import re
from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from django.db import DataError, IntegrityError, transaction
from django.db import Error as DatabaseError

from credits.exceptions import CreditsError, FundsLackingError
from credits.metering import find_lacking_funds
from execution.exceptions import ExecutionError
from execution.models import OnInsufficientCredits
from execution.services import Masks, check_start, make_order, start_ordered
from execution.store.starting import Order
from graphs.exceptions import GraphInvalidError, GraphNotFoundError, GraphsError
from graphs.models import GraphVersion
from graphs.services import add_references, get_version
from graphs.store import find_wanted_versions
from scheduling.exceptions import OwnerInactiveError, SchedulingError
from scheduling.models import Schedule
from scheduling.signals import schedule_troubled
from scheduling.store import lock_to_check, read_clock, save_fields

# What keeps a run from starting, for reasons that its user can understand and do something about.
REFUSALS: Final = (GraphsError, ExecutionError, CreditsError, SchedulingError)
# What one row may meet in the database without it being out of order.
ROW_ERRORS: Final = (DataError, IntegrityError)
OUR_FAULT: Final = "It can't be started for a reason that is not yours; whoever runs this system finds it in the log."
MOST_TOLD: Final = 5

logger = structlog.get_logger(__name__)


class Versions:
    """The graph versions that `schedules` ask for, and what their owners lack: read for all of them together.

    What it knows is as it was when it was asked for the first time: keep one for no longer than a transaction.
    """

    def __init__(self, schedules: Collection[Schedule] = ()) -> None:
        self._schedules = schedules
        self._found: dict[tuple[int, UUID, int | None], GraphVersion] | None = None
        self._runnable: set[tuple[UUID, frozenset[tuple[str, frozenset[str]]]]] = set()
        self._lacking: dict[int, FundsLackingError | None] = {}

    def find(self, schedule: Schedule) -> GraphVersion:
        """Return the version that the schedule runs. Raises `GraphNotFoundError`."""
        if self._found is None:
            self._found = find_wanted_versions({_wanted(each) for each in self._schedules})
        key = _wanted(schedule)
        if key not in self._found:
            self._found[key] = get_version(
                user=schedule.user, graph_id=str(schedule.graph_id), version=schedule.graph_version
            )
        return self._found[key]

    def check(self, version: GraphVersion, masks: Masks) -> None:
        """Raise what keeps a run of the version with these masks from starting."""
        key = (version.pk, frozenset((node, frozenset(pins)) for node, pins in masks.items()))
        if key not in self._runnable:
            check_start(version=version, nodes_input_masks=masks)
            self._runnable.add(key)

    def check_funds(self, schedule: Schedule) -> None:
        """Raise `FundsLackingError` if the owner has no credits."""
        if schedule.user_id not in self._lacking:
            users = {schedule.user_id, *(other.user_id for other in self._schedules)}
            lacking_of = find_lacking_funds(users)
            self._lacking.update({user: lacking_of.get(user) for user in users})
        lacking = self._lacking[schedule.user_id]
        if lacking is not None:
            raise lacking


def _wanted(schedule: Schedule) -> tuple[int, UUID, int | None]:
    return schedule.user_id, UUID(str(schedule.graph_id)), schedule.graph_version


def order_run(schedule: Schedule, *, versions: Versions) -> Order:
    """Return the run that the schedule wants, for `start_ordered`. Raises what `REFUSALS` lists."""
    if not schedule.user.is_active:
        raise OwnerInactiveError("The account of its owner is switched off.")
    version = versions.find(schedule)
    masks = add_references(version, masks=schedule.nodes_input_masks, references=schedule.input_credentials)
    versions.check(version, masks)
    versions.check_funds(schedule)
    return make_order(
        user=schedule.user,
        version=version,
        input_data=schedule.input_data,
        max_cost=schedule.max_cost,
        on_insufficient_credits=OnInsufficientCredits(schedule.on_insufficient_credits),
        nodes_input_masks=masks,
        schedule_id=schedule.pk,
    )


def start_run(schedule: Schedule, *, versions: Versions) -> UUID:
    """Start a run as the schedule says, and return its id. Raises what `REFUSALS` lists."""
    (started,) = start_ordered([order_run(schedule, versions=versions)])
    return started.execution_id


def rehearse(schedule: Schedule, *, versions: Versions) -> None:
    """Do all that starting a run does, and take it back. Raises what `REFUSALS` lists."""
    with transaction.atomic():
        start_run(schedule, versions=versions)
        transaction.set_rollback(True)


def find_problem(schedule: Schedule, *, versions: Versions) -> str:
    """Return why the schedule can't run, in a sentence; nothing if it can. Raises only what is the database's."""
    try:
        _ = schedule.timing
        rehearse(schedule, versions=versions)
    except REFUSALS as error:
        return explain(error)
    except Exception as error:
        if not is_of_one(error):
            raise
        logger.exception("a schedule can't be checked", schedule=str(schedule.pk))
        return OUR_FAULT
    return ""


def is_of_one(error: Exception) -> bool:
    """Whether an error is one schedule's own, and not the database's: it must not keep the others from running."""
    return isinstance(error, ROW_ERRORS) or not isinstance(error, DatabaseError)


def explain(error: Exception) -> str:
    """Return the sentence that tells a schedule's owner of an error."""
    if isinstance(error, GraphNotFoundError):
        return f"Its graph is gone: {error}"
    if isinstance(error, GraphInvalidError):
        found = [f"{field}: {message}" for fields in error.node_errors.values() for field, message in fields.items()]
        more = f" (and {len(found) - MOST_TOLD} more)" if len(found) > MOST_TOLD else ""
        return f"{error} {' '.join(found[:MOST_TOLD])}{more}"
    return str(error)


def mark(schedule: Schedule, *, problem: str, now: datetime) -> None:
    """Note on the (locked) row, which the caller saves, whether it can run; its owner is told of each new reason."""
    if problem == schedule.problem:
        return
    is_new = bool(problem) and _without_amounts(problem) != _without_amounts(schedule.problem)
    schedule.problem = problem
    schedule.problem_since = (schedule.problem_since or now) if problem else None
    if is_new:
        logger.warning("a schedule can't run", schedule=str(schedule.pk), reason=problem)
        schedule_troubled.send_robust(sender=Schedule, schedule=schedule, reason=problem)


def _without_amounts(problem: str) -> str:
    """Return what stays of a reason while how much is lacking changes. Other numbers, say a version's, matter."""
    return re.sub(r"-?\d+", "", problem) if problem.startswith(FundsLackingError.OPENING) else problem


def check_wanted(*, limit: int) -> int:
    """Look at schedules whose graph has changed; return how many."""
    with transaction.atomic():
        schedules = lock_to_check(limit=limit)
        now, versions = read_clock(), Versions(schedules)
        for schedule in sorted(schedules, key=lambda each: each.user_id):
            # Of one that is never due again nothing new is to be said.
            if schedule.next_due is not None:
                mark(schedule, problem=find_problem(schedule, versions=versions), now=now)
            schedule.needs_check = False
        save_fields(schedules, "problem", "problem_since", "needs_check")
    return len(schedules)
