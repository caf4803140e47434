"""What is read of a run together with all runs below it, without a query per row."""

from typing import Final, Protocol

from django.db.models import (
    BigIntegerField,
    BooleanField,
    Case,
    Exists,
    F,
    Field,
    FloatField,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    When,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce

from execution.engine.statuses import ENDED, UNFINISHED, Status
from execution.models import Execution, NodeExecution


class Measured(Protocol):
    """What `with_measures` adds to a run."""

    needs_person: bool
    is_busy: bool
    below_cputime: float
    below_cost: int


# Whatever is below a run at the top names it as its root. What is below a sub-run is found step by step, by a function
# of the database's (migration `0021`): PostgreSQL can't guess how little that is and would plan for millions.
_BELOW_SUB_RUN: Final = RawSQL("SELECT execution_runs_below(execution_execution.id)", [])
_WITH_ALL_BELOW: Final = RawSQL(
    "SELECT execution_execution.id"
    " UNION ALL SELECT below.id FROM execution_execution below"
    " WHERE below.root_id = execution_execution.id AND execution_execution.root_id IS NULL"
    " UNION ALL SELECT execution_runs_below(execution_execution.id) WHERE execution_execution.root_id IS NOT NULL",
    [],
)


class _IsAmong(Func):
    """Whether a key is among those that a subquery returns.

    They are gathered before anything is compared. Given `IN (SELECT …)`, PostgreSQL may ask for them again with each
    row that there is to compare, those of other users included.
    """

    arity = 2
    arg_joiner = " = ANY (ARRAY"
    template = "%(expressions)s)"
    output_field = BooleanField()


def with_measures(runs: QuerySet[Execution]) -> QuerySet[Execution]:
    """Add what `execution.reporting` tells of a run, its graph version and its user; see `Measured`.

    Every row that is passed over is measured, too: narrow them first.
    """
    return runs.select_related("graph_version", "user").annotate(
        **_look_below(),
        below_cost=_add_up("cost", BigIntegerField()),
        below_cputime=_add_up("nodes_cputime", FloatField()),
    )


def with_standing(runs: QuerySet[Execution]) -> QuerySet[Execution]:
    """Let a filter ask for `needs_person` and `is_busy`."""
    return runs.alias(**_look_below())


def _look_below() -> dict[str, Case]:
    in_review = Q(status=Status.REVIEW)
    # Who waits for a sub-run is not busy: the sub-run is, or it waits for a person itself. Said as a case, so that
    # PostgreSQL takes the index on what has not ended in a run, not one on what sleeps anywhere.
    busy = Q(status__in=UNFINISHED) & Q(
        Case(
            When(status=Status.REVIEW, then=False),
            When(status=Status.SUSPENDED, wake_at__isnull=True, then=False),
            default=True,
            output_field=BooleanField(),
        )
    )
    return {"needs_person": _has_any(in_review), "is_busy": _has_any(busy)}


def _has_any(state: Q) -> Case:
    """Whether a node execution of the run, or of one below it, is in this state; nothing is when it has ended."""
    found = NodeExecution.objects.filter(state).filter(_IsAmong(F("execution_id"), _WITH_ALL_BELOW))
    return Case(When(status__in=ENDED, then=False), default=Exists(found), output_field=BooleanField())


def _add_up(field: str, output: "Field[float, float]") -> Coalesce:
    """Return the sum of a field over the runs below."""
    below_top, below_sub_run = (
        Subquery(each.order_by().values("root").annotate(total=Sum(field)).values("total"))
        for each in (
            Execution.objects.filter(root=OuterRef("pk")),
            Execution.objects.filter(_IsAmong(F("pk"), _BELOW_SUB_RUN)),
        )
    )
    # Only one of the two is asked.
    found = Case(When(root__isnull=True, then=below_top), default=below_sub_run)
    return Coalesce(found, 0, output_field=output)
