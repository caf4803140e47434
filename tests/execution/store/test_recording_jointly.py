"""What is recorded together leaves the rows that it leaves when it is recorded one after the other."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from pytest_django import Settings

from execution.engine.outputs import ERROR_PIN
from execution.engine.statuses import Status
from execution.large_values import find_reference
from execution.models import Execution, NodeExecution, OnError, StaticValue
from execution.models.values import FEW_PINS
from execution.planning import load_plan
from execution.store.claims import Claimed, claim
from execution.store.parts import End, Part
from execution.store.reach import FEW_OPENED
from execution.store.recording import JointlyRecorded, open_writer, record, record_jointly
from execution.store.starting import Order, start_run
from execution.store.taking import Taker
from execution.store.window import FEW_MESSAGES
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.execution.small_graphs import CALCULATOR, CONVERTER, INPUT, OUTPUT, STEP, draw, node_id
from tests.execution.small_runs import outputs_of

pytestmark = pytest.mark.django_db

Key = tuple[str, int]
"""The name of a node, and which of its executions it is."""

COUNT = 6
STREAMS = ("a", "b", "unordered", "out")
WIDE = [f"w{number}" for number in range(FEW_PINS + 4)]
FIRST: list[Key] = [
    ("static", 0),
    *((name, ordinal) for name in STREAMS for ordinal in range(COUNT)),
    *((name, 0) for name in WIDE),
]


@pytest.fixture(autouse=True)
def roomy_window(settings: Settings) -> None:
    """Nothing is held back: that depends on how many node executions are unfinished in the middle of it all."""
    settings.RUN_WINDOW = {"cpu": 1000, "io": 1000}


@pytest.fixture
def version(user: User) -> GraphVersion:
    """Streams, of which one isn't ordered, that are joined with each other, with a static value, and many at once."""
    text, add = (CONVERTER, {"type": "string"}), (CALCULATOR, {"operation": "Add"})
    nodes: dict[str, Any] = {
        "step": (STEP, {}),
        "static": (INPUT, {"name": "static"}),
        **{name: text for name in ("a", "b", "unordered", "next", *WIDE)},
        **{name: add for name in ("join", "static join", "mixed join")},
        **{name: (OUTPUT, {"name": name}) for name in ("out", "errors", "wide join")},
    }
    arrows = [
        *(f"step.item -> {name}.value" for name in STREAMS),
        *(f"step.first -> {name}.value" for name in WIDE),
        *(f"{name}.value -> wide join.value_#_{name}" for name in WIDE),
        *("a.value -> join.a", "b.value_$_0 -> join.b", "a.error -> errors.value"),
        *("a.value -> static join.a", "static.result -> static join.b"),
        *("a.value -> next.value", "unordered.value -> mixed join.a", "b.value -> mixed join.b"),
    ]
    document = draw(nodes, arrows)
    for node in document["nodes"]:
        node["metadata"]["ordered"] = node["id"] != node_id("unordered")
    return import_graph(owner=user, document=document).version


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one node execution has emitted, and its end if it has ended."""

    key: Key
    outputs: list[tuple[str, Any]]
    end: End | None


@dataclass(kw_only=True)
class Twin:
    """A run whose streams and INPUT node run. It is the same as another one of the same graph."""

    execution_id: UUID
    names: dict[UUID, str]
    claims: dict[Key, Claimed] = field(default_factory=dict)
    positions: dict[Key, int] = field(default_factory=dict)

    def part(self, step: Step) -> Part:
        claimed, position = self.claims[step.key], self.positions.get(step.key, 0)
        self.positions[step.key] = position + len(step.outputs)
        writer = open_writer(claimed)
        return Part(claimed=claimed, outputs=step.outputs, position=position, end=step.end, writer=writer)

    def record(self, steps: Iterable[Step]) -> None:
        for part in map(self.part, steps):
            assert record(part.claimed, outputs=part.outputs, position=part.position, end=part.end).accepted

    def record_together(self, steps: Sequence[Step], *, taker: Taker | None = None) -> JointlyRecorded:
        recorded = record_jointly([self.part(step) for step in steps], taker=taker)
        assert recorded.accepted == {self.claims[step.key].token for step in steps}
        return recorded

    def find(self, status: Status) -> set[UUID]:
        rows = NodeExecution.objects.filter(execution=self.execution_id, status=status)
        return set(rows.values_list("id", flat=True))

    def claim_all(self) -> None:
        for node in NodeExecution.objects.filter(execution=self.execution_id, status=Status.QUEUED):
            claimed = claim(node.pk, lease_seconds=1000)
            assert claimed is not None
            self.claims[self.names[node.node_id], node.ordinal] = claimed

    def rows(self) -> dict[Any, Any]:
        """Return what can be seen of the run: what is taken to go on with is as ready as what is sent."""
        run = Execution.objects.get(pk=self.execution_id)
        nodes = NodeExecution.objects.filter(execution=run).prefetch_related("outputs", "later_inputs")
        statics = StaticValue.objects.filter(execution=run)
        return {
            "run": (run.status, run.error, run.unfinished, run.opened, run.output_count),
            "counted": (run.node_count, run.node_error_count, run.nodes_walltime, run.nodes_cputime),
            "outputs": outputs_of(run),
            "statics": {(self.names[each.node_id], each.pin): each.value for each in statics},
        } | {(self.names[node.node_id], node.ordinal): self._describe(node) for node in nodes}

    def _describe(self, node: NodeExecution) -> tuple[Any, ...]:
        is_known = (self.names[node.node_id], node.ordinal) in self.claims
        is_taken = node.status == Status.RUNNING and not is_known
        inputs = node.inputs | {each.pin: each.value for each in node.later_inputs.all()}
        outputs = sorted((each.position, each.pin, each.value) for each in node.outputs.all())
        status = Status.QUEUED if is_taken else node.status
        return status, node.ended_at is not None, node.log, node.walltime, node.output_count, outputs, inputs


def begin(version: GraphVersion, *, count: int = COUNT) -> Twin:
    """Start a run in which `count` executions of each stream's node run."""
    graph = load_plan(version.pk)
    order = Order(user_id=version.graph.owner_id, graph=graph, input_data={})
    twin = Twin(
        execution_id=start_run(order).execution_id, names={key: node.name for key, node in graph.plan.nodes.items()}
    )
    twin.claim_all()
    items = [*(("item", number) for number in range(count)), ("first", 0)]
    twin.record([Step(key=("step", 0), outputs=items, end=End(status=Status.COMPLETED))])
    twin.claim_all()
    return twin


