"""Lists stay as fast with very many rows as with few: what PostgreSQL reads for a page is what the page shows."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from execution.models import Execution, NodeExecution
from execution.services import start_execution
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.families import make_family
from tests.execution.small_graphs import STEP, draw

RUNS = 10_000
NODE_EXECUTIONS = 10_000
SUB_RUNS = 5_000
UNFINISHED = 3_000
# A page, the row that tells whether there is a next one, and what belongs to the rows of the page.
MOST_ROWS_READ = 600

pytestmark = pytest.mark.django_db


@pytest.fixture
def version(user: User) -> GraphVersion:
    return import_graph(owner=user, document=draw({"step": (STEP, {"items": []})})).version


@pytest.fixture
def many_runs(user: User, version: GraphVersion) -> Execution:
    """One of twenty is the user's; every thousandth FAILED, every five hundredth has a label."""
    other = User.objects.create_user(username="mallory")
    run = start_execution(user=user, version=version, input_data={})
    copy_row(
        Execution,
        run.pk,
        RUNS,
        id="uuidv7(make_interval(secs => -n))",
        created_at="r.created_at - make_interval(secs => n)",
        ended_at="now()",
        user_id=f"CASE WHEN n % 20 = 0 THEN {user.pk} ELSE {other.pk} END",
        status="CASE WHEN n % 1000 = 0 THEN 'FAILED' ELSE 'COMPLETED' END",
        label="CASE WHEN n % 500 = 0 THEN 'rare' ELSE '' END",
    )
    return run


def copy_row(model: Any, key: Any, count: int, *, is_noticed: bool = True, **instead: str) -> None:
    """Insert `count` (n = 1, 2, …) copies of a row, with other values for some columns; the statistics may notice."""
    table = model._meta.db_table
    columns = [field.column for field in model._meta.concrete_fields]
    values = ", ".join(instead.get(column, f"r.{column}") for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values.replace('%', '%%')}"  # noqa: S608 - our own names
            f" FROM {table} r, generate_series(1, %s) n WHERE r.id = %s",
            [count, key],
        )
        if is_noticed:
            cursor.execute("ANALYZE")


def rows_read(client: APIClient, address: str) -> dict[str, int]:
    """Return, for each query of a page, how many rows PostgreSQL touched, those that it threw away included."""
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    read = {}
    for query in [each["sql"] for each in queries.captured_queries if "execution_" in each["sql"]]:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + query.replace("%", "%%"), [])
            ((plan,),) = cursor.fetchall()
        (top,) = json.loads(plan) if isinstance(plan, str) else plan
        read[query] = sum(_touched(node) for node in _nodes(top["Plan"]))
    assert read
    return read


def measuring(read: dict[str, int]) -> int:
    """Return how many of them what is below the runs of a page took."""
    (rows,) = [rows for query, rows in read.items() if "below_cost" in query]
    return rows


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _touched(node: dict[str, Any]) -> int:
    if "Scan" not in node["Node Type"]:
        return 0
    thrown_away = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int(node["Actual Loops"] * (node["Actual Rows"] + thrown_away))


@pytest.mark.parametrize(
    "narrowed",
    [
        {},
        {"status": "COMPLETED"},
        {"label": "rare"},
    ],
    ids=lambda narrowed: urlencode(narrowed) or "all",
)
def test_a_users_list_reads_no_more_than_it_shows(
    client: APIClient, many_runs: Execution, narrowed: dict[str, str]
) -> None:
    read = rows_read(client, f"/v1/executions?{urlencode(narrowed)}")

    assert max(read.values()) <= MOST_ROWS_READ, read


def test_a_page_far_below_reads_no_more_than_the_first(client: APIClient, many_runs: Execution) -> None:
    address = "/v1/executions"
    for _ in range(8):
        address = client.get(address).json()["next"]

    read = rows_read(client, address)

    assert max(read.values()) <= MOST_ROWS_READ, read


def test_a_page_by_number_measures_only_what_it_shows(client: APIClient, many_runs: Execution) -> None:
    read = rows_read(client, "/v1/executions?page=10&page_size=50")

    assert measuring(read) <= MOST_ROWS_READ, read
    # The keys of the pages before, and of all that are counted.
    assert max(read.values()) <= 20 * 50 + 501, read


def test_a_graphs_list_reads_no_more_than_it_shows(
    client: APIClient, version: GraphVersion, many_runs: Execution
) -> None:
    read = rows_read(client, f"/v1/graphs/{version.graph_id}/executions")

    assert max(read.values()) <= MOST_ROWS_READ, read


@pytest.fixture
def going_on(user: User, version: GraphVersion, drain: Drain) -> dict[str, str]:
    """Many runs and sub-runs that go on, as statistics of another time know them; return the lists' addresses.

    Somebody else's node executions are many, and nobody has noticed.
    """
    start_execution(user=user, version=import_graph(owner=user, document=make_family()).version, input_data={})
    drain.run()
    top, sub_run = Execution.objects.order_by("depth", "id")[:2]
    goes_on: dict[str, Any] = {"status": "'RUNNING'", "ended_at": "NULL"}
    # Each of the runs has one of the sub-runs.
    key = "('ffffffff-ffff-7fff-8fff-' || lpad(to_hex(n), 12, '0'))::uuid"
    copy_row(Execution, top.pk, SUB_RUNS, id=key, **goes_on)
    copy_row(Execution, sub_run.pk, SUB_RUNS, id="uuidv7()", root_id=key, parent_wait="n", **goes_on)
    run_of_other = start_execution(user=User.objects.create_user("mallory"), version=version, input_data={})
    waiting = NodeExecution.objects.get(execution=run_of_other)
    copy_row(NodeExecution, waiting.pk, UNFINISHED, is_noticed=False, id="uuidv7()", ordinal="n")
    asleep: dict[str, Any] = {"status": "'SUSPENDED'", "wake_at": "now()"}
    copy_row(
        NodeExecution, waiting.pk, UNFINISHED, is_noticed=False, id="uuidv7()", ordinal=f"{UNFINISHED} + n", **asleep
    )
    return {
        "runs": "/v1/executions?page_size=20",
        "sub-runs": f"/v1/graphs/{sub_run.graph_version.graph_id}/executions?page_size=20",
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("listed", ["runs", "sub-runs"])
def test_a_list_reads_nothing_of_what_others_have_under_way(
    client: APIClient, going_on: dict[str, str], listed: str
) -> None:
    read = rows_read(client, going_on[listed])

    assert measuring(read) <= MOST_ROWS_READ, read


def test_a_page_of_node_executions_reads_no_more_than_it_shows(
    client: APIClient, version: GraphVersion, many_runs: Execution
) -> None:
    node_execution = NodeExecution.objects.get(execution=many_runs)
    another = Execution.objects.exclude(pk=many_runs.pk).values_list("pk", flat=True)[0]
    copy_row(
        NodeExecution,
        node_execution.pk,
        NODE_EXECUTIONS,
        id="uuidv7()",
        execution_id=f"CASE WHEN n % 20 = 0 THEN r.execution_id ELSE '{another}' END",
        ordinal="n",
        status="'COMPLETED'",
        ended_at="now()",
    )

    read = rows_read(client, f"/v1/graphs/{version.graph_id}/executions/{many_runs.pk}/node_executions")

    assert max(read.values()) <= MOST_ROWS_READ, read
