"""Wide joins: what has come is known by number until little is lacking, and the answer is the same."""

import random
from typing import Any

import pytest
from django.contrib.auth.models import User

from execution.models import NodeInput
from execution.models.values import FEW_PINS
from execution.planning import load_plan
from execution.services import start_execution
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.random_graphs import TEMPLATE
from tests.execution.reference import outputs_by_name, run_in_memory
from tests.execution.small_graphs import INPUT, OUTPUT, STEP, draw
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

    found, wanted = outputs_of(ended(run)), outputs_by_name(expected.outputs)
    assert len(wanted["out"]) == 3
    assert sorted(found["out"]) == sorted(wanted["out"])
    counts = NodeInput.objects.filter(node_execution__execution=run, pin__startswith="values_")
    assert set(counts.values_list("number", flat=True)) == set(range(1, WIDTH + 3))


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

    assert sorted(outputs_of(ended(run))["out"]) == sorted(expected(firing) for firing in range(2))
