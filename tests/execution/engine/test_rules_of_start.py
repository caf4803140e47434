"""Rules 1 and 2: what starts, and what travels where."""

from execution.engine.dataflow import start
from execution.engine.plan import Plan, PlanPin
from tests.execution.engine.sketches import Hand, node_id, sketch


def started(plan: Plan) -> list[str]:
    return [node.name for node in plan.starting]


def test_rule_1_a_node_without_incoming_links_starts() -> None:
    plan = sketch("a.out -> b.x", alone={})

    assert started(plan) == ["alone", "a"]


def test_rule_1_an_input_node_starts_whatever_links_lead_into_it() -> None:
    plan = sketch("a.out -> entry.value", "entry.result -> a.x", entry={"is_input": True})
    hand = Hand(plan)

    hand.start({"entry": {"value": 7}})
    hand.emit("a.out", 8)

    assert started(plan) == ["entry"]
    assert hand.fired("entry") == [{"value": 7}, {"value": 8}]
    assert hand.ordinals("entry") == [0, 1]


def test_rule_1_an_input_node_without_a_value_of_the_run_fires_with_its_constants() -> None:
    hand = Hand(sketch(entry={"is_input": True, "input_default": {"name": "city", "value": "Ulm"}}))

    hand.start()

    assert hand.fired("entry") == [{}]


def test_rule_1_notes_never_fire() -> None:
    plan = sketch("a.out -> memo.text", "a.out -> b.x", memo={"is_note": True}, lone={"is_note": True})
    hand = Hand(plan)

    hand.start()
    hand.emit("a.out", 1)

    assert started(plan) == ["a"]
    assert hand.fired("memo") == [] and hand.waiting("memo") == []
    assert hand.fired("b") == [{"x": 1}]


def test_rule_1_a_graph_whose_nodes_all_wait_for_each_other_has_nothing_to_start() -> None:
    assert started(sketch("a.out -> b.x", "b.out -> a.x")) == []


def test_rule_1_a_starting_node_that_lacks_a_required_pin_waits() -> None:
    pins = {"pins": {"x": PlanPin(required=True), "y": PlanPin(has_default=True)}}
    hand = Hand(sketch(bare=pins, whole={**pins, "input_default": {"x": 1}}))

    hand.start()

    assert hand.fired("bare") == [] and hand.waiting("bare") == [{}]
    assert hand.fired("whole") == [{}]


def test_rule_1_an_input_node_waits_only_for_what_no_link_brings() -> None:
    pins = {"value": PlanPin(required=True), "unit": PlanPin(required=True)}
    hand = Hand(sketch("a.out -> entry.value", entry={"is_input": True, "pins": pins}))

    hand.start({"entry": {"value": 7}})

    assert hand.waiting("entry") == [{"value": 7}]


def test_rule_1_the_value_of_the_run_is_what_a_required_pin_of_an_input_node_waits_for() -> None:
    pins = {"value": PlanPin(required=True)}
    hand = Hand(sketch(given={"is_input": True, "pins": pins}, missing={"is_input": True, "pins": pins}))

    hand.start({"given": {"value": 7}})

    assert hand.fired("given") == [{"value": 7}]
    assert hand.waiting("missing") == [{}]


def test_rule_1_a_start_brings_no_static_values() -> None:
    assert start(sketch("entry.result => a.x", entry={"is_input": True}), inputs_of={}, masks={}).statics == {}


def test_rule_1_the_first_execution_of_a_waiting_start_knows_the_pins_it_was_given() -> None:
    pins = {"value": PlanPin(required=True), "unit": PlanPin(required=True)}
    plan = sketch(entry={"is_input": True, "pins": pins})

    (firing,) = start(plan, inputs_of={node_id("entry"): {"value": 7}}, masks={}).firings

    assert (firing.pins, firing.added, firing.ordinal) == ({"value"}, {"value": 7}, 0)
    assert firing.is_new and not firing.is_ready


def test_rule_2_a_value_travels_along_every_link_of_its_pin() -> None:
    hand = Hand(sketch("a.out -> b.x", "a.out -> c.x", "a.other -> d.x"))

    hand.emit("a.out", 1)

    assert (hand.fired("b"), hand.fired("c"), hand.fired("d")) == ([{"x": 1}], [{"x": 1}], [])


def test_rule_2_links_deliver_in_link_order() -> None:
    hand = Hand(sketch("a.out_#_first -> b.x", "a.out_#_second -> b.x", "a.out_#_third -> b.x"))

    hand.emit("a.out", {"third": 3, "first": 1, "second": 2})

    assert hand.fired("b") == [{"x": 1}, {"x": 2}, {"x": 3}]


def test_rule_2_emissions_of_one_event_are_carried_in_order() -> None:
    hand = Hand(sketch("a.out -> b.x", "a.out -> c.x"))

    deliveries = hand.emit("a.out", 1, 2)

    assert [(hand.plan.nodes[f.node_id].name, f.ordinal, f.added) for f in deliveries.ready] == [
        ("b", 0, {"x": 1}),
        ("c", 0, {"x": 1}),
        ("b", 1, {"x": 2}),
        ("c", 1, {"x": 2}),
    ]
    assert deliveries.opened == 4


def test_rule_2_a_tool_call_goes_to_the_node_and_pin_that_it_is_for() -> None:
    hand = Hand(sketch("model.tools -> search.query", "model.tools -> search.limit", "model.tools -> mail.query"))

    hand.emit(f"model.tools_^_{node_id('search')}_~_query", "cats")

    assert hand.waiting("search") == [{"query": "cats"}]
    assert hand.waiting("mail") == []


def test_rule_2_a_link_to_a_node_that_is_not_there_delivers_nothing() -> None:
    plan = sketch("a.out -> gone.x", "a.out -> b.x")
    plan = Plan(nodes={key: node for key, node in plan.nodes.items() if node.name != "gone"})
    hand = Hand(plan)

    hand.emit("a.out", 1)

    assert hand.fired("b") == [{"x": 1}]
    assert plan.links_reached_from([node_id("a")]).keys() == {node_id("b")}


def test_rule_2_what_a_node_reaches_are_all_nodes_that_it_has_links_into() -> None:
    plan = sketch("a.out -> b.x", "a.out -> b.y", "a.log -> c.x", "b.out -> c.z")

    reached = plan.links_reached_from([node_id("a")])
    assert {sink: [link.sink_name for link in links] for sink, links in reached.items()} == {
        node_id("b"): ["x", "y"],
        node_id("c"): ["x"],
    }
