"""What users run during a chaos run, and the answer that each graph must give however often its workers die."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.models import User

from execution.engine.statuses import Status
from execution.planning import load_plan
from graphs.services import import_graph
from tests.execution.blocks import AsyncPauseBlock, PlainPauseBlock
from tests.execution.failing_blocks import FLAKY
from tests.execution.families import AGENT
from tests.execution.random_graphs import make_document
from tests.execution.reference import outputs_by_name, run_in_memory
from tests.execution.small_graphs import INPUT, OUTPUT, STEP, TIMER, draw, node_id

EXAMPLES: Final = Path(__file__).resolve().parents[2] / "examples"
RANDOM_GRAPHS: Final = 5

Emitted = list[tuple[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a run must end that nobody stops.

    `steps` maps (node, ordinal) to how that firing ended and what it emitted, where the machine in memory knows it.
    `sub_runs` counts the runs below.
    """

    outputs: Mapping[str, list[Any]]
    steps: Mapping[tuple[UUID, int], tuple[Status, Emitted]] | None = None
    sub_runs: int = 0


@dataclass(frozen=True, kw_only=True)
class Task:
    """A graph that users run."""

    name: str
    version_id: UUID
    answer: Answer


def make_tasks(user: User, chance: random.Random) -> list[Task]:
    """Save the graphs, and find out what they answer when nobody disturbs them."""
    computed = {name: json.loads((EXAMPLES / name).read_text()) for name in ("doubling.json", "word_lengths.json")}
    for seed in chance.sample(range(1000), RANDOM_GRAPHS):
        computed[f"random {seed}"] = make_document(seed, size=chance.randint(6, 12))
    tasks = []
    for name, document in computed.items():
        version_id = _save(user, document)
        tasks.append(Task(name=name, version_id=version_id, answer=_compute(version_id)))
    for name, (document, answer) in _with_known_answers().items():
        tasks.append(Task(name=name, version_id=_save(user, document), answer=answer))
    return tasks


def _save(user: User, document: dict[str, Any]) -> UUID:
    version_id: UUID = import_graph(owner=user, document=document).version.pk
    return version_id


def _compute(version_id: UUID) -> Answer:
    machine = run_in_memory(load_plan(version_id), {})
    return Answer(
        outputs=outputs_by_name(machine.outputs),
        steps={key: (step.status, list(step.emitted)) for key, step in machine.steps.items()},
    )


def _with_known_answers() -> dict[str, tuple[dict[str, Any], Answer]]:
    long_sides = [13.0, 15.0, 20.0, 37.0]
    short_sides = [5, 9, 16, 35]
    triangles: dict[str, list[Any]] = {
        "Long sides": long_sides,
        "Sentences": [
            f"a triangle of {short} and 12 has a long side of {long}"
            for short, long in zip(short_sides, long_sides, strict=True)
        ],
    }
    return {
        "triangles.json": (
            json.loads((EXAMPLES / "triangles.json").read_text()),
            Answer(outputs=triangles, sub_runs=4),
        ),
        "family": (_make_family(), Answer(outputs={"out": [1.0, 2.0, 3.0]}, sub_runs=3)),
        "timer": (numbers_into(TIMER, ["output_message"], count=6, seconds=1), _numbers("output_message", count=6)),
        "plain pauses": (
            numbers_into(PlainPauseBlock.id, ["before", "after"], count=5, seconds=0.6),
            _numbers("before", "after", count=5),
        ),
        "long plain pause": (
            numbers_into(PlainPauseBlock.id, ["before", "after"], count=2, seconds=4),
            _numbers("before", "after", count=2),
        ),
        "async pauses": (
            numbers_into(AsyncPauseBlock.id, ["before", "after"], count=12, seconds=1),
            _numbers("before", "after", count=12),
        ),
        "long async pause": (
            numbers_into(AsyncPauseBlock.id, ["before", "after"], count=3, seconds=4),
            _numbers("before", "after", count=3),
        ),
        "retries": (numbers_into(FLAKY, ["before", "after"], count=3), _numbers("before", "after", count=3)),
    }


def _numbers(*pins: str, count: int) -> Answer:
    return Answer(outputs={pin: list(range(count)) for pin in pins})


def numbers_into(block_id: str, pins: list[str], *, count: int, **constants: Any) -> dict[str, Any]:
    """Return a graph that gives the numbers from 0 on to one node, and what it emits on each pin to an output."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "numbers": (INPUT, {"name": "numbers", "value": list(range(count))}),
        "each": (STEP, {}),
        "slow": (block_id, constants),
    }
    arrows = [
        "numbers.result -> each.items",
        f"each.item -> slow.{'input_message' if block_id == TIMER else 'value'}",
    ]
    for pin in pins:
        nodes[pin] = (OUTPUT, {"name": pin})
        arrows.append(f"slow.{pin} -> {pin}.value")
    return draw(nodes, arrows)


def _make_family() -> dict[str, Any]:
    """Return a graph that runs another one for each of three numbers; that one takes its time."""
    sub = draw(
        {
            "n": (INPUT, {"name": "n"}),
            "pause": (PlainPauseBlock.id, {"seconds": 0.4}),
            "m": (OUTPUT, {"name": "m"}),
        },
        ["n.result -> pause.value", "pause.after -> m.value"],
    )
    sub["id"] = node_id("slow sub")
    schema: dict[str, Any] = {"input_schema": {"properties": {"n": {}}}, "output_schema": {"properties": {"m": {}}}}
    document = draw(
        {
            "in": (INPUT, {"name": "in", "value": [1, 2, 3]}),
            "each": (STEP, {}),
            "agent": (AGENT, {"graph_id": sub["id"], "graph_version": 1, "inputs": {}, **schema}),
            "out": (OUTPUT, {"name": "out"}),
        },
        ["in.result -> each.items", "each.item -> agent.n", "agent.m -> out.value"],
    )
    return {**document, "sub_graphs": [sub]}
