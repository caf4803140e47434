"""Blocks that cost something, and somebody who pays."""

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from credits.history import forget_history
from credits.price_list import forget_prices
from tests.credits.booking import set_balance
from tests.execution.paid_blocks import MODULES


@pytest.fixture(autouse=True)
def paid_blocks(settings: Settings) -> None:
    settings.BLOCK_MODULES = MODULES
    settings.NODE_EXECUTIONS_PER_CREDIT = 0
    forget_prices()
    forget_history()


@pytest.fixture
def payer(user: User) -> User:
    """A user with 100 credits."""
    set_balance(user.pk, 100)
    return user
