"""Watching a run while it runs: what changed since the last look, and a wait that ends when the run does."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from psycopg import Connection

from execution.engine.statuses import ENDED, Status
from execution.models import Execution, NodeExecution, Output
from execution.planning import load_plan
from execution.store.sessions import open_session
from execution.store.trees import ENDED_CHANNEL
from graphs.blocks.contract import ERROR_PIN

# An end gets its time before it is committed: so much later it may still appear.
LATE_COMMIT: Final = timedelta(seconds=10)
MAX_ACTIVE: Final = 200

_ASKED_OF_RUNS: Final = (
    *("graph_version_id", "depth", "status", "event_number"),
    *("node_count", "node_error_count", "unfinished"),
)
_ASKED_OF_NODES: Final = ("execution_id", "node_id", "status", "opened_at", "started_at", "ended_at")
_ACTIVE: Final = (Status.RUNNING, Status.SUSPENDED, Status.REVIEW)


@dataclass(frozen=True, kw_only=True)
class NodeChange:
    """How a node execution stands now. `depth` counts the sub-runs that it stands in; `seconds` it has taken so far."""

    id: UUID
    name: str
    status: Status
    seconds: float
    depth: int
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How a run and its sub-runs stand, and the node executions that were not so at the last look."""

    status: Status
    ended: int
    errors: int
    unfinished: int
    changes: tuple[NodeChange, ...]

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in ENDED


class RunWatch:
    """Looks at one run again and again. Use it in a `with` block; it holds a database session of its own."""

    def __init__(self, execution_id: UUID) -> None:
        self._id = execution_id
        self._shown: dict[UUID, Status] = {}
        self._events = -1
        self._ended_until: datetime | None = None
        self._session: Connection[Any] | None = None

    def __enter__(self) -> "RunWatch":
        self._session = open_session()
        self._session.execute(f"LISTEN {ENDED_CHANNEL}")
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            self._session.close()

    def wait(self, seconds: float) -> None:
        """Wait until the run ends, at most `seconds`."""
        if self._session is None:
            raise RuntimeError("A watch is used in a `with` block.")
        for notice in self._session.notifies(timeout=seconds):
            if notice.payload == str(self._id):
                return

    def look(self) -> Progress:
        """Return how the run stands, and what changed since the last look."""
        tree = list(Execution.objects.filter(Q(pk=self._id) | Q(root=self._id)).only(*_ASKED_OF_RUNS).order_by("pk"))
        runs = {run.pk: run for run in tree}
        status = Status(runs[self._id].status)
        events = sum(run.event_number for run in tree)
        rows = self._find_active(runs)
        if events != self._events:
            rows += self._find_ended(runs, since=None if status in ENDED else self._ended_until)
        self._events = events
        return Progress(
            status=status,
            ended=sum(run.node_count for run in tree),
            errors=sum(run.node_error_count for run in tree),
            unfinished=sum(run.unfinished for run in tree),
            changes=tuple(self._take_changes(rows, runs)),
        )

    def _find_active(self, runs: Mapping[UUID, Execution]) -> list[NodeExecution]:
        found = NodeExecution.objects.filter(execution__in=list(runs), status__in=_ACTIVE)
        return list(found.only(*_ASKED_OF_NODES).order_by("pk")[:MAX_ACTIVE])

    def _find_ended(self, runs: Mapping[UUID, Execution], *, since: datetime | None) -> list[NodeExecution]:
        found = NodeExecution.objects.filter(execution__in=list(runs), ended_at__isnull=False, started_at__isnull=False)
        if since is not None:
            found = found.filter(ended_at__gt=since - LATE_COMMIT)
        rows = list(found.only(*_ASKED_OF_NODES).order_by("ended_at", "pk"))
        if rows:
            self._ended_until = rows[-1].ended_at
        return rows

    def _take_changes(self, rows: Iterable[NodeExecution], runs: Mapping[UUID, Execution]) -> list[NodeChange]:
        changed = [row for row in rows if self._shown.get(row.pk) != row.status]
        self._shown.update({row.pk: Status(row.status) for row in changed})
        errors = _find_errors(row.pk for row in changed if row.status == Status.FAILED)
        return [_describe(row, runs[row.execution_id], error=errors.get(row.pk, "")) for row in changed]


def _find_errors(node_execution_ids: Iterable[UUID]) -> dict[UUID, str]:
    rows = Output.objects.filter(node_execution__in=list(node_execution_ids), pin=ERROR_PIN)
    return {key: str(value) for key, value in rows.values_list("node_execution_id", "value")}


def _describe(row: NodeExecution, run: Execution, *, error: str) -> NodeChange:
    node = load_plan(run.graph_version_id).plan.nodes.get(row.node_id)
    took = (row.ended_at or timezone.now()) - (row.started_at or row.opened_at)
    return NodeChange(
        id=row.pk,
        name=node.name if node else str(row.node_id),
        status=Status(row.status),
        seconds=max(0.0, took.total_seconds()),
        depth=run.depth,
        error=error,
    )
