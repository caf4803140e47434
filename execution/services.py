"""What a user can do with runs."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypedDict, TypeVar, Unpack
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from credits.metering import require_funds
from execution.exceptions import ExecutionNotFoundError, MasksInvalidError, ReplayInvalidError, ReviewDecidedError
from execution.large_values import Kept, ValueWriter, read_all, read_masks
from execution.models import Execution, OnError, OnInsufficientCredits, Review
from execution.planning import GraphPlan, load_plan, plan_version
from execution.run_files import FilesOfRun
from execution.simulation import complete_inputs
from execution.store.replaying import Origin, start_replay
from execution.store.resuming import resume_run
from execution.store.runs import wake
from execution.store.starting import Order, Started, check_inputs, start_runs
from execution.store.stopping import Receipt, stop_runs
from execution.store.waits import decide
from execution.tasks import revoke, send
from execution.values import to_json_value
from graphs.models import GraphVersion
from graphs.services import check_runnable, get_version

T = TypeVar("T")

Masks = Mapping[str, Mapping[str, Any]]

DECIDED: Final = "This was decided before, or its run has ended."


class Wishes(TypedDict, total=False):
    """What a run may be started with besides its graph.

    `nodes_input_masks` is {node id: {pin: value}}; for `mocks` see `execution.simulation.find_mock`. A simulated run
    gets samples for inputs that have no value; they stand in its `input_data`. `max_duration` (seconds) and `on_error`
    are for this run instead of what its graph asks; `max_cost` (credits) is for it and its sub-runs together.
    `preset_id` and `schedule_id` say what starts it; who names a schedule holds its row, which keeps the graph.
    """

    nodes_input_masks: Masks | None
    simulate: bool
    mocks: Mapping[str, Any] | None
    max_duration: float | None
    on_error: OnError | None
    max_cost: int | None
    on_insufficient_credits: OnInsufficientCredits
    preset_id: UUID | None
    schedule_id: UUID | None


def start_execution(
    *, user: AbstractBaseUser, version: GraphVersion, input_data: Mapping[str, Any], **wishes: Unpack[Wishes]
) -> Execution:
    """Do as `accept_execution`, and return the run."""
    key = accept_execution(user=user, version=version, input_data=input_data, **wishes)
    return Execution.objects.get(pk=key)


def accept_execution(
    *, user: AbstractBaseUser, version: GraphVersion, input_data: Mapping[str, Any], **wishes: Unpack[Wishes]
) -> UUID:
    """Accept a run: check the graph, write the run and its first node executions, and send them; return its id.

    Raises `GraphInvalidError` with every problem, `InputsUnknownError`, `MasksInvalidError` and, unless it is
    simulated, `FundsLackingError`.
    """
    simulate = wishes.get("simulate", False)
    check_start(version=version, nodes_input_masks=wishes.get("nodes_input_masks"), simulate=simulate)
    if not simulate:
        require_funds(int(user.pk))
    (started,) = start_ordered([make_order(user=user, version=version, input_data=input_data, **wishes)])
    return started.execution_id


def check_start(*, version: GraphVersion, nodes_input_masks: Masks | None = None, simulate: bool = False) -> None:
    """Raise `GraphInvalidError` or `MasksInvalidError` if no run of the version with these masks could start."""
    check_runnable(version=version, masks=_masked_pins(nodes_input_masks or {}), simulate=simulate)


def make_order(
    *, user: AbstractBaseUser, version: GraphVersion, input_data: Mapping[str, Any], **wishes: Unpack[Wishes]
) -> Order:
    """Return a run that `check_start` has found nothing against as an order for `start_ordered`.

    Raises `InputsUnknownError`.
    """
    graph = plan_version(version)
    masks, mocks = wishes.get("nodes_input_masks") or {}, wishes.get("mocks") or {}
    simulate = wishes.get("simulate", False)
    inputs = {name: to_json_value(value) for name, value in input_data.items()}
    check_inputs(graph, inputs)
    return Order(
        user_id=user.pk,
        graph=graph,
        input_data=complete_inputs(graph, inputs, masks=masks, mocks=mocks) if simulate else inputs,
        masks=to_json_value(masks),
        simulate=simulate,
        mocks=to_json_value(mocks),
        max_duration=wishes.get("max_duration"),
        on_error=wishes.get("on_error"),
        max_cost=wishes.get("max_cost"),
        on_insufficient_credits=wishes.get("on_insufficient_credits", OnInsufficientCredits.FAIL),
        preset_id=wishes.get("preset_id"),
        schedule_id=wishes.get("schedule_id"),
    )


def start_ordered(orders: Sequence[Order]) -> list[Started]:
    """Write runs and their first node executions, all or none, and send them after the commit."""
    started = start_runs(orders)
    ready = [each for run in started for each in run.ready]
    transaction.on_commit(lambda: send(ready))
    return started


def _masked_pins(masks: Masks) -> dict[UUID, set[str]]:
    """Return the masks by node; raises `MasksInvalidError` for a key that is no node id."""
    try:
        return {UUID(node_id): set(pins) for node_id, pins in masks.items()}
    except (ValueError, AttributeError, TypeError):
        raise MasksInvalidError("nodes_input_masks must be {node id: {pin: value}}.") from None


def stop_execution(*, execution_id: UUID) -> Receipt:
    """Stop a run and every run below it, for good: when this returns, nothing of them starts or is recorded any more.

    Blocks that are running end soon after. A run that has ended stays as it is; the receipt says so. Raises
    `ExecutionNotFoundError`.
    """
    receipts = stop_executions(execution_ids=[execution_id])
    if not receipts:
        raise ExecutionNotFoundError(f"There is no execution {execution_id}.")
    return receipts[0]


def stop_executions(*, execution_ids: Collection[UUID]) -> list[Receipt]:
    """Stop several runs together, as `stop_execution` does; return a receipt for each that there is.

    In a transaction that does other things with runs, call it once and last (see `execution.store.trees`).
    """
    receipts = stop_runs(execution_ids)
    for receipt in receipts:
        transaction.on_commit(lambda each=receipt: send(each.ready))  # type: ignore[misc]
        transaction.on_commit(lambda each=receipt: revoke(each.queued))  # type: ignore[misc]
    return receipts


def resume_execution(*, execution_id: UUID) -> Execution:
    """Let a run that ended FAILED or TERMINATED go on where it was cut off; one that goes on already is left alone.

    Raises `ExecutionNotFoundError`, `ExecutionNotResumableError` and `FundsLackingError`.
    """
    going_on = Execution.objects.filter(pk=execution_id, simulate=False, status__in=["FAILED", "TERMINATED"])
    payer = going_on.values_list("user_id", flat=True).first()
    if payer is not None:
        require_funds(payer)
    ready = resume_run(execution_id)
    if ready is None:
        raise ExecutionNotFoundError(f"There is no execution {execution_id}.")
    transaction.on_commit(lambda: send(ready))
    return Execution.objects.get(pk=execution_id)


def replay_execution(*, execution_id: UUID, node_execution_id: UUID, version: int | None = None) -> Execution:
    """Start a new run that repeats one that has ended from a node execution on, and reuses the outputs before it.

    `version`: the version of the graph, which may be newer than the run's; the run's, unless it is given.
    Raises `ExecutionNotFoundError`, `ExecutionNotReplayableError`, `ReplayInvalidError`, `GraphNotFoundError`, and
    what `start_execution` raises.
    """
    origin = Execution.objects.select_related("graph_version", "user").filter(pk=execution_id).first()
    if origin is None:
        raise ExecutionNotFoundError(f"There is no execution {execution_id}.")
    old = origin.graph_version
    wanted = get_version(user=origin.user, graph_id=old.graph_id, version=old.version if version is None else version)
    if wanted.version < old.version:
        raise ReplayInvalidError(f"The run is one of version {old.version}: version {wanted.version} is older.")
    graph, old_graph = load_plan(wanted.pk), load_plan(old.pk)
    nodes = {str(key) for key in graph.plan.nodes}
    masks = read_masks({key: mask for key, mask in origin.nodes_input_masks.items() if key in nodes})
    check_runnable(version=wanted, masks=_masked_pins(masks), simulate=origin.simulate)
    inputs = read_all({name: form for name, form in origin.input_data.items() if name in graph.input_nodes()})
    mocks = read_all(origin.mocks)
    if not origin.simulate:
        require_funds(origin.user_id)
    order = Order(
        user_id=origin.user_id,
        graph=graph,
        input_data=complete_inputs(graph, inputs, masks=masks, mocks=mocks) if origin.simulate else inputs,
        masks=masks,
        simulate=origin.simulate,
        mocks=mocks,
        max_duration=_unless_of_graph(origin.max_duration, old_graph, "max_duration"),
        on_error=_unless_of_graph(OnError(origin.on_error), old_graph, "on_error"),
        max_cost=origin.max_cost,
        on_insufficient_credits=origin.on_insufficient_credits,
    )
    started = start_replay(
        order, Origin(execution_id=execution_id, node_execution_id=node_execution_id, graph=old_graph)
    )
    transaction.on_commit(lambda: send(started.ready))
    return Execution.objects.get(pk=started.execution_id)


def _unless_of_graph(asked: T, graph: GraphPlan, setting: str) -> T | None:
    """Return what a run was asked for, unless its graph asks for that: then a newer version has the say."""
    return None if asked == graph.settings.get(setting) else asked


def decide_review(*, user: AbstractBaseUser, review: Review, approved: bool, data: Any, message: str = "") -> Review:
    """Answer what a node execution asks a person; it goes on. Raises `ReviewDecidedError`.

    `data` as the person left it; what the row has (`Kept(review.data)`) is unchanged, and all is unless it is editable.
    """
    if review.approved is not None:
        raise ReviewDecidedError(DECIDED)
    run = review.node_execution.execution
    form = data if isinstance(data, Kept) else Kept(review.data) if not review.editable else to_json_value(data)
    # What is large takes its time: not while the run is locked.
    text = ValueWriter(FilesOfRun(user_id=str(run.user_id), execution_id=run.pk)).write(form)
    with transaction.atomic():
        waiting_id: UUID | None = decide(review.pk, user_id=user.pk, approved=approved, data=text, message=message)
        ready = wake([waiting_id]) if waiting_id else []
        if not ready:
            transaction.set_rollback(True)
            raise ReviewDecidedError(DECIDED)
    transaction.on_commit(lambda: send(ready))
    review.refresh_from_db()
    return review
