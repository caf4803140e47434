"""Stopping as a transaction: one of two wins, nothing comes after it, and whatever is below ends too."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connections

from execution.engine.statuses import ENDED, Status
from execution.models import Execution, NodeExecution, NodeInput, Output, RunOutput
from execution.planning import load_plan
from execution.store.claims import Claimed, claim
from execution.store.parts import End
from execution.store.recording import Recorded, record
from execution.store.starting import Order, Started, start_run
from execution.store.stopping import Receipt, stop_runs
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.families import make_family
from tests.execution.small_graphs import CALCULATOR, INPUT, OUTPUT, draw

pytestmark = pytest.mark.django_db(transaction=True)

COMPLETED = End(status=Status.COMPLETED)
TRIES = 200

T = TypeVar("T")
U = TypeVar("U")


def start(user: User, version: GraphVersion) -> Started:
    return start_run(Order(user_id=user.pk, graph=load_plan(version.pk), input_data={}))


def take(node_execution_id: UUID) -> Claimed:
    claimed = claim(node_execution_id, lease_seconds=10.0)
    assert claimed is not None
    return claimed


def stop(execution_id: UUID) -> Receipt:
    (receipt,) = stop_runs([execution_id])
    return receipt


def look(execution_id: UUID) -> list[Any]:
    """Return everything that is written about a run and those below it."""
    runs = sorted([execution_id, *Execution.objects.filter(root=execution_id).values_list("pk", flat=True)])
    return [
        list(Execution.objects.filter(pk__in=runs).order_by("pk").values_list()),
        list(NodeExecution.objects.filter(execution__in=runs).order_by("pk").values_list()),
        *(
            list(model.objects.filter(node_execution__execution__in=runs).order_by("pk").values_list())
            for model in (Output, NodeInput)
        ),
        list(RunOutput.objects.filter(execution__in=runs).order_by("pk").values_list()),
    ]


class Race:
    """Two threads that do two things at the same moment, again and again."""

    def __init__(self, seed: int) -> None:
        self._threads = ThreadPoolExecutor(max_workers=2)
        self._chance = random.Random(seed)

    def __enter__(self) -> "Race":
        return self

    def __exit__(self, *_error: object) -> None:
        barrier = threading.Barrier(2)
        for future in [self._threads.submit(self._close, barrier) for _ in range(2)]:
            future.result()
        self._threads.shutdown()

    def run(self, first: Callable[[], T], second: Callable[[], U], *, within: float) -> tuple[T, U]:
        """Return what both come to. One begins up to `within` seconds after the other."""
        barrier = threading.Barrier(2)
        head_start = self._chance.uniform(-within, within)

        def begin(function: Callable[[], Any], pause: float) -> Any:
            barrier.wait()
            time.sleep(max(0.0, pause))
            return function()

        ahead = self._threads.submit(begin, first, head_start)
        behind = self._threads.submit(begin, second, -head_start)
        return ahead.result(), behind.result()

    @staticmethod
    def _close(barrier: threading.Barrier) -> None:
        connections.close_all()
        barrier.wait()


@pytest.fixture
def single(user: User) -> GraphVersion:
    """A graph of one node."""
    return import_graph(owner=user, document=draw({"out": (OUTPUT, {"name": "out", "value": 1})})).version


@pytest.fixture
def pair(user: User) -> GraphVersion:
    """A graph of two nodes, one after the other."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "in": (INPUT, {"name": "in", "value": 1}),
        "out": (OUTPUT, {"name": "out"}),
    }
    return import_graph(owner=user, document=draw(nodes, ["in.result -> out.value"])).version


