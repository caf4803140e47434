"""Waits: what a block yields to go on later without holding a worker.

A node execution that was woken runs its block again from the start. The waits that it has been through are passed
at once, with the answer that came for them.
"""

from typing import Any, NoReturn
from uuid import UUID

from django.conf import settings

from execution.attempts import Attempt, ask_patiently
from execution.engine.samples import make_sample
from execution.engine.statuses import Status
from execution.exceptions import InputsUnknownError, SubRunFailedError
from execution.large_values import ValueWriter, read_all
from execution.planning import load_plan
from execution.preparation import Prepared
from execution.prices import take_up
from execution.run_files import FilesOfRun
from execution.simulation import complete_inputs
from execution.store.holding import note_need
from execution.store.parts import End
from execution.store.resuming import resume_sub_run
from execution.store.runs import LockedRun
from execution.store.starting import Order, check_inputs, start_run, write_values
from execution.store.suspending import Suspension, suspend
from execution.store.waits import SubRun, ask, find_sub_run, load_decision, load_run_outputs, still_waits_for
from execution.values import to_json_value
from graphs.blocks.contract import AskPerson, Decision, RunGraph, Sleep
from graphs.exceptions import BlockError, GraphNotFoundError
from graphs.models import GraphVersion

Wait = Sleep | AskPerson | RunGraph


class SubRunUnpaidError(BlockError):
    """A sub-run could not pay. That fails the run above it, too, up to the one that was started."""


class SuspendedError(Exception):
    """The node execution waits now; its attempt is over."""


