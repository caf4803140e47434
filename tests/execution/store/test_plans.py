"""What a record reads does not grow with its run."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Count
from django.db.models.functions import Now

from execution.models import Execution, NodeExecution, NodeInput
from execution.queues import CPU_QUEUE
from execution.services import start_execution
from execution.store.claims import CLAIM, CLAIM_AGAIN, CLAIM_HELD_BACK, claim, claim_held_back, new_tokens
from execution.store.joins import FIRST_EXECUTIONS
from execution.store.parts import MARK, MARK_SEVERAL
from execution.store.queues import OTHERS_WAIT
from execution.store.reach import SINKS
from execution.store.round_trips import READ_NOTHING_WHOLE, Prepared
from execution.store.runs import LOCK_RUN, lock_run
from execution.store.scenes import ORDER, ORDER_OF_SEVERAL, RELEASED
from execution.store.window import release
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.random_graphs import TEMPLATE
from tests.execution.small_graphs import CALCULATOR, CONVERTER, INPUT, STEP, draw

WAITING = 400
ASKED = 3

pytestmark = pytest.mark.django_db(transaction=True)


def save_wide_graph(user: User) -> GraphVersion:
    """Save a graph in which many nodes get one of the two pins that they need."""
    nodes: dict[str, Any] = {"a": (INPUT, {"name": "a", "value": 1}), "b": (INPUT, {"name": "b"})}
    nodes |= {f"sum {number}": (CALCULATOR, {"operation": "Add"}) for number in range(WAITING)}
    arrows = [f"{pin}.result -> sum {number}.{pin}" for number in range(WAITING) for pin in ("a", "b")]
    return import_graph(owner=user, document=draw(nodes, arrows)).version


@pytest.fixture
def idle_statistics(user: User, drain: Drain) -> None:
    """Statistics of a moment when next to nothing waited; the index on what waits is as large as ever."""
    start_execution(user=user, version=save_wide_graph(user), input_data={})
    drain.run()
    waiting = NodeExecution.objects.filter(status="INCOMPLETE")
    few = list(waiting[:3].values_list("id", flat=True))
    waiting.exclude(id__in=few).update(status="TERMINATED")
    vacuum()


@pytest.fixture
def wide_run(user: User, drain: Drain) -> Execution:
    """A run in which many node executions wait for their second pin."""
    run = start_execution(user=user, version=save_wide_graph(user), input_data={})
    drain.run()
    vacuum()
    return run


def vacuum() -> None:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) execution_nodeexecution, execution_nodeinput")


def explain(statement: Prepared, parameters: dict[str, Any]) -> dict[str, Any]:
    """Run a statement as a session does that has just been told of it, and take it back; return the plan."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(READ_NOTHING_WHOLE)  # as whatever is asked (see `exchange`)
        cursor.execute("DEALLOCATE ALL")
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

    where: dict[str, Any] = {
        "run": wide_run.pk,
        "nodes": nodes,
        "pin_of": ["b"] * ASKED,
        "most": [1] * ASKED,
        "enough": [0] * ASKED,
        "pins": [],
    }
    # The execution that waits and its pin, and that one again as the latest of its node.
    assert rows_read(explain(SINKS, where)) <= 3 * ASKED


def test_of_what_waits_only_what_is_looked_at_is_read(wide_run: Execution) -> None:
    waiting = NodeExecution.objects.filter(execution=wide_run, status="INCOMPLETE")
    nodes: list[UUID] = list(waiting.values_list("node_id", flat=True)[:ASKED])

    plan = explain(FIRST_EXECUTIONS, {"run": wide_run.pk, "nodes": [*nodes, uuid4()]})

    # Each with its pin.
    assert plan["Actual Rows"] == ASKED
    assert rows_read(plan) <= 2 * ASKED


@pytest.mark.usefixtures("idle_statistics")
def test_what_has_fired_at_a_node_is_not_read(user: User, drain: Drain) -> None:
    document = draw(
        {
            "step": (STEP, {"items": list(range(WAITING))}),
            **{name: (CALCULATOR, {"operation": "Add", "b": 1}) for name in ("first", "second")},
        },
        ["step.item -> first.a", "first.result -> second.a"],
    )
    version = import_graph(owner=user, document=document).version
    run = start_execution(user=user, version=version, input_data={})
    drain.run()

    fired = NodeExecution.objects.filter(execution=run).values_list("node_id").annotate(count=Count("id"))
    nodes: list[UUID] = [node_id for node_id, count in fired if count == WAITING]
    assert len(nodes) == 2
    assert (
        rows_read(
            explain(
                SINKS,
                {"run": run.pk, "nodes": nodes, "pin_of": ["a", "a"], "most": [1, 1], "enough": [0, 0], "pins": []},
            )
        )
        <= 2
    )


