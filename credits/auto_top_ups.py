"""Buying credits automatically, with the card that paid last, when the balance is below what the user has set.

One is under way at a time, and no more are made within a day than the user allows: then they pause, and the user is
told. What orders the next one is a function of the database (`credits_order_top_up`), which the ledger's trigger calls;
whoever is passed by is found by `order_overdue`. When money has gone back they wait for their user to set them again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from credits.accounts import find_account
from credits.exceptions import AmountInvalidError, PaymentFailedError, PaymentUnavailableError
from credits.models import Account, TopUp, TopUpKind, TopUpStatus
from credits.notices import tell_after_commit, top_up_due
from credits.payments import get_provider
from credits.payments.provider import Order, Payment, PaymentState
from credits.store.auto_top_ups import (
    cancel_unwanted_auto_top_up,
    find_next,
    is_auto_top_up_wanted,
    order_auto_top_up,
    order_due_auto_top_ups,
)
from credits.top_ups import check_amount, ensure_customer, enter_payment

MOST_THRESHOLD: Final = 1_000_000

MOST_PER_DAY: Final = 100
"""More automatic top-ups than this within a day nobody may want."""


def set_auto_top_up(*, user_id: int, threshold: int, amount: int, most_per_day: int | None = None) -> Account:
    """Have credits bought whenever the balance is below `threshold`; at once, if it is or something is owed.

    What was ordered by other wishes is cancelled, if it has not been charged yet. Within 24 hours `most_per_day` are
    made; as many as before, if it is not given. Raises `AmountInvalidError` and `PaymentsOffError`.
    """
    check_amount(amount)
    if not 0 <= threshold <= MOST_THRESHOLD:
        raise AmountInvalidError(f"The threshold is from 0 to {MOST_THRESHOLD:,} credits.")
    if most_per_day is not None and not 1 <= most_per_day <= MOST_PER_DAY:
        raise AmountInvalidError(f"From 1 to {MOST_PER_DAY} automatic top-ups are made within a day.")
    get_provider()
    with transaction.atomic():
        account = Account.objects.select_for_update().get(pk=find_account(user_id).pk)
        account.auto_top_up_threshold, account.auto_top_up_amount = threshold, amount
        account.auto_top_ups_per_day = most_per_day or account.auto_top_ups_per_day
        account.is_auto_top_up_paused = False
        account.auto_top_up_halt = ""
        account.save(
            update_fields=[
                "auto_top_up_threshold",
                "auto_top_up_amount",
                "auto_top_ups_per_day",
                "is_auto_top_up_paused",
                "auto_top_up_halt",
            ]
        )
        cancel_unwanted_auto_top_up(account.pk)
        if order_auto_top_up(account.pk):
            tell_after_commit(user_id)
    account.refresh_from_db()
    return account


@dataclass(frozen=True, kw_only=True)
class AutoTopUp:
    """When credits are bought automatically, and how many; None if they aren't. `newest` may have failed.

    `paused_until`: as many have been made within 24 hours as the user allows. `paused_because`: why they wait for the
    user to set them again; empty, if they don't.
    """

    threshold: int | None
    amount: int | None
    most_per_day: int
    paused_until: datetime | None
    paused_because: str
    newest: TopUp | None


def find_auto_top_up(*, user_id: int) -> AutoTopUp:
    """Return how a user's automatic top-ups stand."""
    account = find_account(user_id)
    made = TopUp.objects.filter(account=account, kind=TopUpKind.AUTO)
    is_paused = account.auto_top_up_amount is not None and account.is_auto_top_up_paused
    return AutoTopUp(
        threshold=account.auto_top_up_threshold,
        amount=account.auto_top_up_amount,
        most_per_day=account.auto_top_ups_per_day,
        paused_until=find_next(account.pk) if is_paused else None,
        paused_because=account.auto_top_up_halt if account.auto_top_up_amount is not None else "",
        newest=made.order_by("-created_at").first(),
    )


