"""What runs below other runs used: it is the run's at the top, and of its graph, in the history and in all sums."""

from importlib import import_module
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from pytest_django import Settings
from rest_framework.test import APIClient

from credits.auditing import find_faults
from credits.models import LedgerEntry, RunCost
from execution.engine.statuses import Status
from execution.models import Execution
from execution.reporting import get_run, measure
from graphs.models import GraphVersion
from tests.credits.booking import history, set_balance
from tests.execution.charging.paid_runs import save, start
from tests.execution.drain import Drain
from tests.execution.paid_blocks import PAID
from tests.execution.small_graphs import OUTPUT

pytestmark = pytest.mark.django_db(transaction=True)

AGENT = "e189baac-8c20-45a1-94a7-55177ea42565"


def call(version: GraphVersion) -> tuple[str, dict[str, Any]]:
    """Return a node that runs a graph."""
    pins = {"input_schema": {"properties": {}}, "output_schema": {"properties": {"Out": {}}}}
    return AGENT, {"graph_id": str(version.graph_id), "graph_version": version.version, "inputs": {}, **pins}


@pytest.fixture
def leaf(payer: User) -> GraphVersion:
    """A graph that costs 7."""
    set_balance(payer.pk, 1_000)
    return save(payer, {"a": (PAID, {"value": 5}), "out": (OUTPUT, {"name": "Out"})}, ["a.value -> out.value"])


@pytest.fixture
def top(payer: User, leaf: GraphVersion) -> GraphVersion:
    """A graph that runs, twice, another one that runs `leaf` and costs 7 itself; then it costs 20."""
    middle = save(
        payer,
        {"leaf": call(leaf), "a": (PAID, {}), "out": (OUTPUT, {"name": "Out"})},
        ["leaf.Out -> a.value", "a.value -> out.value"],
    )
    return save(
        payer,
        {"one": call(middle), "two": call(middle), "a": (PAID, {"size": "large"}), "b": (PAID, {"size": "large"})},
        ["one.Out -> a.value", "two.Out -> b.value"],
    )


def sums(client: APIClient, *by: str, **query: Any) -> list[tuple[Any, ...]]:
    names = {"day": "day", "block": "block_id", "graph": "graph_id", "run": "execution_id"}
    found = client.get("/v1/credits/summary", {"by": by, **query}).json()
    return [(*(each[names[name]] for name in by), each["cost"], each["charges"]) for each in found]


def test_a_tree_of_runs_is_one_line_and_of_one_graph(
    client: APIClient, payer: User, top: GraphVersion, drain: Drain, settings: Settings
) -> None:
    settings.NODE_EXECUTIONS_PER_CREDIT = 1
    run = start(payer, top)
    drain.run()
    run.refresh_from_db()
    nodes = sum(Execution.objects.values_list("node_count", flat=True))
    total, entries = 4 * 7 + 2 * 20 + nodes, LedgerEntry.objects.filter(type="USAGE").count()

    first = LedgerEntry.objects.filter(type="USAGE").earliest("sequence")
    (line,) = history(client, type="USAGE")
    expanded = history(client, execution_id=run.pk, page_size=200)

    assert (run.status, Execution.objects.count(), nodes) == (Status.COMPLETED, 5, 2 * 2 + 2 * 3 + 4)
    assert first.execution_id != run.pk
    graph, key = str(top.graph_id), str(run.pk)
    assert (line["execution_id"], line["graph_id"], line["amount"], line["entry_count"]) == (
        key,
        graph,
        -total,
        entries,
    )
    assert len(expanded) == entries == 6 + 5
    assert {each["execution_id"] for each in expanded} == {str(each.pk) for each in Execution.objects.all()}
    assert len({each["graph_id"] for each in expanded}) == 3
    assert {each["root_graph_id"] for each in expanded} == {graph}
    assert sum(each["amount"] for each in expanded) == -total
    assert sums(client, "graph") == [(graph, total, entries)]
    assert sums(client, "run") == [(key, total, entries)]
    assert sums(client, "run", "graph") == [(key, graph, total, entries)]
    assert sum(cost for _day, cost, _count in sums(client, "day")) == total
    assert sum(cost for _block, cost, _count in sums(client, "block")) == total
    assert sums(client, "block", graph_id=graph) == sums(client, "block") == sums(client, "block", execution_id=key)
    assert measure(get_run(execution_id=run.pk))["cost"] == total
    below = Execution.objects.filter(depth__gt=0).order_by("depth")
    assert [measure(get_run(execution_id=each.pk))["cost"] for each in below] == [19, 19, 9, 9]
    assert graph in client.get("/v1/credits/transactions.csv").content.decode().splitlines()[-1]
    assert find_faults() == ()


def test_a_graph_that_runs_by_itself_and_below_another_is_told_apart(
    client: APIClient, payer: User, leaf: GraphVersion, top: GraphVersion, drain: Drain
) -> None:
    start(payer, top)
    start(payer, leaf)

    drain.run()

    assert sums(client, "graph") == [(str(top.graph_id), 68, 6), (str(leaf.graph_id), 7, 1)]
    assert sums(client, "day", graph_id=leaf.graph_id)[0][1:] == (7, 1)


@pytest.mark.parametrize("is_gone", [False, True])
def test_what_is_in_the_books_already_is_given_its_graph(
    client: APIClient, payer: User, top: GraphVersion, drain: Drain, is_gone: bool
) -> None:
    run = start(payer, top)
    drain.run()
    right = sums(client, "graph")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE credits_ledgerentry DISABLE TRIGGER entry_is_immutable")
        cursor.execute("UPDATE credits_ledgerentry SET root_graph_id = NULL")
        cursor.execute(
            "UPDATE credits_runcost r SET graph_id = e.graph_id FROM credits_ledgerentry e WHERE e.type = 'USAGE'"
        )
        cursor.execute("ALTER TABLE credits_ledgerentry ENABLE TRIGGER entry_is_immutable")
    split = sums(client, "graph")
    if is_gone:
        Execution.objects.all().delete()

    with connection.schema_editor() as editor:
        editor.execute(import_module("execution.migrations.0020_graphs_of_roots").FORWARD)

    assert len(split) == 3
    assert sums(client, "graph") == right
    assert RunCost.objects.get().graph_id == top.graph_id
    assert [each["execution_id"] for each in history(client, type="USAGE")] == [str(run.pk)]
    assert find_faults() == ()
