"""Blocks that cost something, and somebody who pays."""

import pytest
from django.contrib.auth.models import User

from tests.credits.booking import set_balance


@pytest.fixture(autouse=True)
def _blocks_cost_something(paid_blocks: None) -> None:
    pass


@pytest.fixture
def payer(user: User) -> User:
    """A user with 100 credits."""
    set_balance(user.pk, 100)
    return user
