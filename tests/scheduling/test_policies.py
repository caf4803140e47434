"""The rules for what was missed and what overlaps."""

from datetime import UTC, datetime, timedelta

import pytest

from scheduling.policies import ON_TIME, Misfire, MisfireRule, Overlap, Pending, Turn, choose_fired, choose_turn

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SKIP, ONCE, ALL = Misfire.SKIP, Misfire.FIRE_ONCE, Misfire.FIRE_ALL


def fired(policy: Misfire, *minutes_late: float, grace: float | None = None, limit: int = 10) -> list[float]:
    """Return how late (minutes) the times are that are fired, of those given, oldest first."""
    pending = [Pending(due=NOW - timedelta(minutes=late), late=timedelta(minutes=late)) for late in minutes_late]
    rule = MisfireRule(policy=policy, grace=None if grace is None else timedelta(minutes=grace), limit=limit)
    return [(NOW - due) / timedelta(minutes=1) for due in choose_fired(pending, rule)]


@pytest.mark.parametrize("policy", list(Misfire))
def test_what_is_on_time_is_fired(policy: Misfire) -> None:
    assert fired(policy, 0.1) == [0.1]
    assert fired(policy, ON_TIME / timedelta(minutes=1), grace=0) == [1.0]
    assert fired(policy, 0.9, 0.1) == [0.9, 0.1]
    assert fired(policy) == []


def test_skip_leaves_out_what_was_missed() -> None:
    assert fired(SKIP, 60, 30) == []
    assert fired(SKIP, 60, 30, 0.5) == [0.5]


def test_fire_once_makes_up_for_all_that_was_missed_with_one_run() -> None:
    assert fired(ONCE, 90, 60, 30) == [30]
    assert fired(ONCE, 90, 60, 0.5) == [0.5]


def test_fire_all_makes_up_for_the_newest() -> None:
    assert fired(ALL, 90, 60, 30, 0.5) == [90, 60, 30, 0.5]
    assert fired(ALL, 90, 60, 30, 0.5, limit=2) == [30, 0.5]
    assert fired(ALL, 0.9, 0.5, limit=1) == [0.9, 0.5]


@pytest.mark.parametrize("policy", [ONCE, ALL])
def test_what_is_later_than_the_window_of_grace_is_gone(policy: Misfire) -> None:
    assert fired(policy, 90, 61, grace=60) == []
    assert fired(policy, 90, 60, grace=60) == [60]


@pytest.mark.parametrize("policy", list(Overlap))
def test_nothing_overlaps_where_nothing_runs(policy: Overlap) -> None:
    assert choose_turn(policy, running=0, waiting=0) is Turn.START


@pytest.mark.parametrize(
    ("policy", "running", "waiting", "turn"),
    [
        (Overlap.ALLOW, 3, 0, Turn.START),
        (Overlap.SKIP, 1, 0, Turn.SKIP),
        (Overlap.QUEUE_ONE, 1, 0, Turn.WAIT),
        (Overlap.QUEUE_ONE, 1, 1, Turn.SKIP),
        (Overlap.QUEUE_ONE, 0, 1, Turn.SKIP),
        (Overlap.CANCEL_RUNNING, 2, 0, Turn.STOP_OTHERS),
    ],
)
def test_what_overlaps_is_treated_as_the_policy_says(policy: Overlap, running: int, waiting: int, turn: Turn) -> None:
    assert choose_turn(policy, running=running, waiting=waiting) is turn
