"""From rows to what users see of their runs.

Two things are shown otherwise than they are kept: SUSPENDED is nobody's business and shown as RUNNING, and a run that
nothing but people's decisions keep from going on is shown as REVIEW.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, Protocol, cast
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    Case,
    CharField,
    F,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Value,
    When,
)
from django.db.models.functions import Cast, Concat, Left
from django.utils import timezone

from execution.bounds import PAGE, SINGLE, Allowance, Bounds, Hidden, bound_values, measure_text, read_value
from execution.engine.plan import PlanNode
from execution.engine.statuses import ENDED, Status
from execution.exceptions import ExecutionNotFoundError, ReviewNotFoundError
from execution.large_values import read
from execution.measures import Measured, with_measures
from execution.models import Execution, NodeExecution, NodeInput, Output, PastAttempt, Review, RunOutput
from execution.planning import GraphPlan, load_plan
from graphs.blocks.contract import ERROR_PIN

MAX_SHOWN_OUTPUTS: Final = 10_000
"""Outputs of a run that one answer shows; `output_count` tells how many there are."""


# Of the rest, times above all take as long to read as they would to be shown.
_SHOWN_COLUMNS: Final = (
    *("execution_id", "node_id", "ordinal", "status", "output_count", "attempt", "losses", "worker", "reused_from"),
    *("wake_at", "opened_at", "queued_at", "started_at", "ended_at", "walltime", "cputime"),
)


class _Read(Protocol):
    """What `find_node_executions` adds to a node execution."""

    inputs_size: int
    shown_inputs: dict[str, Any] | None
    shown_log: str
    sub_runs: list[UUID]
    read_outputs: list[Output]
    read_inputs: list[NodeInput]


def find_runs(*, user_id: int, graph_id: UUID | None = None) -> QuerySet[Execution]:
    """Return a user's runs, newest first: those of one graph, or those that the user has started (no sub-runs).

    Read only keys from it, and with them `read_runs`.
    """
    runs = Execution.objects.filter(user_id=user_id)
    return runs.filter(parent__isnull=True) if graph_id is None else runs.filter(graph_version__graph_id=graph_id)


def read_runs(keys: Collection[UUID]) -> QuerySet[Execution]:
    """Return the runs of a page, newest first, with what `with_measures` adds and without what may be large."""
    runs = with_measures(Execution.objects.filter(pk__in=keys)).order_by("-id")
    return runs.defer("input_data", "nodes_input_masks", "mocks", "warnings")


def get_run(*, execution_id: UUID, user_id: int | None = None, graph_id: UUID | None = None) -> Execution:
    """Return a run, with what `with_measures` adds; of this user and graph, if they are given.

    Raises `ExecutionNotFoundError`.
    """
    runs = Execution.objects.filter(pk=execution_id)
    if user_id is not None:
        runs = runs.filter(user_id=user_id)
    if graph_id is not None:
        runs = runs.filter(graph_version__graph_id=graph_id)
    return _get(with_measures(runs), execution_id)


def get_run_of_node_executions(*, execution_id: UUID, user_id: int, graph_id: UUID) -> Execution:
    """Return no more of a run than its node executions are shown with. Raises `ExecutionNotFoundError`."""
    runs = Execution.objects.filter(pk=execution_id, user_id=user_id, graph_version__graph_id=graph_id)
    return _get(runs.select_related("graph_version").only("nodes_input_masks", "graph_version__graph"), execution_id)


def _get(runs: QuerySet[Execution], execution_id: UUID) -> Execution:
    run = runs.first()
    if run is None:
        raise ExecutionNotFoundError(f"There is no execution {execution_id}.")
    return run


def show_status(status: str) -> Status:
    """Return the status of a node execution as users see it."""
    return Status.RUNNING if status == Status.SUSPENDED else Status(status)


def show_run_status(run: Execution) -> Status:
    """Return the status of a run (from `with_measures`) as users see it."""
    measured = cast(Measured, run)
    if run.status not in ENDED and measured.needs_person and not measured.is_busy:
        return Status.REVIEW
    return show_status(run.status)


def find_outputs(run: Execution, *, limit: int | None = MAX_SHOWN_OUTPUTS) -> dict[str, list[Any]]:
    """Return the outputs of a run: {name: [values]}, each name's in the order in which they left."""
    outputs: dict[str, list[Any]] = {}
    rows = RunOutput.objects.filter(execution=run).order_by("position").values_list("name", "value")
    for name, value in rows[:limit]:
        outputs.setdefault(name, []).append(read(value))
    return outputs


