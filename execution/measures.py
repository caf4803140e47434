"""What is read of a run together with all runs below it, without a query per row."""

from typing import Final, Protocol

from django.db.models import (
    BigIntegerField,
    Case,
    Exists,
    Field,
    FloatField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    When,
)
from django.db.models.expressions import Combinable, RawSQL
from django.db.models.functions import Coalesce

from execution.engine.statuses import Status
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


def with_measures(runs: QuerySet[Execution]) -> QuerySet[Execution]:
    """Add what `execution.reporting` tells of a run, its graph version and its user; see `Measured`."""
    in_review = Q(status=Status.REVIEW)
    # Who waits for a sub-run is not busy: the sub-run is, or it waits for a person itself.
    busy = Q(status__in=[Status.QUEUED, Status.RUNNING]) | Q(status=Status.SUSPENDED, wake_at__isnull=False)
    return runs.select_related("graph_version", "user").annotate(
        needs_person=_has_any(in_review),
        is_busy=_has_any(busy),
        below_cost=_add_up("cost", BigIntegerField()),
        below_cputime=_add_up("nodes_cputime", FloatField()),
    )


def _has_any(state: Q) -> Combinable | Q:
    """Whether a node execution of the run, or of one below it, is in this state."""
    found = NodeExecution.objects.filter(state)
    below_top, below_sub_run = found.filter(execution__root=OuterRef("pk")), found.filter(execution__in=_BELOW_SUB_RUN)
    return Exists(found.filter(execution=OuterRef("pk"))) | Q(_choose(Exists(below_top), Exists(below_sub_run)))


def _add_up(field: str, output: "Field[float, float]") -> Coalesce:
    """Return the sum of a field over the runs below."""
    below_top, below_sub_run = (
        Subquery(each.order_by().values("root").annotate(total=Sum(field)).values("total"))
        for each in (Execution.objects.filter(root=OuterRef("pk")), Execution.objects.filter(pk__in=_BELOW_SUB_RUN))
    )
    return Coalesce(_choose(below_top, below_sub_run), 0, output_field=output)


def _choose(for_top: Exists | Subquery, for_sub_run: Exists | Subquery) -> Case:
    """Ask only one of the two."""
    return Case(When(root__isnull=True, then=for_top), default=for_sub_run)
