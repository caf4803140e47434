"""Whole runs on real worker processes: the right answer, however many run at once and however often they are told."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from execution.engine.statuses import ENDED, Status
from execution.models import Execution, NodeExecution, RunOutput
from execution.planning import load_plan
from execution.services import start_execution
from execution.workers import WorkerProcesses
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.conftest import worker_environment
from tests.execution.random_graphs import make_document
from tests.execution.reference import outputs_by_name, run_in_memory

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DEADLINE_SECONDS = 90.0

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def doubling_workers(broker_server: str, transactional_db: None, tmp_path: Path) -> Iterator[WorkerProcesses]:
    """Two processes for plain blocks and one for async blocks; each message is sent twice."""
    environment = {**worker_environment(), "DJANGO_SETTINGS_MODULE": "tests.execution.twice"}
    with WorkerProcesses(concurrency=2, environment=environment, log_folder=tmp_path) as workers:
        yield workers


def import_document(user: User, document: dict[str, Any]) -> GraphVersion:
    return import_graph(owner=user, document=document).version


def import_example(user: User, name: str) -> GraphVersion:
    return import_document(user, json.loads((EXAMPLES / name).read_text()))


def wait_for_end(runs: list[Execution]) -> list[Execution]:
    deadline = time.monotonic() + DEADLINE_SECONDS
    ids = [run.pk for run in runs]
    while time.monotonic() < deadline:
        ended = list(Execution.objects.filter(pk__in=ids, status__in=ENDED))
        if len(ended) == len(ids):
            return sorted(ended, key=lambda run: ids.index(run.pk))
        time.sleep(0.05)
    raise AssertionError(f"{len(ids) - len(ended)} of {len(ids)} runs have not ended.")


def outputs_of(run: Execution) -> dict[str, list[Any]]:
    return outputs_by_name(RunOutput.objects.filter(execution=run).order_by("position").values_list("name", "value"))


def firings_of(run: Execution) -> Counter[Any]:
    """Count the firings of each node that ended as they should."""
    return Counter(
        NodeExecution.objects.filter(execution=run).exclude(status=Status.INCOMPLETE).values_list("node_id", flat=True)
    )


@pytest.mark.usefixtures("doubling_workers")
def test_many_runs_at_once_give_the_answers_of_the_machine_although_every_message_comes_twice(user: User) -> None:
    versions = [import_document(user, make_document(seed)) for seed in range(12)]
    versions += [import_example(user, "doubling.json"), import_example(user, "word_lengths.json")]
    expected = [run_in_memory(load_plan(version.pk), {}) for version in versions]

    runs = [start_execution(user=user, version=version, input_data={}) for version in versions for _ in range(3)]
    ended = wait_for_end(runs)

    for run, machine in zip(ended, [machine for machine in expected for _ in range(3)], strict=True):
        assert run.status == Status.COMPLETED
        assert outputs_of(run) == outputs_by_name(machine.outputs)
        assert firings_of(run) == Counter(key[0] for key, step in machine.steps.items() if step.status in ENDED)
        assert run.unfinished == 0
        assert run.opened == len(machine.steps)


@pytest.mark.usefixtures("doubling_workers")
def test_sub_runs_answer_once_although_every_message_comes_twice(user: User) -> None:
    version = import_example(user, "triangles.json")

    runs = wait_for_end([start_execution(user=user, version=version, input_data={}) for _ in range(4)])

    for run in runs:
        assert outputs_of(run)["Long sides"] == [13.0, 15.0, 20.0, 37.0]
        assert Execution.objects.filter(root=run, status=Status.COMPLETED).count() == 4


@pytest.mark.usefixtures("workers")
def test_a_timer_holds_no_worker(user: User) -> None:
    document = make_timers(count=20, seconds=1)

    began = time.monotonic()
    (run,) = wait_for_end([start_execution(user=user, version=import_document(user, document), input_data={})])

    # Two processes would need ten times as long if each timer held one.
    assert run.status == Status.COMPLETED
    assert len(outputs_of(run)["done"]) == 20
    assert time.monotonic() - began < 8


def make_timers(*, count: int, seconds: int) -> dict[str, Any]:
    timer, step, source, out = (f"00000000-0000-4000-8000-00000000000{n}" for n in range(4))
    nodes = [
        {
            "id": source,
            "block_id": "c0a8e994-ebf1-4a9c-a4d8-89d09c86741b",
            "input_default": {"name": "items", "value": list(range(count))},
        },
        {"id": step, "block_id": "f66a3543-28d3-4ab5-8945-9b336371e2ce", "input_default": {}},
        {"id": timer, "block_id": "d67a9c52-5e4e-11e2-bcfd-0800200c9a71", "input_default": {"seconds": seconds}},
        {"id": out, "block_id": "363ae599-353e-4804-937e-b2ee3cef3da4", "input_default": {"name": "done"}},
    ]
    ends = [
        (source, "result", step, "items"),
        (step, "item", timer, "input_message"),
        (timer, "output_message", out, "value"),
    ]
    links = [
        {
            "id": f"00000000-0000-4000-8000-0000000001{n:02}",
            "source_id": a,
            "source_name": b,
            "sink_id": c,
            "sink_name": d,
        }
        for n, (a, b, c, d) in enumerate(ends)
    ]
    return {
        "id": "00000000-0000-4000-8000-000000000999",
        "version": 1,
        "name": "timers",
        "nodes": nodes,
        "links": links,
    }
