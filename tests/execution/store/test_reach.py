"""Joins of many pins and of many values: not all that waits is read, and the answer is the same."""

import random
from typing import Any

import pytest
from django.contrib.auth.models import User

from execution.models import NodeExecution, NodeInput
from execution.models.values import FEW_PINS
from execution.planning import load_plan
from execution.services import start_execution
from execution.store.reach import FEW_OPENED
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.random_graphs import TEMPLATE
from tests.execution.reference import outputs_by_name, run_in_memory
from tests.execution.small_graphs import CONVERTER, INPUT, OUTPUT, STEP, draw
from tests.execution.small_runs import ended, outputs_of, start

WIDTH = 2 * FEW_PINS
PINS = [f"p{number}" for number in range(WIDTH)]

pytestmark = pytest.mark.django_db(transaction=True)


def draw_join(*, fires: int) -> dict[str, Any]:
    """A join of streams, one of which has two of its pins, and of a static value."""
    nodes: dict[str, Any] = {
        f"step {pin}": (STEP, {"items": [10 * number + firing for firing in range(fires)]})
        for number, pin in enumerate(PINS)
    }
    nodes |= {
        "same": (INPUT, {"name": "same", "value": "s"}),
        "join": (TEMPLATE, {"format": " ".join(f"{{{{ {pin} }}}}" for pin in ["twin", "same", *PINS]), "values": {}}),
        "out": (OUTPUT, {"name": "out"}),
    }
    arrows = [f"step {pin}.item -> join.values_#_{pin}" for pin in PINS]
    arrows += ["step p0.item -> join.values_#_twin", "same.result -> join.values_#_same", "join.output -> out.value"]
    return draw(nodes, arrows)


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_join_fires_as_in_memory(user: User, drain: Drain, seed: int, goes_on: bool) -> None:
    document = draw_join(fires=3)
    expected = run_in_memory(load_plan(import_graph(owner=user, document=document).version.pk), {})
    drain.goes_on = goes_on

    run = start(user, document)
    drain.run(order=random.Random(seed))

    wanted = outputs_by_name(expected.outputs)
    assert len(wanted["out"]) == 3
    assert outputs_of(ended(run)) == wanted
    for fired in NodeExecution.objects.filter(execution=run, later_inputs__pin="values_#_twin"):
        numbers = NodeInput.objects.filter(node_execution=fired).values_list("number", flat=True)
        assert sorted(numbers) == list(range(1, WIDTH + 3))


@pytest.mark.parametrize("seed", range(4))
def test_streams_that_come_at_different_paces_are_joined_as_in_memory(user: User, drain: Drain, seed: int) -> None:
    count = 2 * FEW_OPENED
    text = {"type": "string"}
    nodes: dict[str, Any] = {
        "step": (STEP, {"items": list(range(count))}),
        **{name: (CONVERTER, text) for name in ("b", "c", "c again")},
        "join": (TEMPLATE, {"format": "{{ a }} {{ b }} {{ c }}", "values": {}}),
        "out": (OUTPUT, {"name": "out"}),
    }
    arrows = [
        "step.item -> join.values_#_a",
        "step.item -> b.value",
        "step.item -> c.value",
        "c.value -> c again.value",
    ]
    arrows += ["b.value -> join.values_#_b", "c again.value -> join.values_#_c", "join.output -> out.value"]
    drain.goes_on = seed % 2 == 0

    run = start(user, draw(nodes, arrows))
    drain.run(order=random.Random(seed))

    assert outputs_of(ended(run))["out"] == [f"{item} {item} {item}" for item in range(count)]
    assert not NodeExecution.objects.filter(execution=run, status="INCOMPLETE").exists()


@pytest.mark.parametrize("masked", [PINS[:3], PINS[-2:], ["twin"], PINS[3:]])
def test_a_wide_join_does_not_wait_for_pins_that_are_masked(user: User, drain: Drain, masked: list[str]) -> None:
    document = draw_join(fires=2)
    version = import_graph(owner=user, document=document).version
    join = str(version.nodes.get(block_id=TEMPLATE).node_id)

    masks = {join: {f"values_#_{pin}": "m" for pin in masked}}

    run = start_execution(user=user, version=version, input_data={}, nodes_input_masks=masks)
    drain.run(order=random.Random(1))

    def expected(firing: int) -> str:
        values = {"twin": firing, "same": "s"} | {pin: 10 * number + firing for number, pin in enumerate(PINS)}
        return " ".join(str("m" if pin in masked else value) for pin, value in values.items())

    assert outputs_of(ended(run))["out"] == [expected(firing) for firing in range(2)]
