"""A worker that is told to stop sees to everything that it runs, whatever goes wrong on the way."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from pytest_django import Settings

from execution import departure
from execution.departure import Departure
from execution.places import Running
from execution.store.ready import Ready
from tests.config.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class Busy:
    """A workplace with two attempts, which end only when they are killed. Its first looks at processes go wrong."""

    def __init__(self) -> None:
        self.interrupted: list[UUID] = []
        self.has_ended_processes = False
        self._failures = iter([ValueError("unexpected"), ValueError("unexpected")])
        tokens = [uuid4(), uuid4()]
        self._running = {each: Running(node_execution_id=each, execution_id=each, token=each) for each in tokens}

    def find_running(self) -> dict[UUID, Running]:
        return dict(self._running)

    def find_overdue(self) -> dict[UUID, Running]:
        return {}

    def interrupt(self, token: UUID) -> None:
        self.interrupted.append(token)

    def kill(self, token: UUID) -> bool:
        return self._running.pop(token, None) is not None

    def end_processes(self) -> list[int]:
        for error in self._failures:
            raise error
        self.has_ended_processes = True
        return []


def test_what_goes_wrong_with_one_attempt_keeps_nobody_from_ending_the_rest(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SHUTDOWN_GRACE_SECONDS = 0
    place, sent = Busy(), list[Ready]()
    first, second = place.find_running()
    failures = iter([ValueError("unexpected")])

    def hand_back(running: Running) -> list[Ready]:
        for error in failures:
            raise error
        return [Ready(id=running.node_execution_id, queue="cpu", name="")]

    def send(ready: Sequence[Ready]) -> None:
        sent.extend(ready)
        raise ValueError("unexpected")

    monkeypatch.setattr(departure, "hand_back", hand_back)
    monkeypatch.setattr(departure, "LAST_SECONDS", 0)
    leaving = Departure([place], send)
    leaving.start()
    leaving.begin()
    try:
        assert wait_until(lambda: place.has_ended_processes)
    finally:
        leaving.stop()

    assert place.interrupted == [first, second]
    assert place.find_running() == {}
    assert [each.id for each in sent] == [second]