class Author:
    """Makes up what node executions do."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._left = list(FIRST)

    def pick(self, count: int, *, ends: float) -> list[Step]:
        """Return what so many do next, in any order; whether one ends with it is left to chance."""
        keys = self._chance.sample(self._left, min(count, len(self._left)))
        steps = [self._step(key, ends=self._chance.random() < ends) for key in keys]
        ended = {step.key for step in steps if step.end is not None}
        self._left = [key for key in self._left if key not in ended]
        return steps

    def _step(self, key: Key, *, ends: bool) -> Step:
        (name, ordinal), number = key, self._chance.randrange(1000)
        # With one value for each pin of the wide join, and one of the static value, the order of arrival is no matter.
        once = name in WIDE or name == "static"
        count = int(ends) if once else self._chance.randrange(4)
        pin = {"static": "result", "out": "output"}.get(name, "value")
        value: Any = [number, ordinal] if name == "b" else f"{name}#{ordinal} {number}"
        outputs = [(pin, value) for _ in range(count)]
        if not ends:
            return Step(key=key, outputs=outputs, end=None)
        fails = name == "a" and self._chance.random() < 0.3
        if fails:
            outputs.append((ERROR_PIN, "bad"))
        status = Status.FAILED if fails else Status.COMPLETED
        end = End(status=status, error="bad" if fails else "", walltime=number, cputime=ordinal, log=f"{number}\n")
        return Step(key=key, outputs=outputs, end=end)


@pytest.mark.parametrize("seed", range(30))
def test_the_rows_are_those_of_one_record_after_the_other(version: GraphVersion, seed: int) -> None:
    author, (together, apart) = Author(seed), (begin(version), begin(version))
    before, at_once, after = author.pick(12, ends=0.5), author.pick(8 + seed, ends=0.8), author.pick(100, ends=1)
    for twin in (together, apart):
        twin.record(before)
    was_queued = together.find(Status.QUEUED)

    recorded = together.record_together(at_once)
    apart.record(at_once)

    assert together.rows() == apart.rows()
    assert {ready.id for ready in recorded.ready} == together.find(Status.QUEUED) - was_queued
    for twin in (together, apart):
        twin.record(after)
    assert together.rows() == apart.rows()


@pytest.mark.usefixtures("quick_blocks")
@pytest.mark.parametrize("seed", range(10))
def test_they_are_if_the_process_goes_on_with_some_of_what_this_makes_ready(version: GraphVersion, seed: int) -> None:
    author, (together, apart) = Author(seed), (begin(version), begin(version))
    before, at_once = author.pick(4, ends=0.5), author.pick(100, ends=1)
    for twin in (together, apart):
        twin.record(before)
    was_queued, was_running = together.find(Status.QUEUED), together.find(Status.RUNNING)

    taker = Taker(together.claims[at_once[0].key], lease_seconds=1000)
    recorded = together.record_together(at_once, taker=taker)
    apart.record(at_once)

    opened = together.find(Status.RUNNING) - was_running
    assert together.rows() == apart.rows()
    assert {claimed.id for claimed in taker.claimed} == opened
    assert 1 < len(opened) <= django_settings.MOST_AT_ONCE
    assert len({claimed.token for claimed in taker.claimed}) == len(opened)
    held_back = NodeExecution.objects.filter(execution=together.execution_id, status=Status.QUEUED, held_back=True)
    to_send = {ready.id for ready in taker.unsent} | {ready.id for ready, _ in taker.to_claim}
    assert (recorded.ready, len(to_send)) == ((), FEW_MESSAGES)
    assert to_send | set(held_back.values_list("pk", flat=True)) == together.find(Status.QUEUED) - was_queued


def end_with(name: str, ordinals: Iterable[int], value: Callable[[int], Any] = str) -> list[Step]:
    """Let executions of a node emit one value each, and complete."""
    end = End(status=Status.COMPLETED)
    return [Step(key=(name, ordinal), outputs=[("value", value(ordinal))], end=end) for ordinal in ordinals]


@pytest.mark.parametrize("held", [0, 4])
def test_as_many_that_wait_for_a_pin_are_read_as_can_be_given_it(version: GraphVersion, held: int) -> None:
    count = 2 * FEW_OPENED
    twin = begin(version, count=count)
    twin.record(end_with("a", range(count)))
    # They stand behind the others, so they travel with the end of these.
    twin.record(end_with("b", range(8, 8 + held), lambda ordinal: [ordinal]))

    twin.record_together(end_with("b", range(8), lambda ordinal: [ordinal]))

    rows = twin.rows()
    joins = [rows["join", ordinal] for ordinal in range(count)]
    assert ("join", count) not in rows
    assert [status for status, *_ in joins] == [Status.QUEUED] * (8 + held) + [Status.INCOMPLETE] * (count - 8 - held)
    assert [inputs.get("b") for *_, inputs in joins[: 8 + held]] == list(range(8 + held))


def test_a_large_value_is_neither_read_nor_written_again_while_the_run_is_locked(
    version: GraphVersion, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LARGE_VALUE_BYTES = 100
    twin = begin(version)
    opened: list[str] = []
    monkeypatch.setattr(default_storage, "open", opened.append)

    twin.record_together(end_with("a", range(3), lambda ordinal: str(ordinal) * 200))

    forms = [twin.rows()["next", ordinal][-1]["value"] for ordinal in range(3)]
    emitted = [outputs[0][2] for *_, outputs, _ in (twin.rows()["a", ordinal] for ordinal in range(3))]
    assert forms == emitted
    assert all(find_reference(form) for form in forms)
    assert not opened


def test_a_failure_that_fails_the_run_leaves_what_has_completed_with_it(version: GraphVersion) -> None:
    twin = begin(version)
    Execution.objects.update(on_error=OnError.FAIL_RUN)
    failed = Step(key=("a", 1), outputs=[(ERROR_PIN, "bad")], end=End(status=Status.FAILED, error="bad"))

    twin.record_together([*end_with("a", [0]), failed, *end_with("b", [0])])

    rows = twin.rows()
    stood = {key: row[0] for key, row in rows.items() if isinstance(key, tuple) and key != ("step", 0)}
    completed = [stood.pop(key) for key in (("a", 0), ("b", 0))]
    assert rows["run"][:3] == (Status.FAILED, "“a” failed: bad", 0)
    assert (completed, stood.pop(("a", 1))) == ([Status.COMPLETED] * 2, Status.FAILED)
    assert (set(stood.values()), ("errors", 0) in stood) == ({Status.TERMINATED}, False)
    assert rows["counted"][:2] == (4, 1)
