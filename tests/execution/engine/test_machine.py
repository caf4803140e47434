"""Whole runs in memory: what the machine keeps, beside the rules that it follows."""

from execution.engine.dataflow import Emission
from execution.engine.machine import Machine
from execution.engine.plan import PlanPin
from execution.engine.statuses import Status
from tests.execution.engine.scripts import in_turn, scripted
from tests.execution.engine.sketches import node_id, sketch


def test_the_outputs_of_a_run_are_kept_in_order() -> None:
    plan = sketch("a.out -> b.x", b={"is_output": True, "input_default": {"name": "total"}})
    behave = scripted(a={None: [("out", 1), ("out", 2)]}, b={1: [("output", "one")], 2: [("output", "two")]})
    machine = Machine(plan, behave=behave)

    machine.run(in_turn)

    assert machine.outputs == [("total", "one"), ("total", "two")]


def test_the_history_of_a_run_is_kept_in_order() -> None:
    plan = sketch("a.out -> b.x")
    machine = Machine(plan, behave=scripted(a={None: [("out", 1), ("more", 2)]}, b={1: [("out", 3)]}))

    machine.run(in_turn)

    emissions = [Emission(node_id("a"), "out", 1), Emission(node_id("a"), "more", 2), Emission(node_id("b"), "out", 3)]
    assert sorted(machine.travelled, key=lambda each: each.value) == emissions


def test_an_input_node_in_a_cycle_fires_first_with_the_value_of_the_run() -> None:
    plan = sketch("entry.out -> a.x", "a.out -> entry.x", entry={"is_input": True})
    behave = scripted(entry={7: [("out", 1)], 8: []}, a={1: [("out", 8)]})
    machine = Machine(plan, behave=behave, inputs_of={node_id("entry"): {"x": 7}})

    machine.run(in_turn)

    entry = {key[1]: step.inputs for key, step in machine.steps.items() if key[0] == node_id("entry")}
    assert entry == {0: {"x": 7}, 1: {"x": 8}}
    assert machine.status is Status.COMPLETED and machine.warnings() == {}


def test_a_start_that_waits_takes_what_arrives() -> None:
    pins = {"unit": PlanPin(required=True)}
    plan = sketch("a.out -> entry.x", entry={"is_input": True, "pins": pins})
    machine = Machine(plan, behave=scripted(a={None: [("out", 1), ("out", 2)]}))

    machine.run(in_turn)

    waiting = {key[1]: step.inputs for key, step in machine.steps.items() if key[0] == node_id("entry")}
    assert waiting == {0: {"x": 1}, 1: {"x": 2}}
    assert machine.warnings() == {(node_id("entry"), 0): {"unit"}, (node_id("entry"), 1): {"unit"}}


def test_values_that_arrive_one_by_one_gather_in_one_execution() -> None:
    plan = sketch("a.out -> c.x", "a.more -> c.y")
    machine = Machine(plan, behave=scripted(a={None: [("out", 1), ("more", 2)]}))

    machine.run(in_turn)

    assert machine.steps[node_id("c"), 0].inputs == {"x": 1, "y": 2}


def test_a_run_whose_script_fails_keeps_what_was_emitted_before() -> None:
    plan = sketch("a.out -> b.x")
    machine = Machine(plan, behave=scripted(a={None: [("out", 1), ("error", "no"), ("out", 2)]}))

    machine.run(in_turn)

    step = machine.steps[node_id("a"), 0]
    assert (step.status, step.emitted) == (Status.FAILED, [("out", 1), ("error", "no")])