def stop_auto_top_up(*, user_id: int) -> Account:
    """Buy nothing automatically any more. What is ordered is cancelled; if it may have been charged, a bit later."""
    with transaction.atomic():
        account = Account.objects.select_for_update(no_key=True).get(pk=find_account(user_id).pk)
        account.auto_top_up_threshold = account.auto_top_up_amount = None
        account.save(update_fields=["auto_top_up_threshold", "auto_top_up_amount"])
        cancel_unwanted_auto_top_up(account.pk)
    account.refresh_from_db()
    return account


def order_overdue() -> int:
    """Order automatic top-ups for who is below their threshold, or owes something, and has none under way.

    So it goes on for who was passed by, and for who has paused for long enough. Return how many there were.
    """
    with transaction.atomic():
        user_ids = order_due_auto_top_ups()
        for user_id in user_ids:
            tell_after_commit(user_id)
    return len(user_ids)


def perform_auto_top_up(top_up_id: UUID) -> TopUp | None:
    """Charge the saved card for a pending automatic top-up. Safe to repeat, at any time, and to do twice at once.

    First a payment is prepared and noted; only then is it charged, which can succeed once only. What is not wanted any
    more is cancelled instead, at the provider once it is noted; if it has been charged meanwhile, it counts. If the
    provider can't be reached, it stays pending and is tried again. A refusal disables automatic top-ups and tells the
    user. None if there is nothing to do.
    """
    pending = TopUp.objects.filter(pk=top_up_id, kind=TopUpKind.AUTO, status=TopUpStatus.PENDING)
    with transaction.atomic():
        accounts = Account.objects.select_for_update(no_key=True, of=("self",))
        account = accounts.filter(top_ups=top_up_id).first()
        if account is None:
            return None
        # Of who is gone nothing is wanted.
        is_cancelled = cancel_unwanted_auto_top_up(account.pk)
        if is_cancelled and order_auto_top_up(account.pk) and account.user_id is not None:
            tell_after_commit(account.user_id)
        top_up = pending.select_related("account__user").first()
        if top_up is None:
            return None
        pending.update(tried_at=Now())
        is_wanted = is_auto_top_up_wanted(top_up_id)
    order = Order(id=top_up.pk, user_id=account.user_id or 0, amount=top_up.amount)
    try:
        payment = _charge(top_up, order) if is_wanted else get_provider().cancel(str(top_up.payment_id))
        if payment is None:
            return None
    except PaymentUnavailableError as error:
        pending.update(error=str(error))
        return top_up
    except PaymentFailedError as error:
        state = PaymentState.FAILED if is_wanted else PaymentState.CANCELLED
        payment = Payment(state=state, order=order, payment_id=None, error=str(error))
    return enter_payment(payment)


def _charge(top_up: TopUp, order: Order) -> Payment | None:
    """Charge the one payment that is noted; None if it was cancelled meanwhile, so that none is."""
    provider = get_provider()
    customer_id = ensure_customer(top_up.account)
    if top_up.payment_id is None:
        prepared = provider.prepare_charge(order, customer_id=customer_id)
        pending = TopUp.objects.filter(pk=top_up.pk, status=TopUpStatus.PENDING)
        if pending.filter(payment_id=None).update(payment_id=prepared):
            top_up.payment_id = prepared
        else:
            top_up.refresh_from_db(fields=["payment_id"])
        if top_up.payment_id is None:
            return None
    return provider.charge(top_up.payment_id, customer_id=customer_id)


def send_overdue(*, patience_seconds: float) -> int:
    """Send automatic top-ups again that nobody has tried for so long; return how many there were."""
    before = Now() - timedelta(seconds=patience_seconds)
    overdue = TopUp.objects.filter(
        Q(tried_at__isnull=True, created_at__lt=before) | Q(tried_at__lt=before),
        kind=TopUpKind.AUTO,
        status=TopUpStatus.PENDING,
    )
    keys = list(overdue.order_by("id").values_list("pk", flat=True)[:100])
    for key in keys:
        top_up_due.send(sender=TopUp, top_up_id=key)
    return len(keys)
