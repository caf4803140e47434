"""Rules 6, 7, 9 and 10: order, streaming, the end, the loop guard; with whole runs in memory."""

from typing import Any

import pytest

from execution.engine.machine import Behaviour, Machine
from execution.engine.ordering import Held, released, travels_at_once
from execution.engine.plan import Plan
from execution.engine.statuses import Status
from tests.execution.engine.scripts import in_turn, scripted
from tests.execution.engine.sketches import node_id, sketch


def two_firings(*, ordered: bool = True) -> Machine:
    """Return a run in which `b` is about to fire twice: what it emits goes to `c`."""
    plan = sketch("a.out -> b.x", "b.out -> c.x", b={"ordered": ordered})
    behave = scripted(
        a={None: [("out", 1), ("out", 2)]},
        b={1: [("out", "1a"), ("out", "1b")], 2: [("out", "2a"), ("out", "2b")]},
    )
    machine = Machine(plan, behave=behave)
    for _ in range(4):
        machine.advance((node_id("a"), 0))
    return machine


def advance(machine: Machine, name: str, ordinal: int, times: int = 1) -> None:
    for _ in range(times):
        machine.advance((node_id(name), ordinal))


def arrived(machine: Machine, name: str) -> list[Any]:
    return [step.inputs["x"] for (key, _), step in machine.steps.items() if key == node_id(name)]


def test_rule_6_what_a_later_execution_emits_is_held_until_the_earlier_one_has_ended() -> None:
    machine = two_firings()

    advance(machine, "b", 1, times=4)
    held = arrived(machine, "c")
    advance(machine, "b", 0, times=3)
    still = arrived(machine, "c")
    advance(machine, "b", 0)

    assert held == [] and still == ["1a", "1b"]
    assert arrived(machine, "c") == ["1a", "1b", "2a", "2b"]


def test_rule_6_executions_of_one_node_run_in_parallel() -> None:
    machine = two_firings()

    advance(machine, "b", 1)
    advance(machine, "b", 0)

    assert [machine.steps[node_id("b"), ordinal].status for ordinal in (0, 1)] == [Status.RUNNING, Status.RUNNING]


def test_rule_6_the_end_of_the_head_releases_what_the_new_head_has_emitted_so_far() -> None:
    machine = two_firings()

    advance(machine, "b", 1, times=2)
    advance(machine, "b", 0, times=4)
    released_so_far = arrived(machine, "c")
    advance(machine, "b", 1)

    assert released_so_far == ["1a", "1b", "2a"]
    assert arrived(machine, "c") == ["1a", "1b", "2a", "2b"]


def test_rule_6_a_node_may_opt_out() -> None:
    machine = two_firings(ordered=False)

    advance(machine, "b", 1, times=2)
    advance(machine, "b", 0, times=2)
    advance(machine, "b", 1, times=2)
    advance(machine, "b", 0, times=2)

    assert arrived(machine, "c") == ["2a", "1a", "2b", "1b"]


def test_rule_6_a_failed_execution_releases_what_it_held_back() -> None:
    plan = sketch("a.out -> b.x", "b.error -> c.x", "b.out -> c.x")
    scripts = scripted(a={None: [("out", 1), ("out", 2)]}, b={1: [("error", "bad"), ("out", "lost")], 2: [("out", 2)]})
    machine = Machine(plan, behave=scripts)
    advance(machine, "a", 0, times=4)

    advance(machine, "b", 1, times=3)
    advance(machine, "b", 0, times=2)

    assert arrived(machine, "c") == ["bad", 2]
    assert machine.steps[node_id("b"), 0].status is Status.FAILED
    assert machine.steps[node_id("b"), 1].status is Status.COMPLETED


@pytest.mark.parametrize(
    ("ordered", "older", "expected"),
    [(True, False, True), (True, True, False), (False, False, True), (False, True, True)],
)
def test_rule_6_only_the_head_of_an_ordered_node_emits_at_once(*, ordered: bool, older: bool, expected: bool) -> None:
    node = next(iter(sketch(a={"ordered": ordered}).nodes.values()))

    assert travels_at_once(node, older_unfinished=older) is expected


def test_rule_6_releases_up_to_and_including_the_new_head() -> None:
    followers = [
        Held(outputs=[("out", 1)], has_ended=True),
        Held(outputs=[("out", 2), ("out", 3)], has_ended=False),
        Held(outputs=[("out", 4)], has_ended=True),
    ]

    assert released(followers) == [("out", 1), ("out", 2), ("out", 3)]
    assert released([]) == []


def test_rule_7_successors_start_while_the_block_still_runs() -> None:
    machine = two_firings()

    advance(machine, "b", 0, times=2)

    assert machine.steps[node_id("b"), 0].status is Status.RUNNING
    assert machine.steps[node_id("c"), 0].status is Status.QUEUED


def test_rule_9_a_run_completes_when_nothing_is_left_and_lists_what_never_fired() -> None:
    plan = sketch("a.out -> c.x", "a.never -> c.y", "s.out => d.kept", "a.never -> d.x")
    machine = Machine(plan, behave=scripted(a={None: [("out", 1)]}, s={None: [("out", 2)]}))

    machine.run(in_turn)

    assert machine.status is Status.COMPLETED and machine.runnable == []
    assert machine.warnings() == {(node_id("c"), 0): {"y"}, (node_id("d"), 0): {"x"}}


def test_rule_9_a_masked_pin_is_not_what_an_execution_lacked() -> None:
    plan = sketch("a.out -> c.x", "a.never -> c.y", "a.never -> c.z")
    masks = {node_id("c"): frozenset({"z"})}
    machine = Machine(plan, behave=scripted(a={None: [("out", 1)]}), masks=masks)

    machine.run(in_turn)

    assert machine.warnings() == {(node_id("c"), 0): {"y"}}


def test_rule_9_a_failed_node_does_not_fail_the_run() -> None:
    machine = Machine(sketch("a.out -> b.x"), behave=scripted(a={None: [("error", "no"), ("out", 1)]}))

    machine.run(in_turn)

    assert machine.status is Status.COMPLETED
    assert machine.steps[node_id("a"), 0].status is Status.FAILED
    assert arrived(machine, "b") == []


def ring() -> tuple[Plan, Behaviour]:
    return sketch("seed.out -> a.x", "a.out -> a.x"), scripted(seed={None: [("out", 1)]}, a={1: [("out", 1)]})


def test_rule_10_a_run_that_opens_more_than_it_may_fails() -> None:
    plan, behave = ring()
    machine = Machine(plan, behave=behave, limit=50)

    machine.run(in_turn)

    assert machine.status is Status.FAILED
    assert len(machine.steps) == 51


def test_rule_10_a_run_may_open_as_many_as_the_limit_says() -> None:
    machine = Machine(sketch("a.out -> b.x"), behave=scripted(a={None: [("out", 1)]}), limit=2)

    machine.run(in_turn)

    assert machine.status is Status.COMPLETED and len(machine.steps) == 2


def test_rule_10_the_limit_is_ten_thousand_unless_told_otherwise() -> None:
    names: dict[str, dict[str, Any]] = {f"n{number}": {} for number in range(10_001)}

    assert Machine(sketch(**dict(list(names.items())[:-1])), behave=scripted()).status is Status.RUNNING
    assert Machine(sketch(**names), behave=scripted()).status is Status.FAILED
