"""Blocks that cost something, somebody who pays, and what goes wrong meanwhile."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from execution.store.round_trips import exchange
from tests.credits.booking import set_balance
from tests.execution.outages_of_sessions import Send, lose_answer, lose_commit


@pytest.fixture(autouse=True)
def _blocks_cost_something(paid_blocks: None) -> None:
    pass


@pytest.fixture
def payer(user: User) -> User:
    """A user with 100 credits."""
    set_balance(user.pk, 100)
    return user


@pytest.fixture
def far_away(settings: Settings) -> None:
    """Every value lies in the storage."""
    settings.LARGE_VALUE_BYTES = 1
    settings.RECORD_PATIENCE_SECONDS = 0.2


# What is tried again goes through.
@pytest.fixture(params=[(lose_commit, exchange), (lose_answer,)], ids=["lost", "unheard"])
def losses(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Send]:
    """The connections that broke so far: one whenever something should be claimed, or set aside, with a record."""
    lost: list[Send] = []
    ways = cycle(request.param)

    def send(statements: Sequence[Any]) -> Any:
        names = [getattr(statement, "name", statement) for statement, _ in statements]
        if names[-1] != "COMMIT" or "settle" not in names:
            return exchange(statements)
        way = next(ways)
        if way is not exchange:
            lost.append(way)
        return way(statements)

    monkeypatch.setattr("execution.store.batches.exchange", send)
    return lost
