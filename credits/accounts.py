"""Accounts come with their users."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Case, When

from credits.models import Account, EntryType
from credits.store.ledger import post, release_account


def open_account(user_id: int) -> Account:
    """Return the user's account; a new one is given the initial credits. Safe to repeat."""
    if settings.INITIAL_CREDITS > 0:
        post(
            user_id=user_id,
            key=f"initial:{user_id}",
            type=EntryType.GRANT,
            amount=settings.INITIAL_CREDITS,
            facts={"reason": "Initial credits"},
        )
        return Account.objects.get(user_id=user_id)
    account, _made = Account.objects.get_or_create(user_id=user_id)
    return account


def find_account(user_id: int) -> Account:
    """Return the user's account. It is opened if whoever made the user has passed the signals by."""
    return Account.objects.filter(user_id=user_id).first() or open_account(user_id)


def set_low_balance_threshold(*, user_id: int, threshold: int) -> Account:
    """Set below which balance the user is told. Whose balance is below it already is not told of it."""
    account = find_account(user_id)
    Account.objects.filter(pk=account.pk).update(
        low_balance_threshold=threshold, is_low=Case(When(balance__lt=threshold, then=True), default=False)
    )
    account.refresh_from_db()
    return account


def open_account_of(*, instance: AbstractBaseUser, created: bool, raw: bool = False, **_signal: Any) -> None:
    """Open the account of a user who was just made (signal); `raw` ones come with their own."""
    if created and not raw:
        open_account(instance.pk)


def close_account_of(*, instance: AbstractBaseUser, **_signal: Any) -> None:
    """Let go of what is held for a user who is about to go (signal). The books stay."""
    release_account(instance.pk)
