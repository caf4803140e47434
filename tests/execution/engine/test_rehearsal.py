"""What a replay takes from the run before: random graphs under random interleavings, replayed from anywhere."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid5

from hypothesis import assume, given
from hypothesis import strategies as st

from execution.engine.machine import Key, Machine
from execution.engine.rehearsal import PastFiring, Rehearsal, find_changed
from execution.engine.statuses import ENDED, Status
from tests.execution.engine.random_plans import (
    LIMIT,
    Drawn,
    arbitrary_plans,
    choose_by,
    deterministic_plans,
    schedules,
)
from tests.execution.engine.scripts import scripted
from tests.execution.engine.sketches import node_id, sketch
from tests.execution.engine.test_properties import account, outputs_by_name, thorough

picks = st.integers(0, 10_000)


def past_id(key: Key) -> UUID:
    """Return the id that a node execution has in the history."""
    return uuid5(key[0], str(key[1]))


class Watched:
    """A run whose history is written down: when each execution emitted and ended."""

    def __init__(self, drawn: Drawn, schedule: bytes) -> None:
        self.drawn = drawn
        self.masks = {key: frozenset(mask) for key, mask in drawn.masks.items()}
        self.machine = Machine(drawn.plan, behave=drawn.behave, masks=self.masks, limit=LIMIT)
        self.moments: dict[Key, list[float]] = defaultdict(list)
        choose, now = choose_by(schedule), 0
        while self.machine.status is Status.RUNNING and (runnable := self.machine.runnable):
            key = choose(runnable)
            has_begun = self.machine.steps[key].status is Status.RUNNING
            self.machine.advance(key)
            now += 1
            if has_begun:
                self.moments[key].append(now)
        assume(self.machine.status is Status.RUNNING)
        self.machine.status = Status.COMPLETED

    def history(self, *, chosen: Key | None = None, with_failed: bool = False) -> list[PastFiring]:
        """Return what has ended. An error and the end that comes with it are one moment of the machine."""
        return [
            PastFiring(
                id=past_id(key),
                node_id=key[0],
                ordinal=key[1],
                inputs=step.inputs,
                outputs=tuple(step.emitted),
                moments=(*self.moments[key][: len(step.emitted)], self.moments[key][-1]),
                is_reusable=key != chosen and (step.status is Status.COMPLETED or with_failed),
            )
            for key, step in self.machine.steps.items()
            if step.status in ENDED
        ]

    def pick(self, number: int) -> Key:
        """Return one of the node executions that ended."""
        ended = [key for key, step in self.machine.steps.items() if step.status in ENDED]
        return ended[number % len(ended)]

    def rehearse(self, past: Collection[PastFiring]) -> Rehearsal:
        """Play the past on the same graph."""
        return Rehearsal(self.drawn.plan, past=past, inputs_of={}, masks=self.masks)

    def go_on(self, rehearsal: Rehearsal, schedule: bytes) -> Machine:
        """Run what the rehearsal has left to do."""
        machine = Machine(self.drawn.plan, behave=self.drawn.behave, masks=self.masks, limit=LIMIT)
        machine.take_over(rehearsal)
        machine.run(choose_by(schedule))
        return machine


def reused(rehearsal: Rehearsal) -> set[Key]:
    """Return who did not have to work."""
    return {key for key, played in rehearsal.played.items() if played.reused is not None}


@thorough
@given(drawn=deterministic_plans(), one=schedules, other=schedules, number=picks)
def test_a_replay_of_an_undisturbed_run_from_anywhere_ends_like_the_run(
    drawn: Drawn, one: bytes, other: bytes, number: int
) -> None:
    watched = Watched(drawn, one)
    chosen = watched.pick(number)

    rehearsal = watched.rehearse(watched.history(chosen=chosen))
    replayed = watched.go_on(rehearsal, other)

    assert replayed.status is Status.COMPLETED
    assert outputs_by_name(replayed) == outputs_by_name(watched.machine)
    assert account(drawn, replayed) == account(drawn, watched.machine)
    assert replayed.warnings() == watched.machine.warnings()


@thorough
@given(drawn=arbitrary_plans(), schedule=schedules)
def test_a_whole_past_gives_the_whole_run_in_the_order_in_which_it_happened(drawn: Drawn, schedule: bytes) -> None:
    watched = Watched(drawn, schedule)

    rehearsal = watched.rehearse(watched.history(with_failed=True))

    assert rehearsal.outputs == watched.machine.outputs
    assert {key: (played.inputs, list(played.emitted)) for key, played in rehearsal.played.items()} == {
        key: (step.inputs, step.emitted) for key, step in watched.machine.steps.items()
    }
    assert reused(rehearsal) == {key for key, step in watched.machine.steps.items() if step.status in ENDED}
    assert list(rehearsal.played) == list(watched.machine.steps)


@thorough
@given(drawn=arbitrary_plans(), one=schedules, other=schedules, number=picks)
def test_a_replay_of_any_run_from_anywhere_comes_to_an_end(drawn: Drawn, one: bytes, other: bytes, number: int) -> None:
    watched = Watched(drawn, one)
    chosen = watched.pick(number)

    rehearsal = watched.rehearse(watched.history(chosen=chosen))
    replayed = watched.go_on(rehearsal, other)

    assert replayed.status is Status.FAILED or replayed.runnable == []
    assert all(played.reused is None or played.inputs == played.reused.inputs for played in rehearsal.played.values())
    used = [played.reused.id for played in rehearsal.played.values() if played.reused]
    assert len(used) == len(set(used))
    # Its number may be another's now: what failed before it runs again, and what came of that is yet to come.
    assert past_id(chosen) not in used


@thorough
@given(drawn=arbitrary_plans(), schedule=schedules, number=picks)
def test_the_past_before_the_chosen_one_is_all_reused(drawn: Drawn, schedule: bytes, number: int) -> None:
    watched = Watched(drawn, schedule)
    chosen = watched.pick(number)
    began = min(watched.moments[chosen])

    rehearsal = watched.rehearse(watched.history(chosen=chosen, with_failed=True))

    before = {key for key, moments in watched.moments.items() if moments[-1] < began and key != chosen}
    assert before <= reused(rehearsal)
    assert rehearsal.played[chosen].is_ready


def history_of(machine: Machine, behaviour_order: list[Key]) -> list[PastFiring]:
    """Return the past of a machine that ran its executions one after the other."""
    return [
        PastFiring(
            id=past_id(key),
            node_id=key[0],
            ordinal=key[1],
            inputs=machine.steps[key].inputs,
            outputs=tuple(machine.steps[key].emitted),
            moments=tuple(number + at / 100 for at in range(len(machine.steps[key].emitted) + 1)),
        )
        for number, key in enumerate(behaviour_order)
    ]


def key_of(name: str, ordinal: int = 0) -> Key:
    return node_id(name), ordinal


def run_in_turn(machine: Machine) -> list[Key]:
    """Run one execution after the other; return them in that order."""
    order: list[Key] = []

    def oldest(runnable: Any) -> Key:
        key: Key = order[-1] if order and order[-1] in runnable else runnable[0]
        order.extend([] if order and order[-1] == key else [key])
        return key

    machine.run(oldest)
    return order


BEHAVE = scripted(
    source={None: [("out", 1), ("out", 2), ("out", 3)]},
    work={1: [("out", 10)], 2: [("out", 20)], 3: [("out", 30)]},
    after={10: [("out", 100)], 20: [("out", 200)], 30: [("out", 300)]},
)
LINE = sketch("source.out -> work.x", "work.out -> after.x")


def rehearse_line(plan: Any, *, without: Collection[Key]) -> Rehearsal:
    machine = Machine(LINE, behave=BEHAVE)
    past = history_of(machine, run_in_turn(machine))
    kept = [replace(each, is_reusable=(each.node_id, each.ordinal) not in without) for each in past]
    return Rehearsal(plan, past=kept, inputs_of={}, masks={})


def test_who_stands_behind_the_chosen_one_is_reused_and_waits_for_its_turn() -> None:
    rehearsal = rehearse_line(LINE, without={key_of("work", 1)})

    assert reused(rehearsal) == {key_of("source"), key_of("work", 0), key_of("work", 2), key_of("after", 0)}
    assert set(rehearsal.played) - reused(rehearsal) == {key_of("work", 1)}


def test_what_follows_from_the_chosen_one_runs_again() -> None:
    rehearsal = rehearse_line(LINE, without={key_of("source")})

    assert list(rehearsal.played) == [key_of("source")]
    assert reused(rehearsal) == set()


def test_inputs_that_only_look_the_same_are_not_the_same() -> None:
    plan = sketch("source.out -> work.x")
    past = [
        PastFiring(
            id=UUID(int=1), node_id=node_id("source"), ordinal=0, inputs={}, outputs=(("out", 1),), moments=(1, 2)
        ),
        PastFiring(id=UUID(int=2), node_id=node_id("work"), ordinal=0, inputs={"x": True}, moments=(3,)),
        PastFiring(id=UUID(int=3), node_id=node_id("work"), ordinal=1, inputs={"x": 1.0}, moments=(4,)),
    ]

    rehearsal = Rehearsal(plan, past=past, inputs_of={}, masks={})

    assert reused(rehearsal) == {key_of("source")}


def test_a_node_with_another_block_constant_or_link_has_changed() -> None:
    old = sketch("source.out -> work.x", "work.out -> after.x", "work.out -> last.x", source={}, last={})
    new = sketch(
        "source.out -> work.x",
        "work.more -> after.x",
        "work.out => last.x",
        source={"input_default": {"n": True}},
        added={},
    )
    same = sketch("work.out -> last.x", "work.out -> after.x", "source.out -> work.x")

    assert find_changed(old, new) == {node_id(name) for name in ("after", "last", "source", "added")}
    assert find_changed(old, same) == set()


def test_what_is_no_longer_there_is_dropped_and_what_is_new_gets_what_is_there() -> None:
    plan = sketch("source.out -> work.x", "source.out -> new.x")

    rehearsal = rehearse_line(plan, without=())

    assert reused(rehearsal) == {key_of("source"), *(key_of("work", number) for number in range(3))}
    fresh = [played.inputs["x"] for key, played in rehearsal.played.items() if key[0] == node_id("new")]
    assert fresh == [1, 2, 3]
