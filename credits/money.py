"""Money by an admin's hand: grants and adjustments, each with a reason and the name of who did it."""

from typing import Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction

from credits.exceptions import AccountNotFoundError, AmountInvalidError, ReasonMissingError
from credits.models import EntryType
from credits.pricing import MOST_CREDITS
from credits.store.ledger import Posted, post

MAX_REASON_LENGTH: Final = 1_000


def grant(*, user_id: int, amount: int, reason: str, key: UUID, actor_id: int | None = None) -> Posted:
    """Give credits, once per `key`. Raises `AmountInvalidError`, `ReasonMissingError` and `AccountNotFoundError`."""
    if not 0 < amount <= MOST_CREDITS:
        raise AmountInvalidError(f"A grant is from 1 to {MOST_CREDITS:,} credits.")
    return _post(user_id, EntryType.GRANT, amount=amount, reason=reason, key=key, actor_id=actor_id)


def adjust(*, user_id: int, amount: int, reason: str, key: UUID, actor_id: int | None = None) -> Posted:
    """Correct a balance, up or down, once per `key`; never by more than can be spent. Raises the errors of `grant`."""
    if amount == 0 or abs(amount) > MOST_CREDITS:
        raise AmountInvalidError(f"An adjustment is from 1 to {MOST_CREDITS:,} credits, up or down.")
    return _post(user_id, EntryType.ADJUSTMENT, amount=amount, reason=reason, key=key, actor_id=actor_id)


def check_reason(reason: str) -> str:
    """Return the reason without what surrounds it; raises `ReasonMissingError`."""
    text = reason.replace("\0", "").strip()
    if not text:
        raise ReasonMissingError("A reason is required: it stands in the ledger.")
    return text[:MAX_REASON_LENGTH]


def _post(user_id: int, kind: EntryType, *, amount: int, reason: str, key: UUID, actor_id: int | None) -> Posted:
    facts = {"reason": check_reason(reason), "actor_id": actor_id}
    if not get_user_model().objects.filter(pk=user_id).exists():
        raise AccountNotFoundError(f"There is no user {user_id}.")
    try:
        with transaction.atomic():
            return post(user_id=user_id, key=f"{kind.lower()}:{key}", type=kind, amount=amount, facts=facts)
    except IntegrityError:
        raise AmountInvalidError("That is more than can be spent at the moment.") from None
