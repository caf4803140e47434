"""Making a run: its row and its first node executions, in one transaction."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from execution.engine.dataflow import start
from execution.engine.statuses import ENDED, Status
from execution.exceptions import InputsUnknownError
from execution.large_values import ValueWriter
from execution.models import OnError, OnInsufficientCredits
from execution.planning import GraphPlan
from execution.run_files import FilesOfRun
from execution.store.admission import find_places
from execution.store.batches import Answer, Batch, one_transaction
from execution.store.flow import write_deliveries
from execution.store.ready import Ready
from execution.store.round_trips import Prepared
from execution.store.runs import LockedRun, save_run
from graphs.exceptions import GraphNotFoundError
from graphs.models import new_id


@dataclass(frozen=True, kw_only=True)
class Order:
    """What somebody wants to be run. `masks` maps node ids to {pin: value}; see `Execution` for the rest.

    `id` is what the run will be called: its files may be there before it.
    `max_duration` (seconds) and `on_error` are for this run instead of what its graph asks.
    Who orders a run for a schedule holds the schedule's row, which whoever deletes the graph locks before it goes.
    """

    user_id: int
    graph: GraphPlan
    input_data: Mapping[str, Any]
    id: UUID = field(default_factory=new_id)
    masks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    simulate: bool = False
    mocks: Mapping[str, Any] = field(default_factory=dict)
    parent_id: UUID | None = None
    parent_wait: int = 0
    root_id: UUID | None = None
    depth: int = 0
    max_duration: float | None = None
    on_error: OnError | None = None
    max_cost: int | None = None
    on_insufficient_credits: str = OnInsufficientCredits.FAIL
    preset_id: UUID | None = None
    schedule_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Started:
    """A run that has been accepted, and the node executions to send."""

    execution_id: UUID
    ready: tuple[Ready, ...]
    has_ended: bool


@dataclass(frozen=True, kw_only=True)
class Written:
    """The values of an order as the run's row has them, and who has written them and writes the run's others."""

    inputs: str
    masks: str
    mocks: str
    writer: ValueWriter


def write_values(order: Order, *, writer: ValueWriter | None = None) -> Written:
    """Write what a run is given. Raises whatever the storage raises."""
    writer = writer or ValueWriter(FilesOfRun(user_id=str(order.user_id), execution_id=order.id))
    return Written(
        inputs=writer.write_all(order.input_data),
        masks=writer.write_masks(order.masks),
        mocks=writer.write_all(order.mocks),
        writer=writer,
    )


InputsOf = Mapping[UUID, Mapping[str, Any]]


def open_starting_nodes(run: LockedRun, inputs_of: InputsOf) -> None:
    """Begin a run with the executions of its starting nodes; `inputs_of` is what its INPUT nodes get."""
    write_deliveries(run, start(run.graph.plan, inputs_of=inputs_of, masks=run.masks), {})


Begin = Callable[[LockedRun, InputsOf], None]


def start_run(order: Order, *, begin: Begin = open_starting_nodes, written: Written | None = None) -> Started:
    """Create a run and what it begins with; see `start_runs`."""
    (started,) = start_runs([order], begin=begin, written=[written] if written else None)
    return started


def start_runs(
    orders: Sequence[Order], *, begin: Begin = open_starting_nodes, written: Sequence[Written] | None = None
) -> list[Started]:
    """Create runs and what they begin with, all or none.

    Raises `InputsUnknownError`, and `GraphNotFoundError` if a graph was deleted meanwhile. However many they are, it
    takes two round trips, unless one of them ends at once. Whoever holds locks has `written` their values before.
    """
    inputs = [place_inputs(order) for order in orders]
    # What goes to the storage takes its time: not while others wait.
    written = written or [write_values(order) for order in orders]
    with one_transaction() as batch:
        below = _keep(batch, _KEEP_GRAPHS_BELOW, [order for order in orders if order.parent_id is not None])
        runs = []
        for order, inputs_of, values, admitted in zip(orders, inputs, written, _admit(batch, orders), strict=True):
            run = _insert(batch, order, values, admitted=admitted)
            begin(run, inputs_of)
            # What a sub-run begins with is sent by whoever has started it, last.
            if run.admitted and run.holds_back and run.parent_id is None:
                run.release_next()
            save_run(run)
            runs.append(run)
        _check_kept(below)
    return [Started(execution_id=run.id, ready=run.all_ready(), has_ended=run.status in ENDED) for run in runs]


_KEEP: Final = """
SELECT v.id FROM graphs_graphversion v JOIN graphs_graph g ON g.id = v.graph_id
 WHERE v.id = ANY(%(versions)s) AND g.deleted_at IS NULL ORDER BY g.id FOR KEY SHARE OF g
