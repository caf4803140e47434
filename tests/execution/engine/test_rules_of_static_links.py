"""Rule 5: values that stay."""

from tests.execution.engine.sketches import Hand, node_id, sketch


def test_rule_5_a_static_value_fills_the_waiting_executions() -> None:
    hand = Hand(sketch("a.out -> c.x", "s.out => c.y"))

    hand.emit("a.out", 1, 2)
    hand.emit("s.out", "kept")

    assert hand.fired("c") == [{"x": 1, "y": "kept"}, {"x": 2, "y": "kept"}]


def test_rule_5_a_static_value_fills_the_executions_opened_later() -> None:
    hand = Hand(sketch("a.out -> c.x", "s.out => c.y"))

    hand.emit("s.out", "kept")
    hand.emit("a.out", 1)
    hand.emit("a.out", 2)

    assert hand.fired("c") == [{"x": 1, "y": "kept"}, {"x": 2, "y": "kept"}]


def test_rule_5_a_static_value_alone_never_fires_a_node_that_waits_for_a_stream() -> None:
    hand = Hand(sketch("a.out -> c.x", "s.out => c.y"))

    hand.emit("a.out", 1)
    hand.emit("s.out", "first")
    again = hand.emit("s.out", "second")

    assert again.opened == 0 and again.statics == {(node_id("c"), "y"): "second"}
    assert hand.fired("c") == [{"x": 1, "y": "first"}]


def test_rule_5_the_very_first_static_value_opens_an_execution_that_can_say_what_it_lacked() -> None:
    hand = Hand(sketch("a.out -> c.x", "s.out => c.y"))

    opened = [hand.emit("s.out", "kept").opened, hand.emit("s.out", "again").opened]

    assert opened == [1, 0]
    assert hand.waiting("c") == [{}]


def test_rule_5_the_execution_opened_by_the_first_static_value_takes_the_first_stream_value() -> None:
    hand = Hand(sketch("a.out -> c.x", "s.out => c.y"))

    hand.emit("s.out", "kept")
    opened = hand.emit("a.out", 1).opened

    assert opened == 0 and hand.ordinals("c") == [0]


def test_rule_5_a_node_of_static_pins_fires_when_the_last_has_its_value() -> None:
    hand = Hand(sketch("r.out => c.x", "s.out => c.y"))

    hand.emit("r.out", 1)
    before = hand.fired("c")
    hand.emit("s.out", 2)

    assert before == []
    assert hand.fired("c") == [{"x": 1, "y": 2}]


def test_rule_5_each_later_static_arrival_fires_a_node_of_static_pins_again() -> None:
    hand = Hand(sketch("r.out => c.x", "s.out => c.y"))

    hand.emit("r.out", 1)
    hand.emit("s.out", 2)
    hand.emit("r.out", 3)
    hand.emit("s.out", 4)

    assert hand.fired("c") == [{"x": 1, "y": 2}, {"x": 3, "y": 2}, {"x": 3, "y": 4}]
    assert hand.ordinals("c") == [0, 1, 2]


def test_rule_5_before_the_last_static_pin_has_a_value_nothing_fires_however_many_arrive() -> None:
    hand = Hand(sketch("r.out => c.x", "s.out => c.y"))

    hand.emit("r.out", 1, 2, 3)
    hand.emit("s.out", "now")

    assert hand.fired("c") == [{"x": 3, "y": "now"}]


def test_rule_5_after_a_refire_the_next_execution_sees_the_newest_value() -> None:
    hand = Hand(sketch("a.out -> c.x", "s.out => c.y"))

    hand.emit("s.out", "old")
    hand.emit("a.out", 1)
    hand.emit("s.out", "new")
    hand.emit("a.out", 2)

    assert hand.fired("c") == [{"x": 1, "y": "old"}, {"x": 2, "y": "new"}]


def test_rule_5_a_waiting_execution_takes_the_newest_value_when_it_becomes_ready() -> None:
    hand = Hand(sketch("a.out -> c.x", "b.out -> c.z", "s.out => c.y"))

    hand.emit("a.out", 1)
    hand.emit("s.out", "old")
    hand.emit("s.out", "new")
    hand.emit("b.out", 2)

    assert hand.fired("c") == [{"x": 1, "z": 2, "y": "new"}]


def test_rule_5_each_sink_pin_has_its_own_newest_value() -> None:
    hand = Hand(sketch("s.out => c.y", "s.out => d.y", "s.out_#_k => d.z"))

    hand.emit("s.out", {"k": 1})

    assert hand.fired("c") == [{"y": {"k": 1}}]
    assert hand.fired("d") == [{"y": {"k": 1}, "z": 1}]


def test_rule_5_two_static_links_into_one_pin_each_fire_the_sink() -> None:
    hand = Hand(sketch("r.out => c.x", "s.out => c.x"))

    hand.emit("s.out", 1)
    hand.emit("r.out", 2)

    assert hand.fired("c") == [{"x": 1}, {"x": 2}]


def test_rule_5_static_and_stream_links_into_one_pin_fire_it_as_they_arrive() -> None:
    hand = Hand(sketch("branch.positive -> out.value", "store.output => out.value"))

    hand.emit("store.output", "stored")
    hand.emit("branch.positive", "yes")
    hand.emit("store.output", "stored again")

    assert hand.fired("out") == [{"value": "stored"}, {"value": "yes"}, {"value": "stored again"}]


def test_rule_5_a_stream_value_beats_the_static_one_of_the_same_pin() -> None:
    hand = Hand(sketch("a.out -> c.x", "b.out -> c.y", "s.out => c.y"))

    hand.emit("s.out", "static")
    hand.emit("b.out", "stream")
    hand.emit("a.out", 1, 2)

    assert hand.fired("c") == [{"x": 1, "y": "stream"}, {"x": 2, "y": "static"}]


def test_rule_5_a_static_arrival_that_completes_a_waiting_execution_does_not_fire_a_second_one() -> None:
    hand = Hand(sketch("b.out -> c.x", "r.out => c.x", "s.out => c.y"))

    hand.emit("b.out", "stream")
    hand.emit("s.out", "kept")

    assert hand.fired("c") == [{"x": "stream", "y": "kept"}]
    assert hand.waiting("c") == []


def test_rule_5_only_the_changed_static_values_are_reported() -> None:
    hand = Hand(sketch("r.out => c.x", "s.out => c.y"))

    hand.emit("r.out", 1)
    changed = hand.emit("s.out", 2, 3)

    assert changed.statics == {(node_id("c"), "y"): 3}


def test_rule_5_an_untouched_waiting_execution_is_not_reported() -> None:
    hand = Hand(sketch("a.out -> c.x", "b.out -> c.z", "s.out => c.y"))

    hand.emit("a.out", 1)
    changed = hand.emit("s.out", "kept")

    assert changed.firings == () and changed.ready == ()
