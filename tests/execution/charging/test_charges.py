"""Runs that cost something: what is set aside, taken and let go, and what happens when it runs out."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from credits.auditing import find_faults
from credits.exceptions import FundsLackingError
from credits.models import Hold, LedgerEntry
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.recovery import sweep
from execution.reporting import get_run, measure
from execution.services import resume_execution, stop_execution
from execution.store.holding import claim_and_hold
from tests.credits.booking import give, set_balance, standing
from tests.execution.charging.paid_runs import charges, save, start, statuses
from tests.execution.drain import Drain
from tests.execution.paid_blocks import COUNTING, PAID, PAID_ASYNC, STERN, TALKING
from tests.execution.small_graphs import CALCULATOR, INPUT, OUTPUT, STEP

pytestmark = pytest.mark.django_db(transaction=True)

AGENT = "e189baac-8c20-45a1-94a7-55177ea42565"


def test_a_run_costs_what_its_blocks_cost(payer: User, drain: Drain) -> None:
    run = start(
        payer,
        {
            "small": (PAID, {"value": 1}),
            "large": (PAID, {"size": "large"}),
            "free": (PAID, {"size": "free"}),
            "async": (PAID_ASYNC, {}),
            "items": (COUNTING, {"items": 21}),
            "tokens": (TALKING, {"items": 3}),
            "sum": (CALCULATOR, {"operation": "Add", "a": 1, "b": 2}),
        },
    )

    drain.run()

    run = get_run(execution_id=run.pk)
    assert (run.status, sorted(charges(payer))) == (Status.COMPLETED, [4, 7, 7, 9, 20])
    assert (run.cost, measure(run)["cost"]) == (47, 47)
    assert standing(payer.pk) == (53, 0, 0)
    assert not Hold.objects.exists()
    entry = LedgerEntry.objects.get(price_type="TOKENS")
    used = {"input": 2_000, "output": 3_000, "cache_read": 0, "cache_write": 0}
    assert entry.details["tokens"] == {"large": used}
    assert (entry.execution_id, entry.graph_id, entry.block_id) == (run.pk, run.graph_version.graph_id, TALKING)


def test_it_is_set_aside_with_the_claim(payer: User, drain: Drain) -> None:
    run = start(payer, {"paid": (PAID, {})})
    node = NodeExecution.objects.get(execution=run)
    token = uuid4()

    claimed = claim_and_hold(node.pk, lease_seconds=10, token=token)
    again = claim_and_hold(node.pk, lease_seconds=10, token=token)
    somebody_else = claim_and_hold(node.pk, lease_seconds=10, token=uuid4())

    assert claimed is not None
    assert claimed.price is not None
    assert again == claimed
    assert somebody_else is None
    assert standing(payer.pk) == (100, 7, 0)
    assert Hold.objects.get().key == node.pk


def test_what_is_free_is_claimed_with_one_statement(payer: User, drain: Drain) -> None:
    run = start(payer, {"sum": (CALCULATOR, {"operation": "Add", "a": 1, "b": 2})})
    Execution.objects.filter(pk=run.pk).update(status="RUNNING")
    node = NodeExecution.objects.get(execution=run)
    claim_and_hold(uuid4(), lease_seconds=10, token=uuid4())  # a session learns the statement once

    with CaptureQueriesContext(connection) as queries:
        claimed = claim_and_hold(node.pk, lease_seconds=10, token=uuid4())

    assert claimed is not None
    assert len(queries) == 1


def test_who_has_nothing_starts_nothing(user: User, drain: Drain) -> None:
    set_balance(user.pk, 0)

    with pytest.raises(FundsLackingError):
        start(user, {"paid": (PAID, {})})
    simulated = start(user, {"paid": (PAID, {})}, simulate=True)
    drain.run()

    assert list(Execution.objects.all()) == [simulated]
    assert charges(user) == []


def test_what_cannot_be_paid_fails_its_run(user: User, drain: Drain) -> None:
    set_balance(user.pk, 10)
    run = start(user, {"a": (PAID, {}), "b": (PAID, {}), "c": (PAID, {})}, ["a.value -> c.value"])

    drain.run()

    run.refresh_from_db()
    assert run.status == Status.FAILED
    assert "Not enough credits: this needs 7, and 3 can be spent." in run.error
    assert statuses(run) == {"COMPLETED": 1, "FAILED": 1, "TERMINATED": 1}
    (failed,) = NodeExecution.objects.filter(execution=run, status="FAILED")
    assert [output.pin for output in failed.outputs.all()] == ["error"]
    assert standing(user.pk) == (3, 0, 0)
    assert not Hold.objects.exists()


def test_after_a_top_up_a_failed_run_goes_on_from_the_very_node(user: User, drain: Drain) -> None:
    set_balance(user.pk, 10)
    run = start(
        user,
        {"a": (PAID, {"value": 5}), "b": (PAID, {}), "out": (OUTPUT, {"name": "Out"})},
        [
            "a.value -> b.value",
            "b.value -> out.value",
        ],
    )
    drain.run()
    failed = Execution.objects.get(pk=run.pk).status
    give(user.pk, 100)

    resume_execution(execution_id=run.pk)
    drain.run()

    run.refresh_from_db()
    assert (failed, run.status, run.cost, run.node_count) == (Status.FAILED, Status.COMPLETED, 14, 3)
    assert charges(user) == [7, 7]


def test_a_failure_costs_nothing_unless_its_block_says_so(payer: User, drain: Drain) -> None:
    start(payer, {"kind": (PAID, {"refuses": True}), "stern": (STERN, {"refuses": True})})

    drain.run()

    assert charges(payer) == [7]
    assert standing(payer.pk) == (93, 0, 0)


def test_an_attempt_that_is_repeated_is_paid_once(payer: User, drain: Drain) -> None:
    run = start(payer, {"flaky": (PAID, {"failures": 2})})
    drain.run_one(drain.waiting.pop())
    between = standing(payer.pk)

    drain.run()

    run.refresh_from_db()
    assert between == (100, 0, 0)
    assert (run.status, charges(payer)) == (Status.COMPLETED, [7])


def test_what_sleeps_stays_set_aside_and_is_paid_once(payer: User, drain: Drain) -> None:
    run = start(payer, {"sleepy": (PAID, {"seconds": 0.05})})
    drain.run_one(drain.waiting.pop())
    asleep = standing(payer.pk)

    drain.run()

    run.refresh_from_db()
    assert asleep == (100, 7, 0)
    assert (run.status, charges(payer), standing(payer.pk)) == (Status.COMPLETED, [7], (93, 0, 0))


def test_a_lost_attempt_lets_go_until_it_is_claimed_again(payer: User, drain: Drain, settings: Settings) -> None:
    run = start(payer, {"paid": (PAID, {})})
    node = NodeExecution.objects.get(execution=run)
    claim_and_hold(node.pk, lease_seconds=-1, token=uuid4())
    held = standing(payer.pk)
    settings.LEASE_SECONDS = 0

    sweep(drain.send)
    lost = standing(payer.pk)
    drain.run()

    assert (held, lost, standing(payer.pk)) == ((100, 7, 0), (100, 0, 0), (93, 0, 0))
    assert charges(payer) == [7]


def test_a_stopped_run_lets_go(payer: User, drain: Drain) -> None:
    run = start(payer, {"paid": (PAID, {}), "other": (PAID, {"seconds": 600})})
    drain.run_one(drain.waiting.pop(0))
    drain.run_one(drain.waiting.pop(0))
    before = standing(payer.pk)

    receipt = stop_execution(execution_id=run.pk)

    assert before == (93, 7, 0)
    assert (receipt.cost, standing(payer.pk)) == (7, (93, 0, 0))
    assert not Hold.objects.exists()


def test_what_cost_more_than_there_was_is_owed_and_keeps_new_runs_from_starting(user: User, drain: Drain) -> None:
    set_balance(user.pk, 10)
    run = start(user, {"items": (COUNTING, {"items": 100})})

    drain.run()

    run.refresh_from_db()
    assert (run.status, run.cost, standing(user.pk)) == (Status.COMPLETED, 30, (0, 0, 20))
    with pytest.raises(FundsLackingError):
        start(user, {"paid": (PAID, {})})


def test_the_runs_below_add_up_in_the_root(payer: User, drain: Drain) -> None:
    below = save(payer, {"in": (INPUT, {"name": "Number"}), "paid": (PAID, {})}, ["in.result -> paid.value"])
    agent = {
        "graph_id": str(below.graph_id),
        "graph_version": 1,
        "inputs": {"Number": 1},
        "input_schema": {"type": "object", "properties": {"Number": {}}, "required": ["Number"]},
        "output_schema": {"type": "object", "properties": {}},
    }
    run = start(payer, {"agent": (AGENT, agent), "paid": (PAID, {"size": "large"})})

    drain.run()

    (child,) = Execution.objects.filter(root=run)
    assert (child.cost, get_run(execution_id=run.pk).cost) == (7, 20)
    assert measure(get_run(execution_id=run.pk))["cost"] == 27
    entries = LedgerEntry.objects.filter(account__user=payer, type="USAGE")
    assert set(entries.values_list("root_execution_id", "execution_id")) == {(run.pk, run.pk), (run.pk, child.pk)}


def test_a_sub_run_that_cannot_pay_fails_the_runs_above_it_and_goes_on_when_they_are_resumed(
    user: User, drain: Drain
) -> None:
    set_balance(user.pk, 10)
    below = save(
        user,
        {"a": (PAID, {"value": 5}), "b": (PAID, {}), "out": (OUTPUT, {"name": "Out"})},
        ["a.value -> b.value", "b.value -> out.value"],
    )
    agent = {
        "graph_id": str(below.graph_id),
        "graph_version": 1,
        "inputs": {},
        "input_schema": {"type": "object", "properties": {}},
        "output_schema": {"type": "object", "properties": {"Out": {}}},
    }
    run = start(user, {"agent": (AGENT, agent), "out": (OUTPUT, {"name": "Out"})}, ["agent.Out -> out.value"])
    drain.run()
    failed = set(Execution.objects.values_list("status", flat=True))
    give(user.pk, 100)

    resume_execution(execution_id=run.pk)
    drain.run()
    sweep(drain.send)

    assert failed == {Status.FAILED}
    assert drain.waiting == []
    assert set(Execution.objects.values_list("status", flat=True)) == {Status.COMPLETED}
    run.refresh_from_db()
    assert (run.output_count, run.node_error_count, charges(user)) == (1, 0, [7, 7])


def test_the_books_agree(payer: User, drain: Drain) -> None:
    start(payer, {"each": (STEP, {"items": list(range(20))}), "paid": (PAID, {})}, ["each.item -> paid.value"])

    drain.run()

    assert charges(payer) == [7] * 14
    assert find_faults() == ()
    assert not Hold.objects.exists()