@pytest.mark.parametrize("pin", ["a", "b"])
def test_of_all_that_waits_for_another_stream_only_the_next_is_read(user: User, drain: Drain, pin: str) -> None:
    nodes: dict[str, Any] = {
        "step": (STEP, {"items": list(range(WAITING))}),
        "never": (STEP, {"items": []}),
        "sum": (CALCULATOR, {"operation": "Add"}),
    }
    version = import_graph(owner=user, document=draw(nodes, ["step.item -> sum.a", "never.item -> sum.b"])).version
    run = start_execution(user=user, version=version, input_data={})
    drain.run()
    vacuum()
    waiting = NodeExecution.objects.filter(execution=run, status="INCOMPLETE")
    assert waiting.count() == WAITING

    reach = {"run": run.pk, "nodes": [version.nodes.get(block_id=CALCULATOR).node_id], "enough": [0], "pins": []}
    # The latest twice, as it is known by its number, too; its pin; the first, with its pins.
    assert rows_read(explain(SINKS, {**reach, "pin_of": [pin], "most": [1]})) <= 6
    assert rows_read(explain(SINKS, {**reach, "pin_of": [None], "most": [1]})) >= WAITING


def test_of_a_wide_join_its_other_pins_are_not_read(user: User, drain: Drain) -> None:
    pins = [f"values_#_p{number}" for number in range(WAITING)]
    nodes: dict[str, Any] = {pin: (CONVERTER, {"type": "string", "value": 1}) for pin in pins[:-1]}
    nodes |= {"last": (INPUT, {"name": "last"}), "join": (TEMPLATE, {"format": "", "values": {}})}
    arrows = [f"{pin}.value -> join.{pin}" for pin in pins[:-1]]
    version = import_graph(owner=user, document=draw(nodes, [*arrows, f"last.result -> join.{pins[-1]}"])).version
    run = start_execution(user=user, version=version, input_data={})
    drain.run()
    vacuum()
    join = version.nodes.get(block_id=TEMPLATE).node_id
    assert NodeInput.objects.filter(node_execution__execution=run).count() == WAITING - 1

    reach = {"run": run.pk, "nodes": [join], "pin_of": [None], "most": [1], "pins": [pins[3]]}
    # The execution that waits, that one again as the latest, its last pin, and the one in question.
    assert rows_read(explain(SINKS, {**reach, "enough": [WAITING]})) <= 4
    assert rows_read(explain(SINKS, {**reach, "enough": [WAITING - 1]})) >= WAITING - 1


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
    claim = {"token": uuid4(), "lease": 10, "worker": "w", "window": window}
    next_ones = {**claim, "id": busy_run.pk, "run": busy_run.pk, "only": None, "shares": True}
    sent = drain.waiting[0].id
    mark = {"position": 0, "status": "COMPLETED", "count": 0, "ended": True, "walltime": 0.0, "cputime": 0.0, "log": ""}

    assert rows_read(explain(CLAIM, {**claim, "id": sent})) <= 2 * window + 5
    assert rows_read(explain(CLAIM_AGAIN, {**claim, "id": sent})) <= 1
    assert rows_read(explain(CLAIM_HELD_BACK, {**next_ones, "tokens": new_tokens(1)})) <= 2 * window + 5
    assert rows_read(explain(CLAIM_HELD_BACK, {**next_ones, "tokens": new_tokens(8)})) <= 2 * window + 5 * 8 + 3
    assert rows_read(explain(MARK, {**mark, "id": sent, "token": uuid4()})) <= 1


@pytest.mark.parametrize("count", [2, 8])
def test_a_mark_of_several_reads_no_more_the_more_is_unfinished(busy_run: Execution, count: int) -> None:
    NodeExecution.objects.filter(status="QUEUED").update(status="RUNNING", token=uuid4(), lease_until=Now())
    running = list(NodeExecution.objects.filter(status="RUNNING").order_by("?").values_list("id", "token")[:count])
    told = {"position": 0, "status": "COMPLETED", "count": 1, "ended": True, "walltime": 0.0, "cputime": 0.0, "log": ""}
    mark = {name: [value] * count for name, value in told.items()}
    mark |= {"id": [key for key, _ in running], "token": [token for _, token in running]}

    plan = explain(MARK_SEVERAL, mark)

    # Once to lock them, once to change them, and what is changed counts as read.
    assert plan["Actual Rows"] == count
    assert rows_read(plan) <= 3 * count


