"""What a user can do with runs."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from execution.exceptions import ExecutionNotFoundError, MasksInvalidError, ReviewDecidedError
from execution.models import Execution, OnError, Review
from execution.planning import load_plan
from execution.simulation import complete_inputs
from execution.store.resuming import resume_run
from execution.store.runs import wake
from execution.store.starting import Order, start_run
from execution.store.stopping import Receipt, stop_run
from execution.store.waits import decide
from execution.tasks import revoke, send
from execution.values import to_json_value
from graphs.blocks.contract import Decision
from graphs.models import GraphVersion
from graphs.services import check_runnable

Masks = Mapping[str, Mapping[str, Any]]


def start_execution(
    *,
    user: AbstractBaseUser,
    version: GraphVersion,
    input_data: Mapping[str, Any],
    nodes_input_masks: Masks | None = None,
    simulate: bool = False,
    mocks: Mapping[str, Any] | None = None,
    max_duration: float | None = None,
    on_error: OnError | None = None,
) -> Execution:
    """Accept a run: check the graph, write the run and its first node executions, and send them.

    `nodes_input_masks` is {node id: {pin: value}}; for `mocks` see `execution.simulation.find_mock`. A simulated run
    gets samples for inputs that have no value; they stand in its `input_data`.
    `max_duration` (seconds) and `on_error` are for this run instead of what its graph asks.
    Raises `GraphInvalidError` with every problem, `InputsUnknownError` and `MasksInvalidError`.
    """
    masks = nodes_input_masks or {}
    mocks = mocks or {}
    check_runnable(version=version, masks=_masked_pins(masks), simulate=simulate)
    graph = load_plan(version.pk)
    inputs = {name: to_json_value(value) for name, value in input_data.items()}
    order = Order(
        user_id=user.pk,
        graph=graph,
        input_data=complete_inputs(graph, inputs, masks=masks, mocks=mocks) if simulate else inputs,
        masks=to_json_value(masks),
        simulate=simulate,
        mocks=to_json_value(mocks),
        max_duration=max_duration,
        on_error=on_error,
    )
    started = start_run(order)
    transaction.on_commit(lambda: send(started.ready))
    return Execution.objects.get(pk=started.execution_id)


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
    receipt = stop_run(execution_id)
    if receipt is None:
        raise ExecutionNotFoundError(f"There is no execution {execution_id}.")
    transaction.on_commit(lambda: send(receipt.ready))
    transaction.on_commit(lambda: revoke(receipt.queued))
    return receipt


def resume_execution(*, execution_id: UUID) -> Execution:
    """Let a run that ended FAILED or TERMINATED go on where it was cut off; one that goes on already is left alone.

    Raises `ExecutionNotFoundError` and `ExecutionNotResumableError`.
    """
    ready = resume_run(execution_id)
    if ready is None:
        raise ExecutionNotFoundError(f"There is no execution {execution_id}.")
    transaction.on_commit(lambda: send(ready))
    return Execution.objects.get(pk=execution_id)


def decide_review(*, user: AbstractBaseUser, review: Review, approved: bool, data: Any, message: str = "") -> Review:
    """Answer what a node execution asks a person; it goes on. Raises `ReviewDecidedError`."""
    if not review.editable:
        data = review.data
    decision = Decision(approved=approved, data=to_json_value(data), message=message)
    with transaction.atomic():
        waiting_id: UUID | None = decide(review.pk, user_id=user.pk, decision=decision)
        ready = wake([waiting_id]) if waiting_id else []
        if not ready:
            transaction.set_rollback(True)
            raise ReviewDecidedError("This was decided before, or its run has ended.")
    transaction.on_commit(lambda: send(ready))
    review.refresh_from_db()
    return review
