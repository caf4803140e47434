"""Claims: one way into RUNNING, and the fence that keeps everybody else out."""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, Output
from execution.planning import load_plan
from execution.store.claims import Claimed, claim, renew_leases
from execution.store.parts import End
from execution.store.recording import record
from execution.store.runs import end_run, lock_run
from execution.store.starting import Order, start_run
from graphs.services import import_graph
from tests.config.processes import wait_until
from tests.execution.lock_waits import session_beside
from tests.execution.small_graphs import CALCULATOR, INPUT, OUTPUT, draw

LEASE = 10.0


@pytest.fixture
def node_execution(user: User, db: None) -> NodeExecution:
    """The first node execution of a new run: an input that leads to an output."""
    document = draw(
        {"in": (INPUT, {"name": "in", "value": 1}), "out": (OUTPUT, {"name": "out"})}, ["in.result -> out.value"]
    )
    version = import_graph(owner=user, document=document).version
    started = start_run(Order(user_id=user.pk, graph=load_plan(version.pk), input_data={}))
    return NodeExecution.objects.get(pk=started.ready[0].id)


def take(node_execution: NodeExecution) -> Claimed:
    claimed = claim(node_execution.pk, lease_seconds=LEASE)
    assert claimed is not None
    return claimed


COMPLETED = End(status=Status.COMPLETED)


def test_a_claim_makes_a_queued_node_execution_run_and_its_run_too(node_execution: NodeExecution) -> None:
    claimed = take(node_execution)

    node_execution.refresh_from_db()
    assert node_execution.status == Status.RUNNING
    assert node_execution.token == claimed.token
    assert node_execution.attempt == claimed.attempt == 1
    assert node_execution.execution.status == Status.RUNNING
    assert node_execution.execution.started_at is not None


def test_a_second_message_claims_nothing(node_execution: NodeExecution) -> None:
    take(node_execution)

    assert claim(node_execution.pk, lease_seconds=LEASE) is None


def test_a_message_for_what_never_was_claims_nothing(db: None) -> None:
    assert claim(uuid4(), lease_seconds=LEASE) is None


@pytest.mark.django_db(transaction=True)
def test_a_claim_waits_for_nobody_who_holds_the_run_and_a_later_one_starts_it(user: User) -> None:
    document = draw({name: (INPUT, {"name": name, "value": 1}) for name in "abc"})
    version = import_graph(owner=user, document=document).version
    start_run(Order(user_id=user.pk, graph=load_plan(version.pk), input_data={}))
    first, second, third = NodeExecution.objects.values_list("pk", flat=True)

    with session_beside() as other, connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '1s'")
        other.execute("SELECT FROM execution_execution FOR NO KEY UPDATE")
        assert claim(first, lease_seconds=LEASE) is not None
        unstarted = Execution.objects.get()
        other.execute("ROLLBACK")
        assert claim(second, lease_seconds=LEASE) is not None
        begun = Execution.objects.get()
        assert claim(third, lease_seconds=LEASE) is not None
        cursor.execute("RESET lock_timeout")

    assert (unstarted.status, unstarted.started_at) == (Status.QUEUED, None)
    assert begun.status == Status.RUNNING
    assert begun.started_at == Execution.objects.get().started_at is not None


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_at_once_one_gets_the_claim(node_execution: NodeExecution) -> None:
    def try_to_claim(_number: int) -> bool:
        try:
            return claim(node_execution.pk, lease_seconds=LEASE) is not None
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=8) as threads:
        successes = sum(threads.map(try_to_claim, range(16)))

    assert successes == 1


def test_nothing_of_a_run_that_has_ended_can_be_claimed(node_execution: NodeExecution) -> None:
    run = lock_run(node_execution.execution_id)
    assert run is not None
    end_run(run, Status.TERMINATED)

    assert claim(node_execution.pk, lease_seconds=LEASE) is None


def test_who_has_lost_the_claim_records_nothing(node_execution: NodeExecution) -> None:
    late = take(node_execution)
    NodeExecution.objects.update(status=Status.QUEUED)  # what recovery does when the lease has run out
    current = take(node_execution)

    refused = record(late, outputs=[("result", "late")], position=0, end=COMPLETED)
    accepted = record(current, outputs=[("result", "current")], position=0, end=COMPLETED)

    assert not refused.accepted
    assert not refused.ready
    assert accepted.accepted
    assert list(Output.objects.values_list("value", flat=True)) == ["current"]
    assert NodeExecution.objects.count() == 2


