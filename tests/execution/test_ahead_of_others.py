"""Several processes run a graph and run ahead of each other: what comes out is what the machine in memory says."""

import random
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from execution.attempts import Attempt
from execution.beginning import begin, begin_next
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution
from execution.paces import Paces
from execution.planning import load_plan
from execution.queues import CPU_QUEUE, IO_QUEUE
from execution.runner import run_plain
from execution.services import start_execution
from execution.store.taking import Taker
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.going_on import always
from tests.execution.random_graphs import make_document
from tests.execution.reference import outputs_by_name, run_in_memory
from tests.execution.running_ahead import Ahead, has_orphans
from tests.execution.small_graphs import CALCULATOR, CONVERTER, OUTPUT, STEP, draw
from tests.execution.small_runs import ended, outputs_of

pytestmark = pytest.mark.django_db(transaction=True)

PROCESSES = 3


@pytest.fixture(params=[1, 100], ids=["held back", "sent"])
def window(request: pytest.FixtureRequest, settings: Settings) -> None:
    settings.RUN_WINDOW = {"cpu": request.param, "io": request.param}


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody claims several at once: with those nobody runs ahead."""
    monkeypatch.setattr(Paces, "room_after", lambda _paces, _spec: 1)
    monkeypatch.setattr(Taker, "has_room_for", lambda taker, spec: spec.queue == CPU_QUEUE and not taker.opened)


def run_beside_each_other(drain: Drain, chance: random.Random) -> None:
    """Let processes go on in turns: while one runs something and records it, others have something claimed."""
    processes: list[list[Attempt]] = []
    while processes or drain.waiting:
        if drain.waiting and len(processes) < PROCESSES:
            message = drain.waiting.pop(chance.randrange(len(drain.waiting)))
            if message.queue == IO_QUEUE:
                drain.run_one(message)
                continue
            begun = begin(message.id, publish=drain.send)
            processes += [[begun]] if begun else []
            continue
        attempts = processes.pop(chance.randrange(len(processes)))
        attempts = begin_next(run_plain(attempts, goes_on=always), publish=drain.send)
        processes += [attempts] if attempts else []


def run_it(user: User, drain: Drain, document: dict[str, Any], *, seed: int) -> tuple[Execution, dict[str, list[Any]]]:
    """Run a graph; return the run, and what the machine in memory says that comes out of it."""
    version = import_graph(owner=user, document=document).version
    expected = run_in_memory(load_plan(version.pk), {})
    run = start_execution(user=user, version=version, input_data={})
    run_beside_each_other(drain, random.Random(seed))
    assert (ended(run).status, run.opened) == (Status.COMPLETED, len(expected.steps))
    completed = NodeExecution.objects.filter(status=Status.COMPLETED)
    assert completed.count() == run.node_count
    assert not completed.exclude(attempt=1, losses=0).exists()
    assert not has_orphans()
    return run, outputs_by_name(expected.outputs)


@pytest.mark.usefixtures("window", "one_by_one")
@pytest.mark.parametrize("seed", range(8))
def test_random_graphs(user: User, drain: Drain, ahead: Ahead, seed: int) -> None:
    run, expected = run_it(user, drain, make_document(seed, size=16), seed=seed)

    assert outputs_of(run) == expected
    assert ahead.in_vain or ahead.most > 1


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize("seed", range(8))
def test_random_graphs_of_which_several_are_claimed_at_once(user: User, drain: Drain, ahead: Ahead, seed: int) -> None:
    run, expected = run_it(user, drain, make_document(200 + seed), seed=seed)

    assert outputs_of(run) == expected


@pytest.mark.usefixtures("window", "one_by_one")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ordered", [True, False])
def test_streams_through_chains_that_meet(user: User, drain: Drain, ahead: Ahead, seed: int, *, ordered: bool) -> None:
    """Of each stream the first one is run ahead, and in vain where another process was first."""
    text, plus = (CONVERTER, {"type": "number"}), (CALCULATOR, {"operation": "Add", "b": 1})
    nodes: dict[str, Any] = {
        "step": (STEP, {"items": [1, 2, 3, 4]}),
        "b": text,
        "d": text,
        "out": (OUTPUT, {"name": "out"}),
    }
    nodes |= {"a": plus, "c": plus, "join": (CALCULATOR, {"operation": "Add"})}
    arrows = ["step.item -> a.a", "a.result -> b.value", "b.value -> join.a", "step.key -> c.a", "c.result -> d.value"]
    document = draw(nodes, [*arrows, "d.value -> join.b", "join.result -> out.value"])
    for node in document["nodes"]:
        node["metadata"]["ordered"] = ordered

    run, expected = run_it(user, drain, document, seed=seed)

    assert ordered is False or outputs_of(run) == expected
    # Whichever are joined, it comes to the same in the end.
    assert sum(outputs_of(run)["out"]) == sum(expected["out"])
    assert ahead.unclaimed
