"""Rules 3 and 4: how streams meet, and when an execution is ready."""

from execution.engine.dataflow import lacking_pins
from execution.engine.plan import PlanPin
from tests.execution.engine.sketches import Hand, node_id, sketch

REQUIRED = PlanPin(required=True)
OPTIONAL = PlanPin(has_default=True)


def test_rule_3_streams_are_zipped_first_in_first_out() -> None:
    hand = Hand(sketch("a.out -> c.x", "b.out -> c.y"))

    hand.emit("a.out", 1, 2, 3)
    hand.emit("b.out", "one", "two")

    assert hand.fired("c") == [{"x": 1, "y": "one"}, {"x": 2, "y": "two"}]
    assert hand.ordinals("c") == [0, 1]
    assert hand.waiting("c") == [{"x": 3}]


def test_rule_3_a_value_opens_an_execution_only_if_all_waiting_ones_have_the_pin() -> None:
    hand = Hand(sketch("a.out -> c.x", "b.out -> c.y"))

    opened = [hand.emit("a.out", 1).opened, hand.emit("b.out", 1).opened, hand.emit("b.out", 2).opened]

    assert opened == [1, 0, 1]


def test_rule_3_one_value_may_go_to_two_pins_of_one_execution() -> None:
    hand = Hand(sketch("a.out -> b.x", "a.out -> b.y"))

    hand.emit("a.out", 5)

    assert hand.fired("b") == [{"x": 5, "y": 5}]


def test_rule_3_several_links_into_one_pin_merge_in_order_of_arrival() -> None:
    hand = Hand(sketch("a.out -> c.x", "b.out -> c.x"))

    hand.emit("b.out", "b1")
    hand.emit("a.out", "a1")
    hand.emit("b.out", "b2")

    assert hand.fired("c") == [{"x": "b1"}, {"x": "a1"}, {"x": "b2"}]


def test_rule_3_a_node_may_feed_itself() -> None:
    hand = Hand(sketch("a.out -> a.x", "seed.out -> a.x"))

    hand.emit("seed.out", 0)
    hand.emit("a.out", 1)

    assert hand.fired("a") == [{"x": 0}, {"x": 1}]


def test_rule_4_an_execution_waits_for_every_connected_pin() -> None:
    hand = Hand(sketch("a.out -> c.x", "b.out -> c.y"))

    first = hand.emit("a.out", 1)

    assert hand.fired("c") == [] and first.ready == ()
    assert [(f.is_new, f.is_ready, f.is_changed) for f in first.firings] == [(True, False, True)]


def test_rule_4_a_default_never_stands_in_for_a_connected_pin() -> None:
    fields = {"input_default": {"y": 9}, "pins": {"x": OPTIONAL, "y": OPTIONAL}}
    hand = Hand(sketch("a.out -> c.x", "b.out -> c.y", c=fields))

    hand.emit("a.out", 1)

    assert hand.waiting("c") == [{"x": 1}]


def test_rule_4_a_required_pin_without_link_or_constant_keeps_it_waiting() -> None:
    hand = Hand(sketch("a.out -> c.x", c={"pins": {"x": REQUIRED, "must": REQUIRED, "may": OPTIONAL}}))

    hand.emit("a.out", 1)

    assert hand.waiting("c") == [{"x": 1}]
    assert lacking_pins(hand.plan.nodes[node_id("c")], delivered={"x"}) == {"must"}


def test_rule_4_a_constant_gives_a_required_pin_its_value() -> None:
    hand = Hand(sketch("a.out -> c.x", c={"pins": {"must": REQUIRED}, "input_default": {"must": 1}}))

    hand.emit("a.out", 1)

    assert hand.fired("c") == [{"x": 1}]


def test_rule_4_a_link_or_a_constant_into_a_part_gives_the_required_pin_its_value() -> None:
    pins = {"values": REQUIRED, "more": REQUIRED}
    hand = Hand(sketch("a.out -> c.values_#_x", c={"pins": pins, "input_default": {"more_$_0": 1}}))

    hand.emit("a.out", 1)

    assert hand.fired("c") == [{"values_#_x": 1}]


def test_rule_4_every_connected_part_of_a_pin_is_waited_for() -> None:
    hand = Hand(sketch("a.out -> c.values_#_x", "b.out -> c.values_#_y"))

    hand.emit("a.out", 1)
    waiting = hand.waiting("c")
    hand.emit("b.out", 2)

    assert waiting == [{"values_#_x": 1}]
    assert hand.fired("c") == [{"values_#_x": 1, "values_#_y": 2}]


def test_rule_4_what_is_lacking_is_named() -> None:
    plan = sketch("a.out -> c.x", "b.out => c.y", "b.out -> c.z", c={"pins": {"must": REQUIRED}})
    node = plan.nodes[node_id("c")]

    assert lacking_pins(node) == {"x", "y", "z", "must"}
    assert lacking_pins(node, delivered=["x"], statics={"y": 1}, masked=["must"]) == {"z"}


def test_rule_8_none_on_the_exact_pin_name_travels() -> None:
    hand = Hand(sketch("a.out -> b.x"))

    hand.emit("a.out", None)

    assert hand.fired("b") == [{"x": None}]


def test_rule_8_a_selector_that_finds_nothing_delivers_nothing() -> None:
    hand = Hand(sketch("a.out_#_k -> b.x"))

    deliveries = hand.emit("a.out", {"other": 1}, {"k": None}, [], None)

    assert hand.fired("b") == [] and deliveries.opened == 0 and deliveries.firings == ()