def test_a_stop_ends_what_is_unfinished_and_its_receipt_says_what_that_was(user: User) -> None:
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        **{name: (INPUT, {"name": name, "value": 1}) for name in ("done", "running", "queued")},
        "sum": (CALCULATOR, {"operation": "Add"}),
    }
    version = import_graph(owner=user, document=draw(nodes, ["done.result -> sum.a", "queued.result -> sum.b"])).version
    started = start(user, version)
    names = {node.id: node.name for node in load_plan(version.pk).plan.nodes.values()}
    ids = {names[node]: key for node, key in NodeExecution.objects.values_list("node_id", "pk")}
    record(take(ids["done"]), outputs=[("result", 1)], position=0, end=COMPLETED)
    running = take(ids["running"])

    receipt = stop(started.execution_id)

    assert (receipt.status, receipt.had_ended, receipt.cost) == (Status.TERMINATED, False, 0)
    assert receipt.stopped == {Status.INCOMPLETE: 1, Status.QUEUED: 1, Status.RUNNING: 1}
    assert (receipt.completed, receipt.failed) == (1, 0)
    (stopped,) = receipt.runs
    assert (stopped.id, stopped.was, stopped.interrupted) == (started.execution_id, Status.RUNNING, (running.id,))
    run = Execution.objects.get()
    assert (run.status, run.unfinished, run.error) == (Status.TERMINATED, 0, "The run was stopped.")
    assert run.ended_at is not None
    assert set(NodeExecution.objects.values_list("status", flat=True)) == {Status.COMPLETED, Status.TERMINATED}


def test_a_second_stop_changes_nothing_and_says_so(user: User, pair: GraphVersion) -> None:
    started = start(user, pair)
    stop(started.execution_id)
    before = look(started.execution_id)

    receipt = stop(started.execution_id)

    assert (receipt.had_ended, receipt.status, receipt.stopped) == (True, Status.TERMINATED, {})
    assert look(started.execution_id) == before


def test_a_run_that_has_completed_stays_completed(user: User, single: GraphVersion) -> None:
    started = start(user, single)
    record(take(started.ready[0].id), outputs=[("output", 1)], position=0, end=COMPLETED)
    before = look(started.execution_id)

    receipt = stop(started.execution_id)

    assert (receipt.had_ended, receipt.status, receipt.completed) == (True, Status.COMPLETED, 1)
    assert look(started.execution_id) == before


def test_there_is_no_receipt_for_a_run_that_never_was(db: None) -> None:
    assert stop_runs([uuid4()]) == []


def test_after_a_stop_nothing_is_claimed_or_recorded(user: User, pair: GraphVersion) -> None:
    started = start(user, pair)
    claimed = take(started.ready[0].id)
    stop(started.execution_id)
    before = look(started.execution_id)

    in_the_middle = record(claimed, outputs=[("result", 1)], position=0)
    at_the_end = record(claimed, outputs=[("result", 1)], position=0, end=COMPLETED)

    assert not in_the_middle.accepted
    assert not at_the_end.accepted
    assert claim(claimed.id, lease_seconds=10.0) is None
    assert look(started.execution_id) == before


def test_of_a_stop_and_the_last_record_one_wins(user: User, single: GraphVersion) -> None:
    winners = set()
    with Race(seed=1) as race:
        for _ in range(TRIES):
            started = start(user, single)
            claimed = take(started.ready[0].id)

            def complete(claimed: Claimed = claimed) -> Recorded:
                return record(claimed, outputs=[("output", 1)], position=0, end=COMPLETED)

            def stop_it(started: Started = started) -> Receipt:
                return stop(started.execution_id)

            recorded, receipt = race.run(complete, stop_it, within=0.002)

            run = Execution.objects.get(pk=started.execution_id)
            outputs = Output.objects.filter(node_execution__execution=run).count()
            winners.add(run.status)
            if recorded.accepted:
                assert (run.status, outputs, run.output_count) == (Status.COMPLETED, 1, 1)
                assert (receipt.had_ended, receipt.status, receipt.stopped) == (True, Status.COMPLETED, {})
            else:
                assert (run.status, outputs, run.output_count) == (Status.TERMINATED, 0, 0)
                assert (receipt.had_ended, receipt.stopped) == (False, {Status.RUNNING: 1})
    assert winners == {Status.COMPLETED, Status.TERMINATED}


