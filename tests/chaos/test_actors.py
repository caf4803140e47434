"""Whoever acts in a thread leaves when told, and is heard when something goes wrong."""

import threading
from collections.abc import Callable

import pytest

from tests.chaos import actors
from tests.chaos.actors import Actor

SECONDS = 30


class Doer(Actor):
    """Does the same again and again."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__("doer")
        self._do = act

    def _act(self) -> None:
        self._do()


def test_it_acts_again_and_again_until_it_leaves() -> None:
    acts, enough = list[int](), threading.Event()

    def count() -> None:
        acts.append(1)
        if len(acts) == 3:
            enough.set()

    doer = Doer(count)
    doer.start()
    assert enough.wait(SECONDS)
    doer.leave()

    assert len(acts) >= 3
    assert not any(thread.name == "doer" for thread in threading.enumerate())


def test_what_it_should_never_meet_is_raised_when_it_leaves() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    doer = Doer(fail)
    doer.start()

    with pytest.raises(ZeroDivisionError):
        doer.leave()


def test_who_does_not_leave_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors, "_LAST_ACT_SECONDS", 0.01)
    released = threading.Event()
    doer = Doer(lambda: released.wait(SECONDS))
    doer.start()

    with pytest.raises(TimeoutError, match="doer"):
        doer.leave()
    released.set()
    monkeypatch.undo()
    doer.leave()
