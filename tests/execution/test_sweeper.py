"""The thread that sweeps: how often it does what."""

import time

import pytest

from execution import recovery
from execution.recovery import REST_SECONDS, Sweeper
from tests.config.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_timers_that_are_due_all_the_time_don_t_make_everything_else_be_done_as_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    woken: list[float] = []
    sweeps: list[float] = []

    def wake_due(*, limit: int) -> tuple[int, list[object]]:
        woken.append(time.monotonic())
        return 0, []

    monkeypatch.setattr(recovery, "wake_due", wake_due)
    monkeypatch.setattr(recovery, "seconds_to_next_wake", lambda: 0.0)
    sweeper = Sweeper(lambda _ready: None, also=[lambda: sweeps.append(time.monotonic())])

    sweeper.start()
    try:
        assert wait_until(lambda: len(sweeps) >= 4, seconds=20)
    finally:
        sweeper.stop()

    # Each is noted somewhere within its sweep, not at its beginning.
    assert sweeps[3] - sweeps[0] > 2.5 * REST_SECONDS
    assert len(woken) > 2 * len(sweeps)


def test_one_that_fails_at_what_nobody_expects_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps: list[float] = []
    failures: list[float] = []

    def fail(**_options: int) -> tuple[int, list[object]]:
        failures.append(time.monotonic())
        raise ValueError("unexpected")

    monkeypatch.setattr(recovery, "wake_due", fail)
    monkeypatch.setattr(recovery, "seconds_to_next_wake", lambda: 0.0)
    sweeper = Sweeper(lambda _ready: None, also=[lambda: sweeps.append(time.monotonic())])

    sweeper.start()
    try:
        assert wait_until(lambda: len(sweeps) >= 3, seconds=20)
    finally:
        sweeper.stop()

    # Some of them between sweeps.
    assert len(failures) > len(sweeps)
