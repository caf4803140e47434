"""Who does things at once begins together, and hears of everything that goes wrong."""

import threading

import pytest

from tests import threads
from tests.threads import run_at_once

SECONDS = 30.0


def test_all_begin_before_one_ends() -> None:
    together = threading.Barrier(3)

    run_at_once(*[lambda: together.wait(SECONDS)] * 3)

    assert not together.broken


def test_what_one_raises_is_raised() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_at_once(fail, lambda: None)


def test_what_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "END_SECONDS", 0.01)
    over = threading.Event()

    with pytest.raises(TimeoutError):
        run_at_once(lambda: over.wait(SECONDS))
    over.set()