@pytest.mark.parametrize("count", [1, 8])
def test_how_some_stand_among_their_node_s_executions_is_found_without_reading_the_others(
    busy_run: Execution, count: int
) -> None:
    vacuum()
    middle = NodeExecution.objects.filter(execution=busy_run, ordinal__gte=WAITING / 3).order_by("ordinal")[:count]
    first, run = middle[0], {"run": busy_run.pk}

    if count == 1:
        plan = explain(ORDER, {**run, "id": first.pk, "node": first.node_id, "ordinal": first.ordinal})
    else:
        plan = explain(ORDER_OF_SEVERAL, {**run, "ids": [each.pk for each in middle]})

    # Itself, one before it, one behind it.
    assert plan["Actual Rows"] == count
    assert rows_read(plan) <= 3 * count


def test_who_asks_whether_others_wait_reads_what_is_on_its_way(busy_run: Execution) -> None:
    window = settings.RUN_WINDOW[CPU_QUEUE]

    assert rows_read(explain(OTHERS_WAIT, {"queue": CPU_QUEUE, "tree": busy_run.pk})) <= 2 * window
    assert rows_read(explain(OTHERS_WAIT, {"queue": CPU_QUEUE, "tree": uuid4()})) <= 2


def test_what_an_end_releases_is_found_without_reading_all_that_came_later(busy_run: Execution) -> None:
    vacuum()
    node_id = NodeExecution.objects.filter(execution=busy_run).latest("ordinal").node_id

    where = {"run": busy_run.pk, "node": node_id, "ordinal": 0}
    assert rows_read(explain(RELEASED, where)) <= 2


def test_what_is_prepared_is_planned_once_for_all_runs(wide_run: Execution) -> None:
    lock_run(wide_run.pk)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT generic_plans > 0, custom_plans FROM pg_prepared_statements WHERE name = %s", [LOCK_RUN.name]
        )
        assert cursor.fetchall() == [(True, 0)]


def test_no_table_is_read_from_end_to_end_for_having_been_empty(user: User, drain: Drain) -> None:
    """What was planned when there was nothing is what a run of any size is recorded with."""
    nodes: dict[str, Any] = {name: (INPUT, {"name": name, "value": 1}) for name in "ab"}
    nodes |= {f"sum {number}": (CALCULATOR, {"operation": "Add"}) for number in range(WAITING)}
    arrows = [f"{pin}.result -> sum {number}.{pin}" for number in range(WAITING) for pin in "ab"]
    version = import_graph(owner=user, document=draw(nodes, arrows)).version
    empty_node_executions()
    drain.goes_on = True
    connection.close()
    start_execution(user=user, version=version, input_data={})
    before = rows_of_scans()
    drain.run()
    # The drain's own looks for timers are among them, but nothing for each record.
    assert rows_of_scans() - before < WAITING * WAITING / 10


def test_what_is_asked_by_itself_is_not_planned_to_read_an_empty_table_whole_either() -> None:
    empty_node_executions()
    connection.close()
    release([uuid4()])
    claim(uuid4(), lease_seconds=1.0, token=uuid4())
    claim_held_back(uuid4(), run_id=uuid4(), tokens=new_tokens(ASKED), lease_seconds=1.0)
    for statement in ("release_next", "claim", "claim_held_back"):
        assert "Seq Scan" not in explain_kept_plan(statement), statement


def explain_kept_plan(statement: str) -> str:
    """Return the plan that this session has for a prepared statement, whatever would be planned now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = %s", [statement])
        ((count,),) = cursor.fetchall()
        cursor.execute(f"EXPLAIN (COSTS off) EXECUTE {statement}({', '.join(['NULL'] * count)})")
        return "\n".join(line for (line,) in cursor.fetchall())


def empty_node_executions() -> None:
    """Have PostgreSQL know that there are none."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE execution_nodeexecution CASCADE")
        cursor.execute("VACUUM (ANALYZE) execution_nodeexecution")


def rows_of_scans() -> int:
    """Return how many rows reading `NodeExecution` from end to end has brought up so far."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'execution_nodeexecution'")
        ((rows,),) = cursor.fetchall()
    return int(rows)
