"""Which blocks a process expects to be quick."""

import time

import pytest
from pytest_django import Settings

from execution.engine.plan import PlanNode
from execution.paces import IN_VAIN_SECONDS, QUICK_SECONDS, Paces
from execution.planning import NodeSpec
from graphs.blocks.contract import Need
from graphs.blocks.registry import find_block, find_interface
from graphs.models import new_id
from tests.execution.small_graphs import CALCULATOR

QUICK, SLOW = QUICK_SECONDS / 2, QUICK_SECONDS * 10
AGENT = "e189baac-8c20-45a1-94a7-55177ea42565"
PERSIST = "1d055e55-a2b9-4547-8311-907d05b0304d"


def specify(block_id: str = CALCULATOR) -> NodeSpec:
    plan = PlanNode(id=new_id(), block_id=block_id, name="", input_default={}, pins={}, incoming=(), outgoing=())
    return NodeSpec(plan=plan, block=find_block(block_id), interface=find_interface(block_id))


def after(spec: NodeSpec, *seconds: float) -> Paces:
    paces = Paces()
    for each in seconds:
        paces.note(spec, each)
    return paces


def test_of_what_has_not_run_here_nothing_is_known() -> None:
    assert not Paces().is_quick(specify())


@pytest.mark.parametrize(
    ("seconds", "is_quick"),
    [
        ([QUICK], True),
        ([SLOW], False),
        # The first one loads what it needs.
        ([SLOW, QUICK, QUICK], True),
        ([QUICK, QUICK, SLOW, SLOW, SLOW], False),
        # What was long ago is forgotten.
        ([SLOW] * 5 + [QUICK] * 3, True),
        ([QUICK] * 5 + [SLOW] * 3, False),
    ],
)
def test_the_median_of_the_last_five_tells(seconds: list[float], is_quick: bool) -> None:
    spec = specify()

    assert after(spec, *seconds).is_quick(spec) is is_quick


def test_what_failed_or_was_made_up_shows_only_that_a_block_is_slow() -> None:
    spec, paces = specify(), Paces()
    paces.note(spec, QUICK, is_proof=False)
    assert not paces.is_quick(spec)

    paces = after(spec, QUICK)
    for _ in range(2):
        paces.note(spec, SLOW, is_proof=False)
    assert not paces.is_quick(spec)


def test_what_was_run_ahead_in_vain_is_not_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, other = specify(), specify()
    paces = after(spec, QUICK)
    now = time.monotonic()
    paces.note_in_vain([spec])

    assert (paces.may_run_ahead(spec), paces.may_run_ahead(other), paces.is_quick(spec)) == (False, True, True)
    monkeypatch.setattr("execution.paces.time.monotonic", lambda: now + IN_VAIN_SECONDS + 1)
    assert paces.may_run_ahead(spec)


def test_all_nodes_of_a_block_are_alike() -> None:
    assert after(specify(), QUICK).is_quick(specify())
    assert not after(specify(), QUICK).is_quick(specify(PERSIST))


@pytest.mark.parametrize("block_id", [AGENT, PERSIST, "00000000-0000-4000-8000-000000000000"])
def test_what_runs_others_leaves_traces_or_has_no_block_never_is(block_id: str) -> None:
    spec = specify(block_id)

    assert not after(spec, QUICK).is_quick(spec)


def test_what_needs_something_outside_never_is(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = specify()
    assert spec.block is not None
    assert after(spec, QUICK).is_quick(spec)

    monkeypatch.setattr(type(spec.block), "needs", frozenset({Need.NETWORK}))

    assert not after(spec, QUICK).is_quick(spec)


def test_those_up_to_the_first_slow_one_go_together_and_one_always_does() -> None:
    quick, slow = specify(), specify(PERSIST)
    paces = after(quick, QUICK)

    assert paces.count_quick([quick, quick, slow, quick]) == 2
    assert paces.count_quick([slow, quick]) == 0


def test_the_more_is_given_back_the_fewer_are_claimed(settings: Settings) -> None:
    settings.MOST_AT_ONCE = 8
    quick, slow = specify(), specify(PERSIST)
    paces = after(quick, QUICK)
    rooms = []
    for kept, given_back in ((8, 0), (1, 7), (0, 0), (2, 0), (4, 0), (3, 1)):
        paces.note_claimed(kept=kept, given_back=given_back)
        rooms.append(paces.room_after(quick))

    # That nothing is left to claim says nothing of what goes together.
    assert rooms == [8, 2, 2, 4, 8, 6]
    assert paces.room_after(slow) == 1
