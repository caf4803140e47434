"""Masked pins: a run's own values in place of what links would deliver."""

from execution.engine.dataflow import lacking_pins
from execution.engine.plan import PlanPin
from tests.execution.engine.sketches import Hand, node_id, sketch


def test_a_masked_pin_counts_as_delivered() -> None:
    hand = Hand(sketch("a.out -> c.x", "b.out -> c.y"), masks={"c": {"y"}})

    hand.emit("a.out", 1)

    assert hand.fired("c") == [{"x": 1}]


def test_a_masked_required_pin_lets_a_node_start() -> None:
    hand = Hand(sketch(lone={"pins": {"must": PlanPin(required=True)}}), masks={"lone": {"must"}})

    hand.start()

    assert hand.fired("lone") == [{}]


def test_deliveries_into_a_masked_pin_are_dropped_and_the_other_pins_decide_how_often_a_node_fires() -> None:
    hand = Hand(sketch("a.out -> c.x", "b.out -> c.y", "s.out => c.y"), masks={"c": {"y"}})

    hand.emit("b.out", "dropped", "dropped too")
    dropped = hand.emit("s.out", "dropped as well")
    hand.emit("a.out", 1, 2)

    assert dropped.statics == {} and dropped.opened == 0
    assert hand.fired("c") == [{"x": 1}, {"x": 2}]
    assert hand.waiting("c") == []


def test_a_node_whose_pins_are_all_masked_fires_with_every_arrival() -> None:
    hand = Hand(sketch("a.out -> c.x", "s.out => c.y"), masks={"c": {"x", "y"}})

    hand.emit("a.out", 1)
    hand.emit("s.out", 2, 3)

    assert hand.ordinals("c") == [0, 1, 2]


def test_a_node_whose_stream_pins_are_masked_fires_with_every_static_arrival() -> None:
    hand = Hand(sketch("a.out -> c.x", "s.out => c.y"), masks={"c": {"x"}})

    hand.emit("s.out", 1)
    hand.emit("a.out", "dropped")
    hand.emit("s.out", 2)

    assert hand.fired("c") == [{"y": 1}, {"y": 2}]


def test_a_mask_on_a_base_pin_stands_in_for_its_parts() -> None:
    hand = Hand(sketch("a.out -> c.x", "b.out -> c.values_#_k", "s.out => c.values_$_0"), masks={"c": {"values"}})

    hand.emit("b.out", "dropped")
    hand.emit("s.out", "dropped")
    hand.emit("a.out", 1)

    assert hand.fired("c") == [{"x": 1}]


def test_a_mask_on_a_part_stands_in_for_that_part_only() -> None:
    links = ("a.out -> c.values_#_j", "b.out -> c.values_#_k", "d.out -> c.values")
    hand = Hand(sketch(*links), masks={"c": {"values_#_j"}})
    node = hand.plan.nodes[node_id("c")]

    assert lacking_pins(node, masked=["values_#_j"]) == {"values_#_k", "values"}


def test_a_mask_on_a_part_gives_a_required_pin_its_value() -> None:
    pins = {"values": PlanPin(required=True), "more": PlanPin(required=True)}
    hand = Hand(sketch("a.out -> c.x", c={"pins": pins}), masks={"c": {"values_#_j"}})

    hand.emit("a.out", 1)

    assert lacking_pins(hand.plan.nodes[node_id("c")], masked=["values_#_j"]) == {"x", "more"}
    assert hand.waiting("c") == [{"x": 1}]


def test_a_pin_that_is_known_under_its_full_name_is_masked_under_that_name_only() -> None:
    pins = {"cost_$_total": PlanPin(required=True), "cost": PlanPin(required=True)}
    node = sketch("a.out -> c.cost_$_total", c={"pins": pins}).nodes[node_id("c")]

    assert node.uncovered == {"cost"}
    assert lacking_pins(node, masked=["cost"]) == {"cost_$_total"}
    assert lacking_pins(node, masked=["cost_$_total"]) == {"cost"}


def test_the_masks_of_other_nodes_do_not_matter() -> None:
    hand = Hand(sketch("a.out -> b.x", "a.out -> c.x"), masks={"b": {"x"}})

    hand.emit("a.out", 1)

    assert hand.fired("c") == [{"x": 1}]


def test_a_mask_on_a_pin_without_link_changes_nothing_else() -> None:
    hand = Hand(sketch("a.out -> c.x", "b.out -> c.y"), masks={"c": {"free"}})

    hand.emit("a.out", 1)
    hand.emit("b.out", 2)

    assert hand.fired("c") == [{"x": 1, "y": 2}]
