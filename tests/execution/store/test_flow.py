"""What a record reads does not grow with its run."""

import json
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection

from execution.models import Execution, NodeExecution
from execution.services import start_execution
from execution.store.batches import Batch
from execution.store.flow import SINKS
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import CALCULATOR, INPUT, draw

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


def rows_read(plan: dict[str, Any]) -> float:
    """Return how many rows the scans of a plan have read."""
    own = plan["Actual Rows"] * plan["Actual Loops"] if "Relation Name" in plan else 0.0
    return float(own + sum(rows_read(part) for part in plan.get("Plans", [])))


def test_only_what_waits_at_the_nodes_in_question_is_read(wide_run: Execution) -> None:
    waiting = NodeExecution.objects.filter(execution=wide_run, status="INCOMPLETE")
    assert waiting.count() == WAITING
    nodes: list[UUID] = list(waiting.values_list("node_id", flat=True)[:ASKED])

    where: dict[str, Any] = {"run": wide_run.pk, "nodes": nodes}
    assert len(Batch().fetch(SINKS, where)) == ASKED

    with connection.cursor() as cursor:
        # The plan that a session keeps for all runs.
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {SINKS.call}", where)
        ((found,),) = cursor.fetchall()
        cursor.execute("RESET plan_cache_mode")

    (explained,) = json.loads(found) if isinstance(found, str) else found
    # The execution that waits and its pin, and that one again as the latest of its node.
    assert rows_read(explained["Plan"]) <= 3 * ASKED
