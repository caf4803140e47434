"""A graph that runs another one."""

from typing import Any

from tests.execution.small_graphs import ASK, CALCULATOR, INPUT, OUTPUT, STEP, draw, node_id

AGENT = "e189baac-8c20-45a1-94a7-55177ea42565"


def make_family(*, asks: bool = False, shows_errors: bool = False) -> dict[str, Any]:
    """Return a graph that runs another one for each of three numbers; that one adds 1, and may ask a person."""
    errors: dict[str, Any] = {"errors": (OUTPUT, {"name": "errors"})} if shows_errors else {}
    sub = draw(
        {
            "n": (INPUT, {"name": "n"}),
            "add": (CALCULATOR, {"operation": "Add", "b": 1}),
            "m": (OUTPUT, {"name": "m"}),
            **({"wait": (ASK, {"name": "wait", "data": 1})} if asks else {}),
        },
        ["n.result -> add.a", "add.result -> m.value"],
    )
    sub["id"] = node_id("sub")
    schema: dict[str, Any] = {"input_schema": {"properties": {"n": {}}}, "output_schema": {"properties": {"m": {}}}}
    agent = {"graph_id": sub["id"], "graph_version": 1, "inputs": {}, **schema}
    document = draw(
        {
            "in": (INPUT, {"name": "in", "value": [1, 2, 3]}),
            "each": (STEP, {}),
            "agent": (AGENT, agent),
            "out": (OUTPUT, {"name": "out"}),
            **errors,
        },
        [
            *("in.result -> each.items", "each.item -> agent.n", "agent.m -> out.value"),
            *("agent.error -> errors.value" for _ in errors),
        ],
    )
    return {**document, "sub_graphs": [sub]}


def nest(below: dict[str, Any]) -> dict[str, Any]:
    """Return a graph that runs this one, with all that it runs itself."""
    agent = {"graph_id": below["id"], "graph_version": 1, "inputs": {}, "input_schema": {}, "output_schema": {}}
    document = draw({"top": (AGENT, agent)})
    return {**document, "id": "top", "sub_graphs": [below, *below["sub_graphs"]]}
