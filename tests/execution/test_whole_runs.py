"""Whole runs on real worker processes: the right answer, however many run at once and however often they are told."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from execution.engine.statuses import ENDED, Status
from execution.models import Execution, NodeExecution, RunOutput
from execution.planning import load_plan
from execution.services import start_execution
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.execution.blocks import AsyncPauseBlock, PlainPauseBlock, TooSlowAsyncBlock, TooSlowBlock
from tests.execution.random_graphs import make_document
from tests.execution.reference import outputs_by_name, run_in_memory
from tests.execution.small_graphs import INPUT, OUTPUT, STEP, TIMER, draw

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DEADLINE_SECONDS = 180.0

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("workers")]


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


def test_many_runs_at_once_give_the_answers_of_the_machine_although_every_message_comes_twice(user: User) -> None:
    versions = [import_document(user, make_document(seed)) for seed in range(6)]
    versions += [import_example(user, "doubling.json"), import_example(user, "word_lengths.json")]
    expected = [run_in_memory(load_plan(version.pk), {}) for version in versions]

    runs = [start_execution(user=user, version=version, input_data={}) for version in versions for _ in range(2)]
    ended = wait_for_end(runs)

    for run, machine in zip(ended, [machine for machine in expected for _ in range(2)], strict=True):
        assert run.status == Status.COMPLETED
        assert outputs_of(run) == outputs_by_name(machine.outputs)
        assert firings_of(run) == Counter(key[0] for key, step in machine.steps.items() if step.status in ENDED)
        assert run.unfinished == 0
        assert run.opened == len(machine.steps)


def test_sub_runs_answer_once_although_every_message_comes_twice(user: User) -> None:
    version = import_example(user, "triangles.json")

    runs = wait_for_end([start_execution(user=user, version=version, input_data={}) for _ in range(4)])

    for run in runs:
        assert outputs_of(run)["Long sides"] == [13.0, 15.0, 20.0, 37.0]
        assert Execution.objects.filter(root=run, status=Status.COMPLETED).count() == 4


@pytest.fixture(autouse=True)
def blocks_of_the_tests(settings: Settings) -> None:
    """Let this process know the blocks that the workers of the tests have."""
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.blocks"]


def numbers_into(block_id: str, pin: str, *, count: int, **constants: Any) -> dict[str, Any]:
    """Return a graph that gives the numbers from 0 on to one node, and what it emits on `pin` to an output."""
    return draw(
        {
            "numbers": (INPUT, {"name": "numbers", "value": list(range(count))}),
            "each": (STEP, {}),
            "slow": (block_id, constants),
            "out": (OUTPUT, {"name": "out"}),
        },
        [
            "numbers.result -> each.items",
            f"each.item -> slow.{'input_message' if block_id == TIMER else 'value'}",
            f"slow.{pin} -> out.value",
        ],
    )


def test_a_timer_holds_no_worker(user: User) -> None:
    version = import_document(user, numbers_into(TIMER, "output_message", count=20, seconds=1))

    (run,) = wait_for_end([start_execution(user=user, version=version, input_data={})])

    # One after the other, or two at a time, they would take ten seconds and more.
    assert outputs_of(run) == {"out": list(range(20))}
    assert took(run) < 8


def test_hundreds_of_coroutines_run_at_once_in_one_process(user: User) -> None:
    version = import_document(user, numbers_into(AsyncPauseBlock.id, "after", count=300, seconds=1))

    (run,) = wait_for_end([start_execution(user=user, version=version, input_data={})])

    # One after the other they would take five minutes.
    assert outputs_of(run) == {"out": [float(number) for number in range(300)]}
    assert run.nodes_walltime > 5 * took(run)


@pytest.mark.parametrize("block", [PlainPauseBlock, AsyncPauseBlock])
def test_what_a_block_emits_travels_while_it_still_runs(user: User, block: type[PlainPauseBlock]) -> None:
    version = import_document(user, numbers_into(block.id, "before", count=1, seconds=2))

    (run,) = wait_for_end([start_execution(user=user, version=version, input_data={})])

    slow, out = (NodeExecution.objects.get(execution=run, node_id=find_node(version, name)) for name in ("slow", "out"))
    assert out.ended_at is not None
    assert slow.ended_at is not None
    assert out.ended_at < slow.ended_at


@pytest.mark.parametrize("block", [TooSlowBlock, TooSlowAsyncBlock])
def test_a_block_that_takes_too_long_fails_and_its_worker_goes_on(user: User, block: type[PlainPauseBlock]) -> None:
    version = import_document(user, numbers_into(block.id, "error", count=3, seconds=30))

    (run,) = wait_for_end([start_execution(user=user, version=version, input_data={})])

    assert run.status == Status.COMPLETED
    assert run.node_error_count == 3
    assert outputs_of(run) == {"out": ["The block took longer than its limit of 0.5 s."] * 3}


def took(run: Execution) -> float:
    """Return how long a run took, in seconds."""
    assert run.ended_at is not None
    return (run.ended_at - run.created_at).total_seconds()


def find_node(version: GraphVersion, name: str) -> UUID:
    """Return the id of the node with this name."""
    return next(node.node_id for node in version.nodes.all() if node.metadata["customized_name"] == name)