def show_outputs(run: Execution, *, limit: int = MAX_SHOWN_OUTPUTS) -> dict[str, list[Any]]:
    """Return the outputs of a run as `find_outputs` does, with `Hidden` in place of what an answer has no room for."""
    outputs: dict[str, list[Any]] = {}
    rows = bound_values(RunOutput.objects.filter(execution=run), SINGLE, order=["position"])
    allowance = Allowance(bounds=SINGLE)
    for row in rows[:limit]:
        outputs.setdefault(row.name, []).append(read_value(row, allowance))
    return outputs


def find_node_executions(run: Execution, *, bounds: Bounds = PAGE) -> QuerySet[NodeExecution]:
    """Return the node executions of a run, oldest first, with all that is shown of them. Four queries.

    What is beyond the bounds is not read: ask the functions below for their values.
    """
    shown = Q(position__lt=bounds.outputs) | Q(pin=ERROR_PIN)
    emitted = Output.objects.filter(shown).defer("recorded_at")
    outputs = bound_values(emitted, bounds, order=["node_execution_id", "position"])
    inputs = bound_values(NodeInput.objects.all(), bounds, order=["node_execution_id", "pin"])
    return (
        NodeExecution.objects.filter(execution=run)
        .order_by("id")
        .only(*_SHOWN_COLUMNS)
        .annotate(
            inputs_size=measure_text("inputs"),
            shown_inputs=Case(When(inputs_size__lte=bounds.value, then=F("inputs"))),
            shown_log=Left("log", bounds.value),
            sub_runs=ArraySubquery(Execution.objects.filter(parent=OuterRef("pk")).order_by("id").values("id")),
        )
        .prefetch_related(
            # Into lists: Django would make a query set for each row and relation, half of the time of a page.
            Prefetch("outputs", outputs, to_attr="read_outputs"),
            Prefetch("later_inputs", inputs, to_attr="read_inputs"),
            Prefetch("past_attempts", PastAttempt.objects.order_by("id"), to_attr="read_attempts"),
        )
    )


def get_node_execution(*, run: Execution, node_execution_id: UUID) -> NodeExecution:
    """Return a node execution of a run with its values whole. Raises `ExecutionNotFoundError`."""
    found = find_node_executions(run, bounds=SINGLE).filter(pk=node_execution_id).first()
    if found is None:
        raise ExecutionNotFoundError(f"The execution {run.pk} has no node execution {node_execution_id}.")
    return found


def gather_inputs(
    node_execution: NodeExecution, *, plan: GraphPlan, masks: dict[str, Any], allowance: Allowance
) -> dict[str, Any]:
    """Return what a node execution works with: constants, overlaid by what links delivered, overlaid by its mask.

    `Hidden` stands for what there is no room for.
    """
    node = plan.plan.nodes.get(node_execution.node_id)
    later = {each.pin: read_value(each, allowance) for each in cast(_Read, node_execution).read_inputs}
    mask = {pin: allowance.read(form) for pin, form in (masks.get(str(node_execution.node_id)) or {}).items()}
    constants = node.input_default if node else {}
    opening = {pin: allowance.read(form) for pin, form in _read_opening_inputs(node_execution, node).items()}
    inputs = {**constants, **opening, **later, **mask}
    return {pin: allowance.admit(value) for pin, value in inputs.items()}


def _read_opening_inputs(node_execution: NodeExecution, node: PlanNode | None) -> dict[str, Any]:
    """Return what it was opened with; if that is too large, which pins it may have come for, as the graph says."""
    read = cast(_Read, node_execution)
    if read.shown_inputs is not None:
        return read.shown_inputs
    pins = node.connected | ({"value"} if node.is_input else set()) if node else {"?"}
    return dict.fromkeys(sorted(pins), Hidden(read.inputs_size))


