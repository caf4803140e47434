"""The read side: a run with 10,000 node executions, and lists with 1,000,000 runs in the table.

The rows are copies of one real run's, made by the database: what is measured is reading.
"""

import time
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from bench.client import get, log_in
from bench.documents import write_document
from bench.engine import Engine
from bench.results import Measured
from bench.shapes import chain
from config.supervisor import print_line
from execution.models import Execution, NodeExecution, Output

NODE_EXECUTIONS: Final = 10_000
RUNS: Final = 1_000_000
PAGES_DEEP: Final = 20


def large_run(engine: Engine, *, repeats: int) -> list[Measured]:
    """Measure the page of a run with 10,000 node executions, and the first page of these."""
    version = engine.save(write_document(chain(1)))
    key = engine.start(version)
    engine.await_ends([key])
    _copy_node_executions(key, NODE_EXECUTIONS)
    address = f"/v1/graphs/{version.graph_id}/executions/{key}"
    client = log_in(engine.user)
    return [
        *_measure(f"run with {NODE_EXECUTIONS:,} node executions", client, address, repeats),
        *_measure("its status", client, f"{address}?include_node_executions=false", repeats),
        *_measure("its first page", client, f"{address}/node_executions", repeats),
    ]


def long_list(engine: Engine, *, runs: int, repeats: int) -> list[Measured]:
    """Measure the first page of a user's runs and one far below, with `runs` rows in the table."""
    version = engine.save(write_document(chain(1)))
    key = engine.start(version)
    engine.await_ends([key])
    print_line(f"    copying {runs:,} runs")
    _copy_runs(key, runs, owner=engine.user)
    client = log_in(engine.user)
    below = "/v1/executions"
    for _ in range(PAGES_DEEP):
        below = get(client, below)["next"]
    return [
        *_measure(f"list of {runs:,} runs", client, "/v1/executions", repeats),
        *_measure(f"its page {PAGES_DEEP + 1}", client, below, repeats),
        *_measure("list of a graph's runs", client, f"/v1/graphs/{version.graph_id}/executions", repeats),
    ]


def _measure(name: str, client: APIClient, address: str, repeats: int) -> list[Measured]:
    get(client, address)
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        get(client, address)
        seconds.append(time.perf_counter() - began)
    with CaptureQueriesContext(connection) as queries:
        get(client, address)
    return [
        Measured(workload=name, contender="engine", samples=tuple(seconds)),
        Measured(workload=f"{name}: queries", contender="engine", samples=(float(len(queries)),), unit="count"),
    ]


def _copy_node_executions(execution_id: UUID, count: int) -> None:
    """Make `count` more node executions of a run, each with its output."""
    _copy(
        NodeExecution,
        count,
        where="execution_id = %s",
        parameters=[execution_id],
        instead={"id": "uuidv7()", "ordinal": "n"},
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Output._meta.db_table} (node_execution_id, position, pin, value)"  # noqa: S608 - our names
            f" SELECT id, 0, 'value', '1' FROM {NodeExecution._meta.db_table}"
            " WHERE execution_id = %s AND ordinal > 0 ON CONFLICT DO NOTHING",
            [execution_id],
        )
        cursor.execute(
            f"UPDATE {Execution._meta.db_table} SET node_count = %s, opened = %s WHERE id = %s",  # noqa: S608
            [count + 1, count + 1, execution_id],
        )
        cursor.execute("ANALYZE")


def _copy_runs(execution_id: UUID, count: int, *, owner: User) -> None:
    """Make `count` more runs, older than the given one, shared out among the owner and nine others."""
    others = [User.objects.create_user(username=f"other {number}").pk for number in range(9)]
    users = "(%s::int[])[1 + n %% 10]"
    _copy(
        Execution,
        count,
        where="id = %s",
        parameters=[execution_id],
        instead={"id": "uuidv7(make_interval(secs => -n))", "user_id": users},
        leading=[[owner.pk, *others]],
    )
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {Execution._meta.db_table}")


def _copy(
    model: type[Model],
    count: int,
    *,
    where: str,
    parameters: list[Any],
    instead: Mapping[str, str],
    leading: list[Any] | None = None,
) -> None:
    """Insert `count` (n = 1, 2, …) copies of the first row `where`; `instead` gives columns other values."""
    table = model._meta.db_table
    columns = [field.column for field in model._meta.concrete_fields if field.column is not None]
    wanted = ", ".join(instead.get(column, f"r.{column}") for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {wanted}"  # noqa: S608 - our own names
            f" FROM (SELECT * FROM {table} WHERE {where} ORDER BY id LIMIT 1) r, generate_series(1, %s) n",
            [*(leading or []), *parameters, count],
        )