def test_what_was_recorded_is_not_recorded_again(node_execution: NodeExecution) -> None:
    claimed = take(node_execution)
    record(claimed, outputs=[("result", 1)], position=0, end=COMPLETED)

    again = record(claimed, outputs=[("result", 1)], position=0, end=COMPLETED)

    assert not again.accepted
    assert Output.objects.count() == 1
    assert Execution.objects.get().node_count == 1


def test_a_position_is_recorded_once_although_the_attempt_is_another(node_execution: NodeExecution) -> None:
    first = take(node_execution)
    record(first, outputs=[("result", 1)], position=0)
    NodeExecution.objects.filter(pk=node_execution.pk).update(status=Status.QUEUED)
    second = take(node_execution)

    assert second.output_count == 1
    assert not record(second, outputs=[("result", 1)], position=0, end=COMPLETED).accepted
    assert record(second, outputs=[], position=1, end=COMPLETED).accepted
    assert Output.objects.filter(node_execution=node_execution).count() == 1
    assert NodeExecution.objects.count() == 2


def test_nothing_is_recorded_in_a_run_that_has_ended(node_execution: NodeExecution) -> None:
    claimed = take(node_execution)
    run = lock_run(node_execution.execution_id)
    assert run is not None
    end_run(run, Status.TERMINATED)

    assert not record(claimed, outputs=[("result", 1)], position=0, end=COMPLETED).accepted
    assert not Output.objects.exists()


def test_a_lease_is_renewed_only_for_who_holds_it(node_execution: NodeExecution) -> None:
    claimed = take(node_execution)

    held = renew_leases([claimed.token, uuid4()], lease_seconds=1000)

    before = node_execution.lease_until
    node_execution.refresh_from_db()
    assert held == {claimed.token}
    assert before is None
    assert node_execution.lease_until is not None
    assert (node_execution.lease_until - node_execution.opened_at).total_seconds() > 900


@pytest.mark.django_db(transaction=True)
def test_leases_are_renewed_in_the_order_of_their_ids(user: User) -> None:
    document = draw({name: (INPUT, {"name": name, "value": 1}) for name in ("a", "b")})
    version = import_graph(owner=user, document=document).version
    start_run(Order(user_id=user.pk, graph=load_plan(version.pk), input_data={}))
    first, second = NodeExecution.objects.order_by("id")
    tokens = [take(each).token for each in (second, first)]  # the first is written last, so it lies behind

    with ThreadPoolExecutor(max_workers=1) as executor, transaction.atomic():
        NodeExecution.objects.select_for_update().get(pk=first.pk)
        renewal = executor.submit(renew_from_table, tokens)
        assert wait_until(renews_waiting)

        # Who renews waits for the first, and does not hold the second meanwhile.
        assert NodeExecution.objects.select_for_update(nowait=True).get(pk=second.pk).token in tokens

    assert renewal.result() == set(tokens)


def renew_from_table(tokens: Collection[UUID]) -> set[UUID]:
    """Renew leases with the rows read as they lie there: an index may have another order by chance."""
    with connection.cursor() as cursor:
        cursor.execute("SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off")
    try:
        return renew_leases(tokens, lease_seconds=LEASE)
    finally:
        connections.close_all()


def renews_waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')")
        (count,) = cursor.fetchone()
    return bool(count)


@pytest.mark.django_db(transaction=True)
def test_results_that_come_at_once_join_into_one_execution(user: User) -> None:
    names = [f"in {number}" for number in range(8)]
    document = draw(
        {name: (INPUT, {"name": name, "value": 1}) for name in names}
        | {"sum": (CALCULATOR, {"operation": "Add"})}
        | {"out": (OUTPUT, {"name": "out"})},
        [f"{name}.result -> out.value_$_{number}" for number, name in enumerate(names)],
    )
    version = import_graph(owner=user, document=document).version
    start_run(Order(user_id=user.pk, graph=load_plan(version.pk), input_data={}))
    claims = [claim(key, lease_seconds=LEASE) for key in NodeExecution.objects.values_list("pk", flat=True)]

    def complete(claimed: Claimed | None) -> None:
        assert claimed is not None
        try:
            record(claimed, outputs=[("result", claimed.ordinal)], position=0, end=COMPLETED)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=8) as threads:
        list(threads.map(complete, [each for each in claims if each is not None]))

    joined = NodeExecution.objects.get(status=Status.QUEUED)
    claimed = take(joined)
    assert set(claimed.inputs) == {f"value_$_{number}" for number in range(8)}
