"""Fixtures for tests of credits."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from django.contrib.auth.models import User

from credits.history import forget_history
from credits.price_list import forget_prices
from tests.credits.booking import set_balance


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """Let no test know the prices and the history of another."""
    forget_prices()
    forget_history()
    yield
    forget_prices()
    forget_history()


@pytest.fixture
def payer(user: User) -> int:
    """The id of a user with 100 credits."""
    set_balance(user.pk, 100)
    return int(user.pk)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The ids of automatic top-ups that would have been sent to a worker."""
    ids: list[UUID] = []
    monkeypatch.setattr(
        "credits.tasks.top_up_automatically.apply_async", lambda *, args, **_options: ids.append(UUID(args[0]))
    )
    return ids
