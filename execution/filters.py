"""How lists of runs and node executions are narrowed."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters
from django_filters.fields import IsoDateTimeField

from execution.engine.statuses import ENDED, Status
from execution.measures import with_standing
from execution.models import MAX_LABEL_LENGTH, Execution, NodeExecution

RUN_STATUS_NAMES: Final = ["QUEUED", "RUNNING", "REVIEW", "COMPLETED", "FAILED", "TERMINATED"]
NODE_STATUS_NAMES: Final = ["INCOMPLETE", *RUN_STATUS_NAMES]


class InstantField(IsoDateTimeField):
    """A time in any offset from UTC. PostgreSQL takes none of 16 hours or more."""

    def to_python(self, value: Any) -> datetime | None:
        """Return it in UTC. Raises `ValidationError`."""
        found: datetime | None = super().to_python(value)
        try:
            return found.astimezone(UTC) if found else None
        except OverflowError:
            raise ValidationError("This is a time that no calendar has.") from None


class InstantFilter(filters.IsoDateTimeFilter):
    """Keeps what happened before or after a time."""

    field_class = InstantField


class ExecutionFilter(filters.FilterSet):
    """Runs by how they stand, when they were made, and what they are called."""

    status = filters.MultipleChoiceFilter(
        choices=[(name, name) for name in RUN_STATUS_NAMES],
        method="keep_status",
        help_text="Only runs with this status; give it several times for several.",
    )
    created_time_gte = InstantFilter("created_at", "gte", help_text="Only runs made then or later.")
    created_time_lte = InstantFilter("created_at", "lte", help_text="Only runs made then or earlier.")
    label = filters.CharFilter(max_length=MAX_LABEL_LENGTH, help_text="Only runs with this label.")
    dry_run = filters.BooleanFilter("simulate", help_text="Only simulated runs, or only real ones.")

    class Meta:
        model = Execution
        fields: list[str] = []

    def keep_status(self, runs: QuerySet[Execution], _name: str, wanted: Collection[str]) -> QuerySet[Execution]:
        """Keep the runs that are shown with one of these statuses."""
        if not wanted:
            return runs
        in_review = Q(status__in=[Status.QUEUED, Status.RUNNING], needs_person=True, is_busy=False)
        kept = Q(status__in=ENDED & set(wanted))
        for status in {Status.QUEUED, Status.RUNNING} & set(wanted):
            kept |= Q(status=status) & ~in_review
        if Status.REVIEW in wanted:
            kept |= in_review
        return with_standing(runs).filter(kept)


class AnyGraphExecutionFilter(ExecutionFilter):
    """The same for runs of all graphs."""

    graph_id = filters.UUIDFilter("graph_version__graph_id", help_text="Only runs of this graph.")


class NodeExecutionFilter(filters.FilterSet):
    """Node executions by their node and how they stand."""

    node_id = filters.UUIDFilter(help_text="Only those of this node.")
    status = filters.MultipleChoiceFilter(
        choices=[(name, name) for name in NODE_STATUS_NAMES],
        method="keep_status",
        help_text="Only those with this status; give it several times for several.",
    )

    class Meta:
        model = NodeExecution
        fields: list[str] = []

    def keep_status(
        self, found: QuerySet[NodeExecution], _name: str, wanted: Collection[str]
    ) -> QuerySet[NodeExecution]:
        """Keep those that are shown with one of these statuses: SUSPENDED is shown as RUNNING."""
        if not wanted:
            return found
        kept = set(wanted) | ({Status.SUSPENDED.value} if Status.RUNNING in wanted else set())
        return found.filter(status__in=kept)
