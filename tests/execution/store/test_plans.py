"""What a record reads does not grow with its run."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction

from execution.models import Execution, NodeExecution
from execution.planning import CPU_QUEUE
from execution.services import start_execution
from execution.store.batches import Prepared
from execution.store.claims import CLAIM, CLAIM_HELD_BACK
from execution.store.flow import SINKS
from execution.store.recording import MARK
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import CALCULATOR, INPUT, STEP, draw

WAITING = 400
ASKED = 3

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def wide_run(user: User, drain: Drain) -> Execution:
    """A run in which many node executions wait for their second pin."""
    nodes: dict[str, Any] = {"a": (INPUT, {"name": "a", "value": 1}), "b": (INPUT, {"name": "b"})}
    nodes |= {f"sum {number}": (CALCULATOR, {"operation": "Add"}) for number in range(WAITING)}
    arrows = [f"{pin}.result -> sum {number}.{pin}" for number in range(WAITING) for pin in ("a", "b")]
    version = import_graph(owner=user, document=draw(nodes, arrows)).version
    run = start_execution(user=user, version=version, input_data={})
    drain.run()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE execution_nodeexecution, execution_nodeinput")
    return run


def explain(statement: Prepared, parameters: dict[str, Any]) -> dict[str, Any]:
    """Run a statement with the plan that a session keeps for all runs, and take it back; return the plan."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute(statement.definition)
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.call}", parameters)
        ((found,),) = cursor.fetchall()
        transaction.set_rollback(True)
    connection.close()  # it no longer knows what it is thought to know
    (explained,) = json.loads(found) if isinstance(found, str) else found
    plan: dict[str, Any] = explained["Plan"]
    return plan


def rows_read(plan: dict[str, Any]) -> float:
    """Return how many rows the scans of a plan have read, those included that they threw away."""
    rows = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    own = rows * plan["Actual Loops"] if plan.get("Relation Name", "").startswith("execution_node") else 0.0
    return float(own + sum(rows_read(part) for part in plan.get("Plans", [])))


def test_only_what_waits_at_the_nodes_in_question_is_read(wide_run: Execution) -> None:
    waiting = NodeExecution.objects.filter(execution=wide_run, status="INCOMPLETE")
    assert waiting.count() == WAITING
    nodes: list[UUID] = list(waiting.values_list("node_id", flat=True)[:ASKED])

    where: dict[str, Any] = {"run": wide_run.pk, "nodes": nodes}
    # The execution that waits and its pin, and that one again as the latest of its node.
    assert rows_read(explain(SINKS, where)) <= 3 * ASKED


@pytest.fixture
def busy_run(user: User, drain: Drain) -> Execution:
    """A run that holds much back, in a database whose statistics were made when nothing went on."""
    document = draw(
        {"step": (STEP, {"items": list(range(WAITING))}), "sum": (CALCULATOR, {"operation": "Add", "b": 1})},
        ["step.item -> sum.a"],
    )
    version = import_graph(owner=user, document=document).version
    start_execution(user=user, version=version, input_data={})
    drain.run()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    run = start_execution(user=user, version=version, input_data={})
    drain.run_one(drain.waiting.pop(0))
    assert NodeExecution.objects.filter(execution=run, status="QUEUED", held_back=True).count() > WAITING / 2
    return run


def test_a_claim_and_a_mark_read_no_more_the_more_is_unfinished(busy_run: Execution, drain: Drain) -> None:
    window = settings.RUN_WINDOW[CPU_QUEUE]
    claim = {"token": uuid4(), "lease": 10, "worker": "w", "half_cpu": window // 2, "half_io": 64, "paid": False}
    sent = drain.waiting[0].id
    mark = {"position": 0, "status": "COMPLETED", "count": 0, "ended": True, "walltime": 0.0, "cputime": 0.0, "log": ""}

    assert rows_read(explain(CLAIM, {**claim, "id": sent})) <= window + 5
    assert rows_read(explain(CLAIM_HELD_BACK, {**claim, "id": busy_run.pk})) <= window + 5
    assert rows_read(explain(MARK, {**mark, "id": sent, "token": uuid4()})) <= 1
