"""Making a run: its row and its first node executions, in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from execution.engine.dataflow import start
from execution.engine.statuses import ENDED, Status
from execution.exceptions import InputsUnknownError
from execution.models import OnError
from execution.planning import GraphPlan
from execution.store.flow import write_deliveries
from execution.store.runs import LockedRun, Ready, lock_run, save_run
from execution.values import dump
from graphs.models import new_id


@dataclass(frozen=True, kw_only=True)
class Order:
    """What somebody wants to be run. `masks` maps node ids to {pin: value}; see `Execution` for the rest.

    `max_duration` (seconds) and `on_error` are for this run instead of what its graph asks.
    """

    user_id: int
    graph: GraphPlan
    input_data: Mapping[str, Any]
    masks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    simulate: bool = False
    mocks: Mapping[str, Any] = field(default_factory=dict)
    parent_id: UUID | None = None
    parent_wait: int = 0
    root_id: UUID | None = None
    depth: int = 0
    max_duration: float | None = None
    on_error: OnError | None = None


@dataclass(frozen=True, kw_only=True)
class Started:
    """A run that has been accepted, and the node executions to send."""

    execution_id: UUID
    ready: tuple[Ready, ...]
    has_ended: bool


def start_run(order: Order) -> Started:
    """Create a run and the executions of its starting nodes. Raises `InputsUnknownError`."""
    inputs_of = _place_inputs(order)
    execution_id = new_id()
    with transaction.atomic():
        _insert(order, execution_id)
        run = lock_run(execution_id)
        if run is None:
            raise LookupError(f"The run {execution_id} has vanished while it was made.")
        _open_starting_nodes(run, inputs_of)
        save_run(run)
    return Started(execution_id=execution_id, ready=tuple(run.ready), has_ended=run.status in ENDED)


def _place_inputs(order: Order) -> dict[UUID, dict[str, Any]]:
    """Return what the INPUT nodes get: the run's inputs by name become their `value`."""
    named = order.graph.input_nodes()
    unknown = order.input_data.keys() - named.keys()
    if unknown:
        raise InputsUnknownError(unknown=unknown, known=named)
    return {node.id: {"value": value} for name, value in order.input_data.items() for node in named[name]}


def _insert(order: Order, execution_id: UUID) -> None:
    asked = order.graph.settings
    limit = asked.get("max_node_executions") or settings.MAX_NODE_EXECUTIONS_PER_RUN
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO execution_execution (id, user_id, graph_version_id, status, input_data, nodes_input_masks,"
            " simulate, mocks, on_error, max_node_executions, max_duration, idle_limit, parent_id, parent_wait,"
            " root_id, depth, unfinished, opened, node_count, node_error_count, output_count, event_number,"
            " nodes_walltime, nodes_cputime, created_at, error, warnings)"
            " VALUES (%s, %s, %s, %s, %s::json, %s::json, %s, %s::json, %s, %s, %s, %s, %s, %s, %s, %s,"
            " 0, 0, 0, 0, 0, 0, 0, 0, clock_timestamp(), '', '[]')",
            [
                execution_id,
                order.user_id,
                order.graph.version_id,
                Status.QUEUED,
                dump(order.input_data),
                dump(order.masks),
                order.simulate,
                dump(order.mocks),
                order.on_error or asked.get("on_error") or OnError.CONTINUE,
                limit,
                order.max_duration or _read_seconds(asked.get("max_duration")),
                _read_seconds(asked.get("idle_limit")),
                order.parent_id,
                order.parent_wait,
                order.root_id,
                order.depth,
            ],
        )


def _read_seconds(asked: Any) -> float | None:
    """Return a graph's setting if it is a number of seconds; graphs come from anywhere."""
    is_number = isinstance(asked, int | float) and not isinstance(asked, bool)
    return float(asked) if is_number and asked > 0 else None


def _open_starting_nodes(run: LockedRun, inputs_of: Mapping[UUID, Mapping[str, Any]]) -> None:
    write_deliveries(run, start(run.graph.plan, inputs_of=inputs_of, masks=run.masks), {})