def test_of_a_stop_and_the_first_claim_one_wins(user: User, pair: GraphVersion) -> None:
    claims = set()
    with Race(seed=2) as race:
        for _ in range(TRIES):
            started = start(user, pair)

            def begin(started: Started = started) -> Claimed | None:
                return claim(started.ready[0].id, lease_seconds=10.0)

            def stop_it(started: Started = started) -> Receipt:
                return stop(started.execution_id)

            claimed, receipt = race.run(begin, stop_it, within=0.002)

            assert receipt.stopped == {Status.RUNNING if claimed else Status.QUEUED: 1}
            assert Execution.objects.get(pk=started.execution_id).status == Status.TERMINATED
            assert claimed is None or not record(claimed, outputs=[], position=0, end=COMPLETED).accepted
            claims.add(claimed is None)
    assert claims == {True, False}


def test_what_a_record_made_ready_before_the_stop_is_stopped_with_it(user: User, pair: GraphVersion) -> None:
    stopped: set[Status] = set()
    with Race(seed=3) as race:
        for _ in range(TRIES):
            started = start(user, pair)
            claimed = take(started.ready[0].id)

            def complete(claimed: Claimed = claimed) -> Recorded:
                return record(claimed, outputs=[("result", 1)], position=0, end=COMPLETED)

            def stop_it(started: Started = started) -> tuple[Receipt, list[Any]]:
                return stop(started.execution_id), look(started.execution_id)

            recorded, (receipt, at_the_answer) = race.run(complete, stop_it, within=0.002)

            expected = {Status.QUEUED: 1} if recorded.accepted else {Status.RUNNING: 1}
            assert (receipt.stopped, receipt.completed) == (expected, int(recorded.accepted))
            assert all(claim(ready.id, lease_seconds=10.0) is None for ready in recorded.ready)
            assert look(started.execution_id) == at_the_answer
            stopped.update(receipt.stopped)
    assert stopped == {Status.QUEUED, Status.RUNNING}


def test_a_stop_ends_the_whole_tree(user: User, drain: Drain) -> None:
    version = import_graph(owner=user, document=make_family(asks=True)).version
    started = start(user, version)
    drain.send(started.ready)
    drain.run()
    children = set(Execution.objects.filter(root=started.execution_id).values_list("pk", flat=True))
    assert len(children) == 3

    receipt = stop(started.execution_id)

    assert {run.id for run in receipt.runs} == {started.execution_id, *children}
    assert set(Execution.objects.values_list("status", flat=True)) == {Status.TERMINATED}
    assert receipt.stopped == {Status.SUSPENDED: 3, Status.REVIEW: 3}
    assert receipt.ready == ()
    assert not NodeExecution.objects.exclude(status__in=ENDED).exists()


def test_a_stopped_sub_run_fails_the_node_that_waits_for_it_and_the_rest_goes_on(user: User, drain: Drain) -> None:
    version = import_graph(owner=user, document=make_family(asks=True)).version
    started = start(user, version)
    drain.send(started.ready)
    drain.run()
    child = Execution.objects.filter(root=started.execution_id).earliest("pk")
    assert child.parent is not None

    receipt = stop(child.pk)
    drain.send(receipt.ready)
    drain.run()

    assert [run.id for run in receipt.runs] == [child.pk]
    waiting = NodeExecution.objects.get(pk=child.parent.pk)
    assert waiting.status == Status.FAILED
    assert "ended TERMINATED: The run was stopped." in Output.objects.get(node_execution=waiting, pin="error").value
    assert Execution.objects.get(pk=started.execution_id).status == Status.RUNNING


def test_a_tree_can_be_stopped_at_any_moment_of_its_run(user: User, drain: Drain) -> None:
    version = import_graph(owner=user, document=make_family()).version
    ends = set()
    with Race(seed=4) as race:
        for _ in range(TRIES // 4):
            started = start(user, version)
            drain.send(started.ready)

            def stop_it(started: Started = started) -> tuple[Receipt, list[Any]]:
                return stop(started.execution_id), look(started.execution_id)

            _count, (receipt, at_the_answer) = race.run(drain.run, stop_it, within=0.15)

            assert look(started.execution_id) == at_the_answer
            assert not NodeExecution.objects.filter(status__in=set(Status) - ENDED).exists()
            ends.add(receipt.status)
    assert ends == {Status.TERMINATED, Status.COMPLETED} or ends == {Status.TERMINATED}
