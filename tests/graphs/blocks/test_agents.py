"""The agent block asks for a run of another graph; its outputs are that run's."""

from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from graphs.blocks.agents import AgentExecutorBlock
from graphs.blocks.contract import Kind, RunGraph
from tests.graphs.blocks.running import Ran, run_block

GRAPH = "0190f3f4-0000-7000-8000-000000000000"
CONSTANTS = {
    "user_id": "somebody",
    "graph_id": GRAPH,
    "graph_version": 2,
    "inputs": {"City": "Graz"},
    "input_schema": {"type": "object"},
    "output_schema": {"type": "object"},
}


def execute(**inputs: Any) -> Ran:
    return run_block(AgentExecutorBlock(), {**CONSTANTS, **inputs})


def test_the_other_graph_is_to_run_with_the_inputs_and_masks() -> None:
    ran = execute(nodes_input_masks={"node": {"pin": 1}})

    assert ran.outputs == []
    assert ran.waits == [
        RunGraph(
            graph_id=UUID(GRAPH),
            graph_version=2,
            inputs={"City": "Graz"},
            nodes_input_masks={"node": {"pin": 1}},
        )
    ]


def test_a_graph_id_that_is_none_is_an_error() -> None:
    ran = execute(graph_id="calculator")

    assert ran.waits == []
    assert ran.outputs == [("error", "There is no graph 'calculator': that is not a UUID.")]


@pytest.mark.parametrize("pin", sorted(CONSTANTS))
def test_every_constant_is_needed(pin: str) -> None:
    with pytest.raises(ValidationError, match=pin):
        run_block(AgentExecutorBlock(), {name: value for name, value in CONSTANTS.items() if name != pin})


def test_it_is_of_the_kind_that_runs_graphs() -> None:
    assert AgentExecutorBlock.kind is Kind.AGENT
