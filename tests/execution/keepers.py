"""Keepers in tests: one with its threads, one that only counts."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

import pytest
from django.db import connections

from execution import keeping
from execution.keeping import Keeper, Kept


@contextmanager
def working_keeper(modules: Sequence[ModuleType], monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    """Yield the keeper of these modules; its threads have no database session and nothing to do once that is over."""
    keeper, all_left = Keeper(), threading.Barrier(3)
    for module in modules:
        monkeypatch.setattr(module, "keeper", keeper)
    yield keeper

    def leave() -> None:
        connections.close_all()
        all_left.wait(timeout=20)
        threading.Event().wait()

    monkeypatch.setattr(keeping, "close_old_connections", leave)
    if not keeper._process:
        keeper._start()
    keeper._holds.set()
    keeper.expect(0.0)
    all_left.wait(timeout=20)


class CountingKeeper(Keeper):
    """Looks after nothing, and knows what it should look after."""

    def __init__(self) -> None:
        super().__init__()
        self.held: set[Kept] = set()

    def hold(self, attempt: Kept) -> None:
        self.held.add(attempt)

    def let_go(self, attempt: Kept) -> None:
        self.held.discard(attempt)

    def expect(self, moment: float) -> None: ...
