"""The payment provider of this installation."""

from functools import lru_cache

from django.conf import settings

from credits.exceptions import PaymentsOffError
from credits.payments.provider import PaymentProvider
from credits.payments.stripe_provider import StripeProvider


def get_provider() -> PaymentProvider:
    """Return the provider that the settings name; raises `PaymentsOffError` if there is none."""
    if not settings.STRIPE_SECRET_KEY:
        raise PaymentsOffError("No payment provider is configured here: credits can't be bought.")
    return _connect(settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET, settings.STRIPE_API_BASE)


@lru_cache(maxsize=4)
def _connect(secret_key: str, webhook_secret: str, api_base: str) -> PaymentProvider:
    return StripeProvider(secret_key=secret_key, webhook_secret=webhook_secret, api_base=api_base)
