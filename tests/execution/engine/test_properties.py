"""Random graphs under random interleavings: what must hold whoever takes the next step."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, assume, given, settings

from execution.engine.machine import Key, Machine
from execution.engine.pins import NOTHING, select
from execution.engine.plan import Plan
from execution.engine.statuses import ENDED, Status
from tests.execution.engine.queues import Queues
from tests.execution.engine.random_plans import (
    Drawn,
    arbitrary_plans,
    choose_by,
    deterministic_plans,
    emit_once,
    endless_plans,
    is_masked,
    schedules,
)

settings.register_profile(
    "engine", max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
thorough = settings.get_profile("engine")

Arrivals = dict[tuple[UUID, str], list[str]]


def outputs_by_name(machine: Machine) -> dict[str, list[Any]]:
    named = defaultdict(list)
    for name, value in machine.outputs:
        named[name].append(value)
    return named


def account(drawn: Drawn, machine: Machine) -> dict[tuple[UUID, int], tuple[Any, ...]]:
    """Everything there is to say about each node execution."""
    return {
        key: (step.status, repr(drawn.resolve(drawn.plan.nodes[key[0]], step.inputs)), step.emitted)
        for key, step in machine.steps.items()
    }


@thorough
@given(drawn=deterministic_plans(), one=schedules, other=schedules)
def test_with_one_link_into_each_pin_every_interleaving_gives_the_same_run(
    drawn: Drawn, one: bytes, other: bytes
) -> None:
    first, second = drawn.run(one), drawn.run(other)
    assume(first.status is Status.COMPLETED)

    assert second.status is Status.COMPLETED
    assert outputs_by_name(first) == outputs_by_name(second)
    assert account(drawn, first) == account(drawn, second)
    assert first.warnings() == second.warnings()


@thorough
@given(drawn=deterministic_plans(), schedule=schedules)
def test_a_run_is_what_plain_queues_would_make_of_it(drawn: Drawn, schedule: bytes) -> None:
    machine = drawn.run(schedule)
    assume(machine.status is Status.COMPLETED)
    queues = Queues(drawn)

    queues.run()

    for node in drawn.plan.nodes.values():
        steps = [step for key, step in machine.steps.items() if key[0] == node.id and step.status in ENDED]
        steps.sort(key=lambda step: step.firing.ordinal)
        engine = [(drawn.resolve(node, step.inputs), step.emitted) for step in steps]
        assert engine == queues.fired[node.id], node.name
        if node.is_output:
            expected = [value for _, emitted in queues.fired[node.id] for _, value in emitted]
            assert outputs_by_name(machine)[node.input_default["name"]] == expected


@thorough
@given(drawn=arbitrary_plans(), schedule=schedules)
def test_no_value_is_lost_or_doubled(drawn: Drawn, schedule: bytes) -> None:
    machine = drawn.run(schedule)
    assume(machine.status is Status.COMPLETED)
    arrived = arrivals(drawn.plan, machine)

    for (sink_id, pin), values in arrived.items():
        node = drawn.plan.nodes[sink_id]
        if is_masked(pin, drawn.masks.get(node.id, {})):
            assert all(pin not in step.inputs for step in steps_of(machine, sink_id))
            continue
        taken = [repr(step.inputs[pin]) for step in steps_of(machine, sink_id) if pin in step.inputs]
        if pin in node.static:
            # The stream's values, each once, among the copies of the static ones.
            assert Counter(values) <= Counter(taken), (node.name, pin)
        else:
            # Firing k of the node has the k-th arrival of the pin.
            assert taken == values, (node.name, pin)


@thorough
@given(drawn=arbitrary_plans(), schedule=schedules)
def test_a_node_that_waits_for_one_pin_fires_with_each_arrival_be_it_static_or_not(
    drawn: Drawn, schedule: bytes
) -> None:
    machine = drawn.run(schedule)
    assume(machine.status is Status.COMPLETED)
    arrived = arrivals(drawn.plan, machine, with_static=True)

    for node in drawn.plan.nodes.values():
        awaited = [pin for pin in node.connected if not is_masked(pin, drawn.masks.get(node.id, {}))]
        if len(awaited) == 1:
            steps = steps_of(machine, node.id)[node.is_input :]
            assert [repr(step.inputs[awaited[0]]) for step in steps] == arrived.get((node.id, awaited[0]), []), (
                node.name
            )


@thorough
@given(drawn=arbitrary_plans(), schedule=schedules)
def test_a_node_fires_as_often_as_its_pins_allow(drawn: Drawn, schedule: bytes) -> None:
    machine = drawn.run(schedule)
    assume(machine.status is Status.COMPLETED)
    arrived = arrivals(drawn.plan, machine)

    for node in drawn.plan.nodes.values():
        awaited = {pin for pin in node.connected if not is_masked(pin, drawn.masks.get(node.id, {}))}
        streams = {pin for pin in awaited if pin not in node.static}
        counts = [len(arrived.get((node.id, pin), [])) for pin in streams]
        steps = steps_of(machine, node.id)[node.is_input :]
        fired = [step for step in steps if step.status in ENDED]
        if streams == awaited and counts:
            assert (len(fired), len(steps)) == (min(counts), max(counts)), node.name
        elif counts:
            assert len(fired) <= min(counts), node.name
        elif not node.incoming:
            assert len(fired) == 1


@thorough
@given(drawn=arbitrary_plans(), schedule=schedules)
def test_at_the_end_nothing_is_runnable_or_held(drawn: Drawn, schedule: bytes) -> None:
    machine = drawn.run(schedule)
    assume(machine.status is Status.COMPLETED)

    assert machine.runnable == []
    assert {step.status for step in machine.steps.values()} <= {Status.INCOMPLETE, *ENDED}
    emitted = Counter((key[0], pin, repr(value)) for key, step in machine.steps.items() for pin, value in step.emitted)
    travelled = Counter((each.node_id, each.pin, repr(each.value)) for each in machine.travelled)
    assert travelled == emitted
    lacking = machine.warnings()
    assert lacking.keys() == {key for key, step in machine.steps.items() if step.status is Status.INCOMPLETE}
    assert all(lacking.values())


@thorough
@given(drawn=arbitrary_plans(), schedule=schedules)
def test_what_an_ordered_node_emits_travels_in_the_order_of_its_executions(drawn: Drawn, schedule: bytes) -> None:
    machine = drawn.run(schedule)
    assume(machine.status is Status.COMPLETED)

    for node in drawn.plan.nodes.values():
        if node.ordered:
            travelled = [(each.pin, each.value) for each in machine.travelled if each.node_id == node.id]
            assert travelled == [output for step in steps_of(machine, node.id) for output in step.emitted]


@thorough
@given(drawn=arbitrary_plans(), schedule=schedules)
def test_executions_of_a_node_become_ready_in_the_order_in_which_they_were_opened(
    drawn: Drawn, schedule: bytes
) -> None:
    machine = drawn.run(schedule)
    assume(machine.status is Status.COMPLETED)

    for node in drawn.plan.nodes.values():
        steps = steps_of(machine, node.id)
        assert [step.firing.ordinal for step in steps] == list(range(len(steps)))
        waits = [step.status is Status.INCOMPLETE for step in steps]
        assert waits == sorted(waits), node.name


@thorough
@given(drawn=arbitrary_plans(), schedule=schedules)
def test_those_that_have_a_pin_wait_before_those_that_lack_it(drawn: Drawn, schedule: bytes) -> None:
    """Whoever looks for the first that lacks it may stop at once if the latest has it."""
    machine, choose_next = drawn.machine(), choose_by(schedule)

    def choose(runnable: Sequence[Key]) -> Key:
        for node in drawn.plan.nodes.values():
            waiting = [step.firing for step in steps_of(machine, node.id) if step.status is Status.INCOMPLETE]
            for pin in node.connected:
                lacks = [pin not in firing.pins for firing in waiting]
                assert lacks == sorted(lacks), node.name
        return choose_next(runnable)

    machine.run(choose)


@thorough
@given(plan=endless_plans(), schedule=schedules)
def test_the_loop_guard_stops_every_endless_graph(plan: Plan, schedule: bytes) -> None:
    choose_next, opened = choose_by(schedule), []
    machine = Machine(plan, behave=emit_once, limit=60)

    def choose(runnable: Sequence[Key]) -> Key:
        opened.append(len(machine.steps))
        return choose_next(runnable)

    machine.run(choose)

    assert machine.status is Status.FAILED and len(machine.steps) > 60
    assert max(opened) <= 60, "a step was taken after the limit had been passed"


def steps_of(machine: Machine, key: UUID) -> list[Any]:
    return sorted((s for k, s in machine.steps.items() if k[0] == key), key=lambda step: step.firing.ordinal)


def arrivals(plan: Plan, machine: Machine, *, with_static: bool = False) -> Arrivals:
    """What stream links (and static ones) brought to each pin, in order, worked out from the history of the run."""
    arrived: Arrivals = defaultdict(list)
    for each in machine.travelled:
        for link in plan.nodes[each.node_id].outgoing:
            value = select(
                emitted_pin=each.pin,
                value=each.value,
                source_name=link.source_name,
                sink_id=str(link.sink_id),
                sink_name=link.sink_name,
            )
            if value is not NOTHING and (with_static or not link.is_static):
                arrived[link.sink_id, link.sink_name].append(repr(value))
    return arrived
