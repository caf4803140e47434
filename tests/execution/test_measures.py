"""What is told of a run together with all runs below it, wherever in a tree it stands."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from execution.models import Execution
from execution.services import start_execution
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.families import make_family, nest

pytestmark = pytest.mark.django_db(transaction=True)


def start_tree(user: User, drain: Drain, *, asks: bool = False) -> list[Execution]:
    """Run a graph that runs one that runs another, three times; return the runs, from the top down."""
    version = import_graph(owner=user, document=nest(make_family(asks=asks))).version
    start_execution(user=user, version=version, input_data={})
    drain.run()
    return list(Execution.objects.order_by("depth", "id").select_related("graph_version"))


def show(client: APIClient, run: Execution) -> Any:
    return client.get(f"/v1/graphs/{run.graph_version.graph_id}/executions/{run.pk}").json()


def test_cost_and_processor_time_are_those_of_a_run_and_of_all_below_it(
    client: APIClient, user: User, drain: Drain
) -> None:
    top, middle, *lowest = start_tree(user, drain)
    for run, amount in ((top, 1), (middle, 10), *((run, 100) for run in lowest)):
        Execution.objects.filter(pk=run.pk).update(cost=amount, nodes_cputime=amount)
    # Another tree of the same graphs is nobody's business here.
    start_tree(user, drain)

    stats = [show(client, run)["stats"] for run in (top, middle, *lowest)]

    assert [each["cost"] for each in stats] == [311, 310, 100, 100, 100]
    assert [each["cputime"] for each in stats] == [311, 310, 100, 100, 100]
    assert [each["nodes_cputime"] for each in stats] == [1, 10, 100, 100, 100]
    listed = client.get(f"/v1/graphs/{middle.graph_version.graph_id}/executions").json()["results"]
    assert {each["id"]: each["stats"]["cost"] for each in listed}[str(middle.pk)] == 310


def test_all_above_a_run_that_waits_for_a_person_wait_for_a_person(client: APIClient, user: User, drain: Drain) -> None:
    runs = start_tree(user, drain, asks=True)

    assert {show(client, run)["status"] for run in runs} == {"REVIEW"}
    address = f"/v1/graphs/{runs[1].graph_version.graph_id}/executions"
    assert len(client.get(address, {"status": "REVIEW"}).json()["results"]) == 1
    assert client.get(address, {"status": "RUNNING"}).json()["results"] == []
