"""What leaves a run."""

from execution.engine.outputs import output_name, run_outputs
from tests.execution.engine.sketches import node_id, sketch

OUTPUTS = [("output", 1), ("name", "not this"), ("output", None), ("error", "nor this")]


def test_the_values_of_an_output_node_leave_the_run_under_its_name_in_order() -> None:
    node = sketch(out={"is_output": True, "input_default": {"name": "total"}}).nodes[node_id("out")]

    assert run_outputs(node, OUTPUTS) == [("total", 1), ("total", None)]


def test_other_nodes_give_the_run_no_outputs() -> None:
    node = sketch(step={"input_default": {"name": "total"}}).nodes[node_id("step")]

    assert run_outputs(node, OUTPUTS) == []


def test_an_output_node_without_a_name_has_the_empty_one() -> None:
    nodes = sketch(bare={"is_output": True}, number={"is_output": True, "input_default": {"name": 5}}).nodes

    assert output_name(nodes[node_id("bare")]) == ""
    assert output_name(nodes[node_id("number")]) == "5"