"""
# Whoever deletes a graph waits until its run is there, to be stopped; and who comes behind them finds no graph.
KEEP_GRAPHS: Final = Prepared("keep_graphs", "versions uuid[]", _KEEP)
# Who starts a sub-run holds the run above it, for which whoever deletes a graph may wait: they don't wait for them.
_KEEP_GRAPHS_BELOW: Final = Prepared("keep_graphs_below", "versions uuid[]", _KEEP + " SKIP LOCKED")

# Versions, and which of them were found.
_Kept = tuple[set[UUID], Answer] | None


def _keep(batch: Batch, statement: Prepared, orders: Sequence[Order]) -> _Kept:
    versions = {order.graph.version_id for order in orders}
    return (versions, batch.ask(statement, {"versions": sorted(versions)})) if versions else None


def _check_kept(kept: _Kept) -> None:
    if kept is not None and {key for (key,) in kept[1].rows} != kept[0]:
        raise GraphNotFoundError("The graph was deleted meanwhile.")


def _admit(batch: Batch, orders: Sequence[Order]) -> list[bool]:
    """Keep the graphs of the runs, and return which of them may go on, the first ones first. Sub-runs always do.

    The graph of a schedule's run is kept by the schedule's row (see `Order`). Raises `GraphNotFoundError`.
    """
    on_top = [order for order in orders if order.parent_id is None]
    kept = _keep(batch, KEEP_GRAPHS, [order for order in on_top if order.schedule_id is None])
    users = {order.user_id for order in on_top}
    places = find_places(batch, user_ids=users) if users else {}
    _check_kept(kept)
    admitted = []
    for order in orders:
        if order.parent_id is None:
            places[order.user_id] -= 1
        admitted.append(order.parent_id is not None or places[order.user_id] >= 0)
    return admitted


def check_inputs(graph: GraphPlan, input_data: Mapping[str, Any]) -> None:
    """Raise `InputsUnknownError` if the graph has no INPUT node for one of the inputs."""
    named = graph.input_nodes()
    unknown = input_data.keys() - named.keys()
    if unknown:
        raise InputsUnknownError(unknown=unknown, known=named)


def place_inputs(order: Order) -> dict[UUID, dict[str, Any]]:
    """Return what the INPUT nodes get: the run's inputs by name become their `value`. Raises `InputsUnknownError`."""
    check_inputs(order.graph, order.input_data)
    named = order.graph.input_nodes()
    return {node.id: {"value": value} for name, value in order.input_data.items() for node in named[name]}


_INSERT = Prepared(
    "insert_run",
    "id uuid, user int, version uuid, admitted bool, inputs text, masks text, simulate bool, mocks text, on_error text,"
    " max_nodes int, max_duration float8, idle_limit float8, parent uuid, parent_wait int, root uuid, depth int,"
    " max_cost bigint, on_insufficient text, preset uuid, schedule uuid",
    """
INSERT INTO execution_execution (id, user_id, graph_version_id, status, admitted, input_data, nodes_input_masks,
       simulate, mocks, on_error, max_node_executions, max_duration, idle_limit, parent_id, parent_wait, root_id, depth,
       max_cost, on_insufficient_credits, preset_id, schedule_id,
       unfinished, opened, node_count, node_error_count, output_count, event_number, nodes_walltime, nodes_cputime,
       created_at, error, warnings)
VALUES (%(id)s, %(user)s, %(version)s, 'QUEUED', %(admitted)s, %(inputs)s::json,
       %(masks)s::json, %(simulate)s, %(mocks)s::json, %(on_error)s, %(max_nodes)s, %(max_duration)s, %(idle_limit)s,
       %(parent)s, %(parent_wait)s, %(root)s, %(depth)s, %(max_cost)s, %(on_insufficient)s,
       %(preset)s, %(schedule)s,
       0, 0, 0, 0, 0, 0, 0, 0, clock_timestamp(), '', '[]')
""",
)


def _insert(batch: Batch, order: Order, values: Written, *, admitted: bool) -> LockedRun:
    asked = order.graph.settings
    limit = asked.get("max_node_executions") or settings.MAX_NODE_EXECUTIONS_PER_RUN
    on_error = order.on_error or asked.get("on_error") or OnError.CONTINUE
    batch.ask(
        _INSERT,
        {
            "id": order.id,
            "user": order.user_id,
            "version": order.graph.version_id,
            "admitted": admitted,
            "inputs": values.inputs,
            "masks": values.masks,
            "simulate": order.simulate,
            "mocks": values.mocks,
            "on_error": on_error,
            "max_nodes": limit,
            "max_duration": order.max_duration or _read_seconds(asked.get("max_duration")),
            "idle_limit": _read_seconds(asked.get("idle_limit")),
            "parent": order.parent_id,
            "parent_wait": order.parent_wait,
            "root": order.root_id,
            "depth": order.depth,
            "max_cost": order.max_cost,
            "on_insufficient": order.on_insufficient_credits,
            "preset": order.preset_id,
            "schedule": order.schedule_id,
        },
    )
    # Nobody else knows of it: it needs no lock until the transaction ends.
    run = LockedRun(
        id=order.id,
        user_id=order.user_id,
        status=Status.QUEUED,
        admitted=admitted,
        graph=order.graph,
        nodes_input_masks=json.loads(values.masks),
        simulate=order.simulate,
        max_node_executions=limit,
        on_error=on_error,
        parent_id=order.parent_id,
        tree_id=order.root_id or order.id,
        unfinished=0,
        opened=0,
        output_count=0,
        resumptions=0,
        node_count=0,
        batch=batch,
    )
    run.writer = values.writer
    return run


def _read_seconds(asked: Any) -> float | None:
    """Return a graph's setting if it is a number of seconds; graphs come from anywhere."""
    is_number = isinstance(asked, int | float) and not isinstance(asked, bool)
    return float(asked) if is_number and asked > 0 else None
