"""A node that fails while its sub-run goes on takes that with it, in the same transaction."""

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from execution.engine.statuses import ENDED, Status
from execution.examination import examine
from execution.models import Execution, NodeExecution
from execution.planning import load_plan
from execution.recovery import sweep
from execution.services import start_execution
from execution.store.claims import claim
from execution.store.runs import wake
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.families import make_family

# Whoever examines the broker, too, must not find what others have left there.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]


def start_family(user: User, drain: Drain) -> tuple[Execution, NodeExecution]:
    """Start a run whose sub-runs wait for a person; return it, and one of the node executions that wait for them."""
    version = import_graph(owner=user, document=make_family(asks=True)).version
    run = start_execution(user=user, version=version, input_data={})
    drain.run()
    named = {node.name: node.id for node in load_plan(version.pk).plan.nodes.values()}
    return run, NodeExecution.objects.get(execution=run, node_id=named["agent"], ordinal=1)


def test_what_loses_its_worker_too_often_leaves_no_sub_run_behind(user: User, drain: Drain, settings: Settings) -> None:
    settings.LEASE_SECONDS = 0.002
    run, agent = start_family(user, drain)
    NodeExecution.objects.filter(pk=agent.pk).update(losses=settings.MAX_LOSSES - 1)
    wake([agent.pk])
    assert claim(agent.pk, lease_seconds=-1) is not None

    sweep(drain.send)

    agent.refresh_from_db()
    assert agent.status == Status.FAILED
    sub_run = Execution.objects.get(parent=agent)
    assert (sub_run.status, sub_run.error) == (Status.TERMINATED, "What started it has failed.")
    assert not NodeExecution.objects.filter(execution=sub_run).exclude(status__in=ENDED).exists()
    others = Execution.objects.filter(parent__execution=run).exclude(pk=sub_run.pk)
    assert {other.status for other in others} == {Status.RUNNING}
    run.refresh_from_db()
    assert (run.status, run.node_error_count) == (Status.RUNNING, 1)
    assert examine() == []