class Waits:
    """The waits of one attempt, counted as the block yields them."""

    def __init__(self, attempt: Attempt, prepared: Prepared) -> None:
        self._attempt = attempt
        self._claimed = attempt.claimed
        self._prepared = prepared
        self._count = 0
        self._spent = End(status=Status.SUSPENDED)

    def pass_or_suspend(self, wait: Wait, *, spent: End) -> Any:
        """Return the answer to `wait` if it is there; else record the suspension and raise `SuspendedError`.

        `spent` is what the attempt took until now.
        """
        number = self._count
        self._count += 1
        self._spent = spent
        if self._count == self._claimed.waits:
            # Here it was when it suspended: from here on it tells what is new.
            take_up(self._attempt.usage, self._claimed.spent)
        if isinstance(wait, RunGraph):
            return self._run_graph(wait, number)
        if self._claimed.simulate:
            return Decision(approved=True, data=wait.data) if isinstance(wait, AskPerson) else None
        if isinstance(wait, Sleep):
            return None if number < self._claimed.waits else self._sleep(wait)
        decision = ask_patiently(lambda: load_decision(self._claimed, number))
        return decision if decision is not None else self._ask(wait)

    def _suspend(self, suspension: Suspension) -> NoReturn:
        self._attempt.suspend(
            lambda outputs, position, writer: suspend(
                self._claimed, outputs=outputs, position=position, writer=writer, suspension=suspension
            )
        )
        raise SuspendedError

    def _sleep(self, wait: Sleep) -> NoReturn:
        self._suspend(Suspension(waits=self._count, spent=self._spent, seconds=max(0.0, wait.seconds)))

    def _ask(self, wait: AskPerson) -> NoReturn:
        number = self._count - 1
        files = FilesOfRun(user_id=str(self._claimed.user_id), execution_id=self._claimed.execution_id)
        # What is large takes its time: not while the run is locked.
        data = ValueWriter(files).write(to_json_value(wait.data))

        def write(_run: LockedRun) -> bool:
            ask(self._claimed, wait, wait_number=number, data=data)
            return True

        self._suspend(Suspension(waits=self._count, spent=self._spent, write=write, status=Status.REVIEW))

    def _run_graph(self, wait: RunGraph, number: int) -> None:
        """Start the sub-run, or pass on what it has emitted since the last look."""
        sub_run = ask_patiently(lambda: find_sub_run(self._claimed, number))
        if sub_run is None:
            self._start_sub_run(wait, number)
            return
        seen = self._attempt.skip_recorded(at_most=sub_run.output_count)
        outputs = ask_patiently(lambda: load_run_outputs(sub_run.id, position=seen))
        for name, value in outputs:
            self._attempt.emit(name, value)
        if sub_run.status is Status.COMPLETED:
            return
        if sub_run.awaits_retry:
            self._resume(sub_run, seen + len(outputs))
        if sub_run.status in (Status.FAILED, Status.TERMINATED):
            self._explain_end(sub_run)
        self._wait_on(sub_run, seen + len(outputs))

    def _explain_end(self, sub_run: SubRun) -> NoReturn:
        reason = f"The sub-run {sub_run.id} ended {sub_run.status}: {sub_run.error or 'no reason given'}"
        if sub_run.status is Status.TERMINATED:
            raise BlockError(reason)
        if sub_run.lacks_credits is None:
            raise SubRunFailedError(reason, sub_run_id=sub_run.id)
        lacks = sub_run.lacks_credits
        ask_patiently(lambda: note_need(self._claimed, credit=lacks))
        raise SubRunUnpaidError(reason)

    def _resume(self, sub_run: SubRun, seen: int) -> NoReturn:
        def write(run: LockedRun) -> bool:
            run.ready.extend(resume_sub_run(sub_run.id))
            run.holds_back = True
            return still_waits_for(sub_run.id, seen=seen)

        self._suspend(Suspension(waits=self._claimed.waits, spent=self._spent, write=write))

    def _wait_on(self, sub_run: SubRun, seen: int) -> NoReturn:
        self._suspend(
            Suspension(
                waits=self._claimed.waits,
                spent=self._spent,
                write=lambda _run: still_waits_for(sub_run.id, seen=seen),
            )
        )

    def _start_sub_run(self, wait: RunGraph, number: int) -> None:
        version_id = ask_patiently(lambda: _find_version(wait, user_id=self._claimed.user_id))
        if version_id is None:
            self._make_up_outputs(wait)
            return
        order = ask_patiently(lambda: self._order(wait, number, version_id))
        try:
            check_inputs(order.graph, order.input_data)
        except InputsUnknownError as error:
            raise BlockError(str(error)) from error
        # Large values take their time: not while the run is locked.
        written = write_values(order)

        def write(run: LockedRun) -> bool:
            started = start_run(order, written=written)
            run.ready.extend(started.ready)
            run.holds_back = True
            return not started.has_ended

        try:
            self._suspend(Suspension(waits=self._count, spent=self._spent, write=write))
        except GraphNotFoundError:
            # It has just been deleted: as if it had been before.
            self._make_up_outputs(wait)

    def _order(self, wait: RunGraph, number: int, version_id: UUID) -> Order:
        if self._claimed.depth >= settings.MAX_SUB_RUN_DEPTH:
            raise BlockError(
                f"Sub-graphs are nested more than {settings.MAX_SUB_RUN_DEPTH} deep: does a graph run itself?"
            )
        graph, mocks = load_plan(version_id), read_all(self._claimed.mocks)
        inputs = {name: to_json_value(value) for name, value in wait.inputs.items()}
        masks = to_json_value(dict(wait.nodes_input_masks or {}))
        if self._claimed.simulate:
            inputs = complete_inputs(graph, inputs, masks=masks, mocks=mocks)
        return Order(
            user_id=self._claimed.user_id,
            graph=graph,
            input_data=inputs,
            masks=masks,
            simulate=self._claimed.simulate,
            mocks=mocks,
            parent_id=self._claimed.id,
            parent_wait=number,
            root_id=self._claimed.root_id or self._claimed.execution_id,
            depth=self._claimed.depth + 1,
            max_cost=self._claimed.max_cost,
            on_insufficient_credits=self._claimed.on_insufficient_credits,
        )

    def _make_up_outputs(self, wait: RunGraph) -> None:
        if not self._claimed.simulate:
            raise BlockError(_missing(wait))
        schema = self._prepared.spec.constants.get("output_schema") or {}
        for name, pin in (schema.get("properties") or {}).items():
            self._attempt.emit(name, make_sample(pin, name=name))


def _missing(wait: RunGraph) -> str:
    return f"You have no graph {wait.graph_id} with a version {wait.graph_version}."


def _find_version(wait: RunGraph, *, user_id: int) -> UUID | None:
    graph = {"graph_id": wait.graph_id, "graph__owner_id": user_id, "graph__deleted_at": None}
    versions = GraphVersion.objects.filter(**graph, version=wait.graph_version)
    return versions.values_list("pk", flat=True).first()
