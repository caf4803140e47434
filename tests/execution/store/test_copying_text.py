"""A replay takes over whatever JSON can write, also what PostgreSQL has no text for: NUL, halves of surrogate pairs."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, NodeInput, StaticValue
from execution.reporting import find_outputs
from execution.services import replay_execution, start_execution
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.small_graphs import CALCULATOR, INPUT, OUTPUT, STEP, draw, node_id

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]

NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "in": (INPUT, {"name": "in"}),
    "each": (STEP, {}),
    "out": (OUTPUT, {"name": "out"}),
    "part": (OUTPUT, {"name": "part"}),
    # Without their other pin these wait for ever.
    "wait": (CALCULATOR, {"operation": "Add"}),
    "hold": (CALCULATOR, {"operation": "Add"}),
    "keep": (CALCULATOR, {"operation": "Add"}),
    "remember": (CALCULATOR, {"operation": "Add"}),
    "late": (INPUT, {"name": "läte"}),
}
ARROWS = [
    "in.result -> each.items",
    "in.result_$_0 -> part.value",
    "each.item -> out.value",
    "each.item -> wait.a",
    "in.result_$_0 -> hold.a",
    "in.result_$_0 -> keep.a",
    "each.item -> remember.a",
    "late.result -> wait.b",
    "late.result -> hold.b",
    "late.result -> keep.b",
    "late.result -> remember.b",
]
STATIC = {node_id(arrow) for arrow in ARROWS if "keep.a" in arrow or "remember.a" in arrow}
VALUES: list[Any] = [
    "a\u0000b",
    "\ud800",
    "\udc00\ud800",
    {"k\u0000": 1, "ä": ["\u0000\udfff"]},
    {"$stored": {"path": "\u0000", "bytes": 1}},
    '\U0001f600 ä \u007fu0000 \u007fb \\u0000 \\\\ud800 " / \n',
    {"\\": "\\", "\\u0000": '\\"', "\u007f": "\u007f"},
]


def draw_all() -> dict[str, Any]:
    document = draw(NODES, ARROWS)
    for link in document["links"]:
        link["is_static"] = link["id"] in STATIC
    return document


def run_to_its_end(user: User, drain: Drain, value: Any) -> Execution:
    run = start_execution(
        user=user,
        version=import_graph(owner=user, document=draw_all()).version,
        input_data={"in": [value, [value], 1]},
    )
    drain.run()
    run.refresh_from_db()
    return run


def replay(run: Execution, pin: str) -> Execution:
    """Replay from the first node execution that has emitted on `pin`."""
    chosen = NodeExecution.objects.filter(execution=run, outputs__pin=pin).earliest("id")
    return replay_execution(execution_id=run.pk, node_execution_id=chosen.pk)


def account(run: Execution) -> dict[str, list[Any]]:
    """Return all values of a run's rows."""
    rows = NodeExecution.objects.filter(execution=run).order_by("node_id", "ordinal")
    later = NodeInput.objects.filter(node_execution__execution=run).order_by(
        "node_execution__node_id", "node_execution__ordinal", "pin"
    )
    statics = StaticValue.objects.filter(execution=run).order_by("node_id", "pin")
    return {
        # What waited for more has its values in rows of their own until it is copied.
        "inputs": [{**row.inputs, **dict(row.later_inputs.values_list("pin", "value"))} for row in rows],
        "emitted": [list(row.outputs.order_by("position").values_list("pin", "value")) for row in rows],
        "later": list(later.filter(node_execution__status=Status.INCOMPLETE).values_list("pin", "value")),
        "statics": list(statics.values_list("pin", "value")),
    }


@pytest.mark.parametrize("value", VALUES, ids=ascii)
@pytest.mark.parametrize("pin", ["result", "item", "output"])
def test_a_replay_has_the_text_of_its_origin(user: User, drain: Drain, value: Any, pin: str) -> None:
    origin = run_to_its_end(user, drain, value)
    assert find_outputs(origin) == {"out": [value, [value], 1], "part": [value]}
    assert account(origin)["later"] and account(origin)["statics"]

    run = origin
    for _ in range(2):  # what was copied is copied again
        run = replay(run, pin)
        drain.run()
        run.refresh_from_db()

        assert run.status == Status.COMPLETED
        assert find_outputs(run) == find_outputs(origin)
        assert account(run) == account(origin)


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_equal_text_is_found_to_be_equal(user: User, drain: Drain, value: Any) -> None:
    origin = run_to_its_end(user, drain, value)

    copy = replay(origin, "output")
    drain.run()

    for run in (origin, copy):
        again = replay(run, "output")
        assert NodeExecution.objects.filter(execution=again, status=Status.QUEUED).count() == 1
