"""API keys: made once, shown once, known by their digest from then on."""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Case, Q, Value, When
from django.db.models.functions import Now

from config.models import SHOWN_LENGTH, ApiKey, Scope

PREFIX: Final = "gek_"
SECRET_BYTES: Final = 32
LONGEST_KEY: Final = 200

# So exact is `last_used_at`: a busy key must not cost a write each time.
USE_GRAIN: Final = timedelta(minutes=1)


class KeyRefusedError(Exception):
    """A key can't be made as it was asked for, or can't be used; the text says why."""


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A key that was just made. `secret` is the key itself; nobody will see it again."""

    key: ApiKey
    secret: str


def make_key(
    *,
    user: User,
    name: str,
    scopes: Collection[str],
    expires_at: datetime | None = None,
    secret: str | None = None,
    maker: ApiKey | None = None,
) -> NewKey:
    """Make a key of the user's, from `secret` if it is given. Raises `KeyRefusedError`.

    `maker` is the key that asks for it, if one does: what it makes can do no more and lives no longer than itself.
    """
    if maker is not None:
        _check_maker(maker, scopes=scopes, expires_at=expires_at)
    secret = secret or f"{PREFIX}{secrets.token_urlsafe(SECRET_BYTES)}"
    key = ApiKey.objects.create(
        user=user,
        name=name,
        shown=secret[:SHOWN_LENGTH],
        digest=digest(secret),
        scopes=[scope for scope in Scope if scope in scopes],
        expires_at=expires_at,
    )
    key.refresh_from_db(fields=["created_at"])
    return NewKey(key=key, secret=secret)


def use_key(secret: str) -> ApiKey:
    """Return the key with its user, noting that it was used. Raises `KeyRefusedError`. One query, two once a minute."""
    if len(secret) > LONGEST_KEY:
        raise KeyRefusedError("There is no such API key.")
    expired = When(expires_at__lte=Now(), then=Value("expired"))
    stale = When(Q(last_used_at__isnull=True) | Q(last_used_at__lt=Now() - USE_GRAIN), then=Value("stale"))
    keys = ApiKey.objects.select_related("user").annotate(state=Case(expired, stale, default=Value("fresh")))
    key = keys.filter(digest=digest(secret)).first()
    if key is None:
        raise KeyRefusedError("There is no such API key.")
    if key.revoked_at is not None:
        raise KeyRefusedError("This API key was revoked.")
    if key.suspended_at is not None:
        raise KeyRefusedError("This API key is suspended.")
    if key.state == "expired":
        raise KeyRefusedError("This API key has expired.")
    if not key.user.is_active:
        raise KeyRefusedError("The account of this API key is not active.")
    if key.state == "stale":
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=Now())
    return key


def revoke_key(key: ApiKey) -> ApiKey:
    """End a key for good; one that was revoked before stays as it is."""
    ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=Now())
    key.refresh_from_db()
    return key


def suspend_key(key: ApiKey) -> ApiKey:
    """Let a key open nothing until it is resumed."""
    ApiKey.objects.filter(pk=key.pk, suspended_at__isnull=True).update(suspended_at=Now())
    key.refresh_from_db()
    return key


def resume_key(key: ApiKey, *, maker: ApiKey | None = None) -> ApiKey:
    """Let a suspended key open things again. Raises `KeyRefusedError` if it may do more than `maker`, a key, may."""
    if maker is not None and key.suspended_at is not None:
        _check_maker(maker, scopes=key.scopes, expires_at=key.expires_at)
    ApiKey.objects.filter(pk=key.pk).update(suspended_at=None)
    key.refresh_from_db()
    return key


@transaction.atomic
def change_scopes(key: ApiKey, *, scopes: Collection[str], maker: ApiKey | None = None) -> ApiKey:
    """Change what a key may do. Raises `KeyRefusedError` if `maker`, a key, can't give what is added."""
    locked = ApiKey.objects.select_for_update(no_key=True).get(pk=key.pk)
    added = [scope for scope in scopes if scope not in locked.scopes]
    if maker is not None and added:
        _check_maker(maker, scopes=added, expires_at=locked.expires_at)
    locked.scopes = [scope for scope in Scope if scope in scopes]
    locked.save(update_fields=["scopes"])
    return locked


def digest(secret: str) -> str:
    """Return what is kept of a key. A plain hash will do: a key is too long to be guessed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _check_maker(maker: ApiKey, *, scopes: Collection[str], expires_at: datetime | None) -> None:
    lacking = [scope for scope in scopes if scope not in maker.scopes]
    if lacking:
        raise KeyRefusedError(f"A key can't give what it doesn't have: {', '.join(lacking)}.")
    if maker.expires_at is not None and (expires_at is None or expires_at > maker.expires_at):
        raise KeyRefusedError(f"A key can't make one that outlives it: it expires at {maker.expires_at.isoformat()}.")