def gather_outputs(node_execution: NodeExecution, *, allowance: Allowance | None = None) -> dict[str, list[Any]]:
    """Return what a node execution emitted: {pin: [values]}, with `Hidden` for what there is no room for.

    `allowance` is for values that lie in the storage.
    """
    outputs: dict[str, list[Any]] = {}
    allowance = allowance or Allowance(bounds=PAGE)
    for output in cast(_Read, node_execution).read_outputs:
        outputs.setdefault(output.pin, []).append(read_value(output, allowance))
    return outputs


def read_log(node_execution: NodeExecution, *, allowance: Allowance) -> str:
    """Return the beginning of its log, as much as there is room for."""
    log = allowance.admit(cast(_Read, node_execution).shown_log)
    return f"({log.bytes:,} bytes)" if isinstance(log, Hidden) else str(log)


def find_error(node_execution: NodeExecution) -> str | None:
    """Return why a node execution failed, if it did."""
    errors = gather_outputs(node_execution).get(ERROR_PIN)
    if not errors:
        return None
    return f"(an error of {errors[0].bytes:,} bytes)" if isinstance(errors[0], Hidden) else str(errors[0])


def find_reviews(*, user_id: int) -> QuerySet[Review]:
    """Return what a user's runs ask people; sorted by `rank`, backwards, the undecided ones come first."""
    waits = Q(approved__isnull=True, node_execution__status=Status.REVIEW)
    rank = Concat(Case(When(waits, then=Value("1 ")), default=Value("0 ")), Cast("id", CharField()))
    reviews = Review.objects.filter(node_execution__execution__user_id=user_id).annotate(rank=rank)
    return reviews.select_related("node_execution__execution__graph_version")


def get_review(*, review_id: UUID, user_id: int) -> Review:
    """Return a question that a user's run asked. Raises `ReviewNotFoundError`."""
    review = find_reviews(user_id=user_id).filter(pk=review_id).first()
    if review is None:
        raise ReviewNotFoundError(f"There is no review {review_id}.")
    return review


def find_open_reviews(execution_id: UUID) -> QuerySet[Review]:
    """Return what a run and its sub-runs wait to be told by a person."""
    of_tree = Q(node_execution__execution=execution_id) | Q(node_execution__execution__root=execution_id)
    return Review.objects.filter(of_tree, approved__isnull=True, node_execution__status=Status.REVIEW).order_by("id")


def measure(run: Execution) -> dict[str, Any]:
    """Return the stats of a run (from `with_measures`): times in seconds, cost in credits."""
    return {
        "cost": run.cost + int(cast(Measured, run).below_cost),
        "walltime": _seconds(run.started_at, run.ended_at),
        "cputime": run.nodes_cputime + cast(Measured, run).below_cputime,
        "nodes_walltime": run.nodes_walltime,
        "nodes_cputime": run.nodes_cputime,
        "node_count": run.node_count,
        "node_error_count": run.node_error_count,
        "error": run.error or None,
        "activity_status": describe_activity(run),
    }


def describe_activity(run: Execution) -> str:
    """Say in one sentence how a run (from `with_measures`) stands."""
    name = f"“{run.graph_version.name}”"
    took = f"{_seconds(run.started_at, run.ended_at):.1f} s"
    status = show_run_status(run)
    if status is Status.QUEUED:
        return f"{name} waits for a worker."
    if status is Status.REVIEW:
        return f"{name} waits for a person's decision."
    if status is Status.COMPLETED:
        failed = f", {run.node_error_count} of them failed" if run.node_error_count else ""
        return (
            f"{name} completed in {took} with {_count(run.output_count, 'output')}:"
            f" {_count(run.node_count, 'node execution')}{failed}."
        )
    if status is Status.FAILED:
        return f"{name} failed after {took}: {_close(run.error)}"
    if status is Status.TERMINATED:
        return f"{name} was stopped after {took}."
    return f"{name} runs: {_count(run.node_count, 'node execution')} ended, {run.unfinished} under way."


def describe_version(run: Execution) -> GraphPlan:
    """Return the plan of a run's graph: what its nodes are called. Kept in memory."""
    return load_plan(run.graph_version_id)


def _seconds(start: datetime | None, end: datetime | None) -> float:
    """Return how long it has taken so far."""
    return 0.0 if start is None else max(0.0, ((end or timezone.now()) - start).total_seconds())


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _close(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence or 'no reason given'}."
