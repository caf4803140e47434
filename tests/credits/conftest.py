"""Fixtures for tests of credits."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings
from rest_framework.test import APIClient

from credits.history import forget_history
from credits.price_list import forget_prices
from tests.credits.booking import set_balance
from tests.credits.stripe_double import WEBHOOK_SECRET, StripeDouble


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
def client(user: User) -> APIClient:
    """The user's client."""
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def stripe_double(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[StripeDouble]:
    """A Stripe of our own, to which payments go."""
    monkeypatch.setattr("credits.payments.stripe_provider.RETRIES", 0)
    with StripeDouble() as double:
        settings.STRIPE_SECRET_KEY = f"sk_test_{double.address}"
        settings.STRIPE_WEBHOOK_SECRET = WEBHOOK_SECRET
        settings.STRIPE_API_BASE = double.address
        yield double
